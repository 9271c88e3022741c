"""Refuses requests whose address or headers are longer than any of ours, before anything looks at them.

Routes and query strings are read by libraries that make no promise about the size of what they are given.
"""

from collections.abc import Awaitable
from itertools import chain
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from handlers.guard import Refused

TARGET: Final = 8 * 1024
"""Bytes of a path and its query; an invitation, the longest of ours, is 1 KiB (service/invitations.py)."""
HEADERS: Final = 32 * 1024
"""Bytes of all headers together, as large as what common proxies pass on."""
_TARGET_TOO_LONG: Final = 414
_HEADERS_TOO_LARGE: Final = 431


class Bounds:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and (refused := _refusal(scope)):
            return refused.response()(scope, receive, send)
        return self._app(scope, receive, send)


def _refusal(scope: Scope) -> Refused | None:
    if len(scope["path"]) + len(scope["query_string"]) > TARGET:
        return Refused(_TARGET_TOO_LONG, f"the address is longer than {TARGET} bytes")
    if sum(map(len, chain.from_iterable(scope["headers"]))) > HEADERS:
        return Refused(_HEADERS_TOO_LARGE, f"the headers are larger than {HEADERS} bytes")
    return None
