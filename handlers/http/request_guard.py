"""Checks the credentials that Bandwidth shows, and reads bodies of limited size in limited time."""

import asyncio
import base64
import binascii
import hmac
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

BODY_LIMIT: Final = 64 * 1024
"""Bytes; a voice webhook has one or two kilobytes."""
VISITOR_LIMIT: Final = 4 * 1024
"""Bytes of a visitor's body: an invitation is the most that it holds, of 1 KiB (service/invitations.py)."""
HEADER_LIMIT: Final = 4096
"""Characters of a header that are looked at; what is longer is none of those that we know."""

BODY_SECONDS: Final = 5.0
"""Seconds for a body to come in; Bandwidth's is there with its headers."""

_DIGITS: Final = 9
"""Digits of a Content-Length that are read, leading zeros and all."""

# HTTP statuses.
INCOMPLETE: Final = 400
UNAUTHORIZED: Final = 401
TOO_SLOW: Final = 408
TOO_LARGE: Final = 413

DOCTOR_USER_AGENT: Final = "pstn-bridge-doctor"
"""How `pstn-bridge doctor` calls itself when it tries whether webhooks would reach us."""


class HttpError(Exception):
    """The request is answered with this status, and nothing else happens."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status

    def response(self) -> Response:
        """Raises nothing."""
        return Response(f"{self}\n", self.status, self.headers, media_type="text/plain")

    @property
    def headers(self) -> dict[str, str]:
        """Those that the status asks for."""
        match self.status:
            case 401:
                # Lets a client that waits for a challenge send its credentials (RFC 9110).
                return {"WWW-Authenticate": 'Basic realm="callbacks"'}
            case 408:
                return {"Connection": "close"}
        return {}


class CallbackCredentials:
    """The credentials that Bandwidth shows us; the previous password is good as well while it is rotated."""

    def __init__(self, username: str, password: str, previous: str | None = None) -> None:
        self._accepted = [f"{username}:{one}".encode() for one in (password, previous) if one]

    def __repr__(self) -> str:
        return "CallbackCredentials(***)"

    def check(self, request: Request) -> None:
        """Raises HttpError with 401. Compares in constant time, and every password each time."""
        shown = _basic(request.headers.get("authorization", ""))
        matches = [hmac.compare_digest(shown, accepted) for accepted in self._accepted]
        if not any(matches):
            raise HttpError(UNAUTHORIZED, "wrong or missing callback credentials")


def _basic(header: str) -> bytes:
    scheme, _, value = header[: HEADER_LIMIT + 1].partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


async def read_body(request: Request, limit: int = BODY_LIMIT) -> bytes:
    """The whole body, of `limit` bytes at most.

    Raises HttpError: 413 before more than that is held, 408 when it is too slow, 400 when the client goes.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > _DIGITS or int(declared) > limit):
        raise HttpError(TOO_LARGE, f"the body is larger than {limit} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise HttpError(TOO_LARGE, f"the body is larger than {limit} bytes")
    except TimeoutError as error:
        raise HttpError(TOO_SLOW, f"the body has not come within {BODY_SECONDS:g} s") from error
    except ClientDisconnect as error:
        raise HttpError(INCOMPLETE, "the request has not been sent to its end") from error
    return bytes(body)
