"""Holds one request of an operator or a visitor, and writes JSON responses."""

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
    """`ref` and `room`: the call and the room that it is about, once known; the log line has them."""

    request: Request
    services: Services
    key: ApiKey | None = None
    visit: Pass | None = None
    """Of a visitor, who has no key."""
    ref: str | None = None
    room: str | None = None

    @property
    def key_name(self) -> str:
        """The name of its API key, or of the key behind its visit; empty for none."""
        if self.visit:
            return self.visit.issued_by
        return self.key.name if self.key else ""

    def may(self, scope: str) -> bool:
        """Whether its API key has the scope."""
        return self.key is not None and scope in self.key.scopes


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Raises nothing for what JSON can write."""
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")
