"""An HTTP server inside the running event loop, on loopback."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.simulator.background import Background
from tests.simulator.gateway import TRANSPORT


class _Protocol(HttpToolsProtocol):
    """Puts the transport into the scope, for the fault that resets connections."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {TRANSPORT: self.transport}
        self.scope["extensions"] = extensions


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self.stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to whoever runs the loop."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        """Uvicorn's, except that it need not be waited out: tests stop many servers."""
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % 864_000
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Uvicorn's without its fixed waits: answers that are due go out, at most for a second."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if tasks := set(self.server_state.tasks):
            _, late = await asyncio.wait(tasks, timeout=1)
            for task in late:
                task.cancel()
        for server in self.servers:
            await server.wait_closed()


class HttpServer:
    """`port` 0 takes a free one; `url` is known once started. `sockets` speaks WebSocket, if anybody does."""

    def __init__(self, app: Starlette, port: int, sockets: type[asyncio.Protocol] | None = None) -> None:
        self.url = ""
        self._port = port
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws=sockets or "none",
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_keep_alive=75,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def start(self, background: Background) -> None:
        # With the protocol named asyncio switches Nagle's algorithm off; left on, replies take 40 ms more.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen(2048)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._serving = background.start(self._server.serve([listener]), name="server")
        await self._server.up.wait()

    async def stop(self) -> None:
        self._server.should_exit = True
        self._server.stopping.set()
        if self._serving is not None:
            await self._serving
