"""Serves the old path of a resource: the same answers, with headers that name the new path."""

from typing import Final
from urllib.parse import quote

import structlog
from starlette.responses import Response

from handlers.http.context import RequestContext
from handlers.http.resource import Resource
from handlers.http.state import http_state_of

log = structlog.get_logger()

DEPRECATED_AT: Final = 1_796_083_200
"""Seconds since the epoch: 2026-12-01T00:00:00Z, when the first of the old paths had a successor."""


class DeprecatedResource(Resource):
    """It does what its successor does. Every answer has the headers of RFC 9745 and RFC 8288.

    Both templates have the same parameters. The old path is not in openapi.json.
    """

    def __init__(self, template: str, successor: Resource) -> None:
        super().__init__(template, successor.operations)
        self._successor = successor.template

    async def _respond(self, context: RequestContext) -> tuple[Response, str]:
        response, problem = await super()._respond(context)
        # A client may send any text as an id. Quoted, it cannot end the header or the link.
        parameters = {name: quote(value, safe="") for name, value in context.request.path_params.items()}
        response.headers["Deprecation"] = f"@{DEPRECATED_AT}"
        response.headers["Link"] = f'<{self._successor.format_map(parameters)}>; rel="successor-version"'
        if context.key_name:
            throttle = http_state_of(context.request).deprecation_throttle
            if throttle.allows(f"{self.template} {context.key_name}"):
                log.warning("api.deprecated", path=self.template, key_name=context.key_name)
        return response, problem
