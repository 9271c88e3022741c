"""Holds an authenticated request of an operator, and answers it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from handlers.http.services import Services
from service.api_keys import ApiKey
from service.invitations import Pass


@dataclass(kw_only=True)
class RequestContext:
    """`ref` and `room`: what it turns out to be about; the log line has them."""

    request: Request
    services: Services
    key: ApiKey | None = None
    visit: Pass | None = None
    """Of somebody at our page, who has no key."""
    ref: str | None = None
    room: str | None = None

    @property
    def key_name(self) -> str:
        if self.visit:
            return self.visit.issued_by
        return self.key.name if self.key else ""

    def may(self, scope: str) -> bool:
        return self.key is not None and scope in self.key.scopes


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")
