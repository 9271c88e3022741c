"""Adds the headers to every response that tell a browser what it may do with it.

Callbacks and the API are not for browsers. It costs nothing to say so, and a browser that is made to open
such a response gets nothing out of it. The page brings a policy of its own (handlers/join/page.py), and files
that may be cached for ever say so themselves (handlers/page/assets.py): headers that are there stay.
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
"""Headers of every response."""
_TRANSPORT: Final = (b"strict-transport-security", b"max-age=31536000")
"""For a year (in seconds), and for this name alone: names below it are not ours."""


class SecurityHeaders:
    """Wraps the whole application, so that its last resort, the plain 500, has them too."""

    def __init__(self, app: ASGIApp, base_url: str) -> None:
        """`base_url`: where the outside reaches the service; with https it is told to stay there."""
        self._app = app
        self._headers = (*_ALWAYS, _TRANSPORT) if urlsplit(base_url).scheme == "https" else _ALWAYS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                more = [header for header in self._headers if header[0] not in there]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        await self._app(scope, receive, sending)
