"""What goes wrong with a request, as RFC 9457 tells it: an exception that knows its response."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec
from starlette.responses import Response

_TYPE: Final = "urn:pstn-bridge:problem:"
_DETAIL: Final = 500
"""Characters of a detail; it may quote the request."""


class Kind(NamedTuple):
    status: int
    title: str


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        # Of the request itself.
        "malformed": Kind(400, "The body is not JSON"),
        "unauthorized": Kind(401, "No key, or not one of ours"),
        "forbidden": Kind(403, "The key may not do this"),
        "foreign-origin": Kind(403, "The page is not ours"),
        "invitation-expired": Kind(403, "The invitation has run out"),
        "invitation-forged": Kind(403, "The invitation is not valid"),
        "invitation-needed": Kind(403, "There is no invitation"),
        "invitation-used": Kind(403, "The invitation has been used"),
        "not-found": Kind(404, "There is nothing here"),
        "method-not-allowed": Kind(405, "Not with this method"),
        "too-slow": Kind(408, "The body has not come in time"),
        "too-large": Kind(413, "The body is too large"),
        "unsupported-media-type": Kind(415, "The body is not declared as JSON"),
        "invalid": Kind(422, "The request has a wrong shape"),
        "dial-rule": Kind(422, "This number is not called"),
        "idempotency-mismatch": Kind(422, "The Idempotency-Key belongs to another request"),
        # Of what it is about.
        "refused": Kind(409, "The call cannot do this now"),
        "live": Kind(409, "The call is not over yet"),
        "pin-taken": Kind(409, "Another room has this PIN"),
        "room-full": Kind(409, "The room is full"),
        "room-closed": Kind(409, "The room has been closed"),
        "too-many-invitations": Kind(409, "The room has too many invitations and visits"),
        "gone": Kind(410, "The seat has been given up"),
        "rate-limited": Kind(429, "Too many requests"),
        "too-many-calls": Kind(429, "Too many calls are up"),
        "too-many-requests": Kind(429, "More requests than are allowed"),
        # Of ourselves, and of Bandwidth behind us.
        "internal-error": Kind(500, "This service has failed"),
        "request-refused": Kind(502, "Bandwidth has refused the request"),
        "credentials-refused": Kind(502, "Bandwidth has refused our credentials"),
        "bandwidth-error": Kind(502, "Bandwidth has failed"),
        "not-configured": Kind(503, "This service is not set up for it"),
        "overloaded": Kind(503, "Too much is being done at once"),
        "paused": Kind(503, "No new calls are taken"),
        "store-unavailable": Kind(503, "The store cannot be used"),
        "bandwidth-timeout": Kind(504, "Bandwidth has not answered in time"),
    }
)


class Problem(Exception):
    """The request is answered with this, and nothing else happens."""

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        **members: str,
    ) -> None:
        """`retry_after`: seconds. `members`: what the problem has besides, such as `field`."""
        super().__init__(detail)
        self.kind = kind
        self.status, self.title = KINDS[kind]
        self.members = members
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))

    def response(self) -> Response:
        body: dict[str, Any] = {
            "type": f"{_TYPE}{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": str(self)[:_DETAIL],
            **self.members,
        }
        return Response(
            msgspec.json.encode(body), self.status, self.headers, media_type="application/problem+json"
        )


def invalid(field: str, detail: str) -> Problem:
    """`field`: its name in the body (dots lead into it), the query, the path or the headers."""
    return Problem("invalid", detail, field=field)


def not_found(what: str) -> Problem:
    return Problem("not-found", f"there is no such {what}")
