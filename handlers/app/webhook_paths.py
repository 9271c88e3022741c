"""Takes webhooks at addresses with a slash too many, and tells of those that are sent to no address of ours.

An application that is set up with a wrong address fails with every call, and nobody is told at Bandwidth.
"""

from collections.abc import Awaitable
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handlers.http.request_guard import DOCTOR_USER_AGENT
from handlers.http.resource import Resource, UnknownPath
from handlers.http.services import Services
from handlers.http.state import HttpState

log = structlog.get_logger()

_DOCTOR_HEADER: Final = (b"user-agent", DOCTOR_USER_AGENT.encode())
"""Of our own doctor's try, which is no news to it: it says itself where that went."""
_CALLBACKS: Final = "/callbacks/"
_ANY_SPELLING: Final = "/callback"
_NOT_FOUND, _NOT_ALLOWED = 404, 405
_SHOWN: Final = 40
"""Characters of a path in the log."""


class WebhookPaths:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        path = _normalized(scope["path"])
        if path.startswith(_CALLBACKS):
            if path != scope["path"]:
                scope = {**scope, "path": path, "raw_path": path.encode()}
        elif not _may_be_a_webhook(scope):
            return self._app(scope, receive, send)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_misaddressed(scope, message["status"]):
                self._report(scope, message["status"])
            await send(message)

        return self._app(scope, receive, sending)

    def _report(self, scope: Scope, status: int) -> None:
        services: Services = scope["state"]["services"]
        services.metrics.webhook_misaddressed()
        if _DOCTOR_HEADER not in scope["headers"]:
            services.webhook_counts.count_misaddressed(services.clock.now())
        path = _path_for_log(scope["path"])
        state: HttpState = scope["state"]["http"]
        peer = scope.get("client")
        write = log.warning if state.log_throttle.allows("webhook.misaddressed", path) else log.debug
        write(
            "webhook.misaddressed",
            method=scope["method"],
            path=path,
            status=status,
            peer=peer[0] if peer else None,
        )


def _normalized(path: str) -> str:
    """Without doubled slashes, and without one at the end."""
    if "//" not in path and not path.endswith("/"):
        return path
    return "/" + "/".join(part for part in path.split("/") if part)


def _may_be_a_webhook(scope: Scope) -> bool:
    if _normalized(scope["path"]).lower().startswith(_ANY_SPELLING):
        return True
    if scope["method"] != "POST":
        return False
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return any(kind.lower().startswith(b"application/json") for kind in kinds)


def _is_misaddressed(scope: Scope, status: int) -> bool:
    """Not where an address is ours and what it names is not there, as a call that is gone."""
    if status not in {_NOT_FOUND, _NOT_ALLOWED}:
        return False
    endpoint = scope.get("endpoint")
    ours = isinstance(endpoint, Resource) and not isinstance(endpoint, UnknownPath)
    return not ours or status == _NOT_ALLOWED


def _path_for_log(path: str) -> str:
    """The words of a path, cut: what may be an id, a number or a secret is left out."""
    parts = [part for part in path.split("/") if part][:3]
    parts = [part if part.isascii() and part.isalpha() else "*" for part in parts]
    return f"/{'/'.join(parts)}"[:_SHOWN]
