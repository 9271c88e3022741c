"""WebSockets in the simulator's server, by the library websockets."""

import logging
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from tests.simulator.gateway import TRANSPORT

# Uvicorn's own tells of every socket with its path, and there the SDK puts the device token.
_log = logging.getLogger(__name__)
_log.setLevel(logging.WARNING)


class WebSockets(WebSocketsSansIOProtocol):
    """Puts the transport into the scope, for sockets that are to be lost without a word."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = _log

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", {})
        scope.setdefault("extensions", {})[TRANSPORT] = self.transport
