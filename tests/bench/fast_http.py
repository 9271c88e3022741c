"""HTTP as cheaply as it can be had: the side that measures must not be what is measured."""

import asyncio
import base64
from collections import deque
from typing import Final, NamedTuple, cast

_CONTENT_LENGTH: Final = b"content-length:"


class FastResponse(NamedTuple):
    status: int
    body: bytes


class FastConnection(asyncio.Protocol):
    """One request at a time over a connection that is kept. The server says how long each body is."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[FastResponse] | None = None
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are not of asyncio's class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed by the server"))

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            return  # what an answer without an end goes on with
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(_CONTENT_LENGTH):
                length = int(line[len(_CONTENT_LENGTH) :])
        if len(body) >= length:
            self._received = b""
            self._answer.set_result(FastResponse(int(head[9:12]), body))
            self._answer = None

    def begin(self, request: bytes) -> None:
        assert self._transport is not None
        self._transport.write(request)

    async def ask(self, request: bytes) -> FastResponse:
        answer: asyncio.Future[FastResponse] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self.begin(request)
        return await answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class FastClient:
    """As many connections as there are requests at once, all kept."""

    def __init__(self, port: int, *, username: str = "", password: str = "", bearer: str = "") -> None:
        self._port = port
        self._idle: deque[FastConnection] = deque()
        self._head = f"host: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        if username:
            basic = base64.b64encode(f"{username}:{password}".encode()).decode()
            self._head += f"authorization: Basic {basic}\r\n"
        elif bearer:
            self._head += f"authorization: Bearer {bearer}\r\n"

    async def send(self, method: str, path: str, body: bytes = b"") -> FastResponse:
        connection = self._kept() or await self._connect()
        head = f"{method} {path} HTTP/1.1\r\n{self._head}content-length: {len(body)}\r\n\r\n"
        answer = await connection.ask(head.encode() + body)
        self._idle.append(connection)
        return answer

    async def opened(self, method: str, path: str) -> int:
        """The status of an answer that may have no end, on a connection of its own."""
        connection = await self._connect()
        head = f"{method} {path} HTTP/1.1\r\n{self._head}content-length: 0\r\n\r\n"
        answer = await connection.ask(head.encode())
        self._idle.append(connection)
        return answer.status

    def _kept(self) -> FastConnection | None:
        """One that the server has not closed meanwhile, as it does with those that are idle for long."""
        while self._idle:
            if (connection := self._idle.pop()).open:
                return connection
        return None

    async def _connect(self) -> FastConnection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(FastConnection, "127.0.0.1", self._port)
        return connection

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
