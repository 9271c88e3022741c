"""A way between one replica and Bandwidth, or its store, which can be cut in three manners."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum

from tests.chaos.finding_timeline import IDS
from tests.waiting import wait_until

HOST = "127.0.0.1"
_PIECE = 65536
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Cut(Enum):
    REFUSES = "refuses"
    """Connections are broken, and new ones are refused."""
    HANGS = "hangs"
    """Nothing gets through in either direction until it is healed, and then all of it does."""
    HALVES = "halves"
    """Of each answer the first half gets through, and then the connection is broken."""


class SeverableProxy:
    """Listens at `port`, and passes on what comes to whatever `connect` reaches."""

    def __init__(self, connect: Callable[[], Awaitable[Streams]], swallowed: set[str] | None = None) -> None:
        """`swallowed` is added to: ids in answers to HTTP's POSTs that were not passed on as a whole."""
        self.port = 0
        self.cut_by: Cut | None = None
        self.swallowed = swallowed
        self.passes = asyncio.Event()
        self.passes.set()
        self._connect = connect
        self._server: asyncio.Server | None = None
        self._refusing: socket.socket | None = None
        self._links: set[_ProxyConnection] = set()

    async def open(self) -> None:
        await self._listen(_bound(0))

    async def cut(self, how: Cut) -> None:
        self.cut_by = how
        if how is Cut.HANGS:
            self.passes.clear()
        elif how is Cut.REFUSES:
            assert self._server is not None
            self._server.close()
            # Who has the port and does not listen refuses, and keeps it from others.
            self._refusing = _bound(self.port)
            for link in self._links:
                link.break_off()

    async def heal(self) -> None:
        self.cut_by = None
        self.passes.set()
        if self._refusing is not None:
            refusing, self._refusing = self._refusing, None
            await self._listen(refusing)

    async def close(self) -> None:
        self.passes.set()
        if self._refusing is not None:
            self._refusing.close()
        if self._server is not None:
            self._server.close()
        for link in self._links:
            link.close()
        await wait_until(lambda: not self._links)

    async def _listen(self, on: socket.socket) -> None:
        self._server = await asyncio.start_server(self._accept, sock=on)
        self.port = on.getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        link = _ProxyConnection(self, writer, back)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(link.ask(reader))
                group.create_task(link.answer(there))
        finally:
            self._links.discard(link)
            link.close()


class _ProxyConnection:
    """One connection."""

    def __init__(self, way: SeverableProxy, writer: asyncio.StreamWriter, back: asyncio.StreamWriter) -> None:
        self._way = way
        self._writer = writer
        self._back = back
        self._posted = False
        self._answer = bytearray()
        """What has come since the latest piece of a request."""
        self._passed_on = 0
        """Bytes of that."""
        self._broken = False

    def break_off(self) -> None:
        """For the replica; what is answered all the same is read, so that it is known what was swallowed."""
        self._broken = True
        self._writer.transport.abort()
        if self._way.swallowed is None:
            self._back.close()
        elif self._passed_on < len(self._answer):
            self._swallow(self._way.swallowed)

    def close(self) -> None:
        self._writer.close()
        self._back.close()

    async def ask(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE):
                # Of one request all pieces come before its answer.
                self._posted = piece.startswith(b"POST ") or (self._posted and not self._answer)
                self._answer.clear()
                self._passed_on = 0
                await self._way.passes.wait()
                self._back.write(piece)
                await self._back.drain()
        if not self._broken:
            self._back.close()

    async def answer(self, there: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while piece := await there.read(_PIECE):
                self._answer += piece
                await self._way.passes.wait()
                if not self._broken:
                    await self._pass_on(piece)
                elif self._way.swallowed is not None:
                    self._swallow(self._way.swallowed)
        self._writer.close()

    async def _pass_on(self, piece: bytes) -> None:
        halves = self._way.cut_by is Cut.HALVES
        passed = piece[: len(piece) // 2] if halves else piece
        self._passed_on += len(passed)
        self._writer.write(passed)
        await self._writer.drain()
        if halves:
            self.break_off()

    def _swallow(self, swallowed: set[str]) -> None:
        if self._posted:
            swallowed.update(IDS.findall(self._answer.decode("ascii", "replace")))


def _bound(port: int) -> socket.socket:
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind((HOST, port))
    return found
