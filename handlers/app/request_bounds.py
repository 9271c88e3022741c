"""Refuses requests whose address or headers are like none of ours, before anything looks at them.

Routes and query strings are read by libraries that make no promise about the size of what they are given. A
path that has to be folded before it says where it leads (`..`, an encoded slash) may say something else to a
proxy before us, which lets only some paths through: here it leads nowhere.
"""

from collections.abc import Awaitable
from itertools import chain
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from handlers.api.routes import PREFIX
from handlers.http.problems import Problem
from handlers.http.request_guard import HttpError

TARGET: Final = 8 * 1024
"""Bytes of a path and its query; an invitation, the longest of ours, is 1 KiB (service/invitations.py)."""
HEADERS: Final = 32 * 1024
"""Bytes of all headers together, as large as what common proxies pass on."""
_DOTS: Final = frozenset({".", ".."})
_NOWHERE: Final = 404
_NOTHING: Final = "there is nothing here"
_TARGET_TOO_LONG: Final = 414
_HEADERS_TOO_LARGE: Final = 431


class RequestBounds:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        if _is_ambiguous(scope):
            return _not_found(scope)(scope, receive, send)
        if refused := _refusal(scope):
            return refused.response()(scope, receive, send)
        return self._app(scope, receive, send)


def _refusal(scope: Scope) -> HttpError | None:
    if len(scope["path"]) + len(scope["query_string"]) > TARGET:
        return HttpError(_TARGET_TOO_LONG, f"the address is longer than {TARGET} bytes")
    if sum(map(len, chain.from_iterable(scope["headers"]))) > HEADERS:
        return HttpError(_HEADERS_TOO_LARGE, f"the headers are larger than {HEADERS} bytes")
    return None


def _not_found(scope: Scope) -> Response:
    """In the form that other refusals have there, and in the same words everywhere."""
    if scope["path"].startswith(f"{PREFIX}/"):
        return Problem("not-found", _NOTHING).response()
    return HttpError(_NOWHERE, _NOTHING).response()


def _is_ambiguous(scope: Scope) -> bool:
    """Has segments of dots or a slash in disguise, encoded once or twice, or backwards."""
    path: str = scope["path"]
    raw: bytes = scope.get("raw_path") or path.encode()
    if b"%" in raw:
        written = raw.lower().replace(b"%25", b"%")
        if any(slash in written for slash in (b"%2f", b"%5c")):
            return True
        path = path.replace("%2e", ".").replace("%2E", ".")
    return "\\" in path or ("/." in path and not _DOTS.isdisjoint(path.split("/")))
