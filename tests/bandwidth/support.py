# ruff: noqa: ASYNC109 - `timeout` as in the module under test
"""The far end for these tests: HTTP servers on loopback."""

import asyncio
import json
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response as Rendered
from starlette.routing import Route

from service.bandwidth.api_client import HttpClient, Response
from service.bandwidth.auth import Basic
from service.bandwidth.errors import BandwidthError
from tests.waiting import wait_until

BASIC = Basic("user", "very-secret")
METHODS = ["GET", "POST", "PUT", "DELETE"]


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it came in. `port`: of the client, so that connections can be told apart."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    port: int
    query: str = ""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """`gate`: the reply waits until it is set."""

    status: int = 200
    body: bytes | dict[str, Any] = b""
    headers: dict[str, str] = field(default_factory=dict)
    gate: asyncio.Event | None = None


class Loopback:
    """Keeps what it was asked, and answers what it was told, in order; the last answer stays."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[ReceivedRequest] = []
        self.replies: deque[Reply] = deque([Reply()])
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=METHODS)])

    def answers(self, *replies: Reply) -> None:
        self.replies = deque(replies)

    async def _answer(self, request: Request) -> Rendered:
        reply = self.replies.popleft() if len(self.replies) > 1 else self.replies[0]
        path = request.scope["raw_path"].decode()
        port = request.client.port if request.client else 0
        query = request.scope["query_string"].decode()
        self.seen.append(
            ReceivedRequest(request.method, path, request.headers, await request.body(), port, query)
        )
        if reply.gate is not None:
            await reply.gate.wait()
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        return Rendered(body, status_code=reply.status, headers=reply.headers)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Loopback"]:
        # asyncio switches Nagle's algorithm off only where the protocol is named: 40 ms a reply otherwise.
        with socket.socket(proto=socket.IPPROTO_TCP) as listening:
            listening.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            config = uvicorn.Config(self.app, lifespan="off", log_config=None, access_log=False)
            config.load()
            server = uvicorn.Server(config)
            server.lifespan = config.lifespan_class(config)
            await server.startup(sockets=[listening])
            try:
                yield self
            finally:
                # Not Server.shutdown(), which looks only every tenth of a second whether it is over.
                for one in server.servers:
                    one.close()
                for connection in list(server.server_state.connections):
                    connection.shutdown()
                await wait_until(lambda: not server.server_state.connections)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """A server below HTTP: `handler` gets each connection and does to it what it likes."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.url = ""
        self.heads: list[bytes] = []
        self.connections = 0

    async def head(self, reader: asyncio.StreamReader) -> bytes:
        """One request up to its empty line; b"" when the client has gone."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        self.heads.append(head)
        return head

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._handler(reader, writer)
        finally:
            writer.close()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["RawServer"]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with a TCP reset."""
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
    )
    writer.transport.abort()


async def get(
    http: HttpClient, url: str, method: str = "GET", *, timeout: float = 5.0, fresh: bool = False
) -> Response:
    return await http.send(
        "ask", method, f"{url}/x", credentials=BASIC, timeout=timeout, fresh_connection=fresh
    )


async def failed(
    http: HttpClient, url: str, method: str = "GET", *, timeout: float = 5.0, fresh: bool = False
) -> BandwidthError:
    with pytest.raises(BandwidthError) as caught:
        await get(http, url, method, timeout=timeout, fresh=fresh)
    return caught.value
