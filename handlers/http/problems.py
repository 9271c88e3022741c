"""Describes what is wrong with a request as RFC 9457 does: an exception that knows its response."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec
from starlette.responses import Response

_TYPE: Final = "urn:pstn-bridge:problem:"
"""What the type of a problem begins with."""
_DETAIL: Final = 500
"""Characters of a detail; it may quote the request."""


class ProblemKind(NamedTuple):
    status: int
    title: str


PROBLEM_KINDS: Final[Mapping[str, ProblemKind]] = MappingProxyType(
    {
        # Of the request itself.
        "malformed": ProblemKind(400, "The body is not JSON"),
        "unauthorized": ProblemKind(401, "No key, or not one of ours"),
        "forbidden": ProblemKind(403, "The key may not do this"),
        "foreign-origin": ProblemKind(403, "The page is not ours"),
        "invitation-expired": ProblemKind(403, "The invitation has run out"),
        "invitation-forged": ProblemKind(403, "The invitation is not valid"),
        "invitation-needed": ProblemKind(403, "There is no invitation"),
        "invitation-used": ProblemKind(403, "The invitation has been used"),
        "not-found": ProblemKind(404, "There is nothing here"),
        "method-not-allowed": ProblemKind(405, "Not with this method"),
        "too-slow": ProblemKind(408, "The body has not come in time"),
        "too-large": ProblemKind(413, "The body is too large"),
        "unsupported-media-type": ProblemKind(415, "The body is not declared as JSON"),
        "invalid": ProblemKind(422, "The request has a wrong shape"),
        "dial-rule": ProblemKind(422, "This number is not called"),
        "idempotency-mismatch": ProblemKind(422, "The Idempotency-Key belongs to another request"),
        # Of what it is about.
        "refused": ProblemKind(409, "The call cannot do this now"),
        "live": ProblemKind(409, "The call is not over yet"),
        "pin-taken": ProblemKind(409, "Another room has this PIN"),
        "room-full": ProblemKind(409, "The room is full"),
        "room-closed": ProblemKind(409, "The room has been closed"),
        "too-many-invitations": ProblemKind(409, "The room has too many invitations and visits"),
        "gone": ProblemKind(410, "The seat has been given up"),
        "rate-limited": ProblemKind(429, "Too many requests"),
        "too-many-calls": ProblemKind(429, "Too many calls are up"),
        "too-many-requests": ProblemKind(429, "More requests than are allowed"),
        # Of ourselves, and of Bandwidth behind us.
        "internal-error": ProblemKind(500, "This service has failed"),
        "request-refused": ProblemKind(502, "Bandwidth has refused the request"),
        "credentials-refused": ProblemKind(502, "Bandwidth has refused our credentials"),
        "bandwidth-error": ProblemKind(502, "Bandwidth has failed"),
        "not-configured": ProblemKind(503, "This service is not set up for it"),
        "overloaded": ProblemKind(503, "Too much is being done at once"),
        "paused": ProblemKind(503, "No new calls are taken"),
        "store-unavailable": ProblemKind(503, "The store cannot be used"),
        "bandwidth-timeout": ProblemKind(504, "Bandwidth has not answered in time"),
    }
)


class Problem(Exception):
    """The request is answered with this, and nothing else happens. `kind`: one of PROBLEM_KINDS."""

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
        self.status, self.title = PROBLEM_KINDS[kind]
        self.members = members
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))

    def response(self) -> Response:
        """Raises nothing."""
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
    """A wrong value. `field`: its name in the body (dots lead into it), query, path or headers."""
    return Problem("invalid", detail, field=field)


def not_found(what: str) -> Problem:
    """`what`: the thing that is not there."""
    return Problem("not-found", f"there is no such {what}")
