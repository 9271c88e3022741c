"""A connection of a hostile client: what is said on it byte by byte, and what comes back."""

import asyncio
import socket
from typing import Any, Final, NamedTuple

import msgspec

_HEAD_END: Final = b"\r\n\r\n"
_OVERLOADED: Final = ":overloaded"


class HttpResponse(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def label(self) -> str:
        """Its status; `503 overloaded` as in docs/edge.md: no place, nothing done, when to come again."""
        if self.status == 503 and "retry-after" in self.headers and self._kind.endswith(_OVERLOADED):
            return "503 overloaded"
        return str(self.status)

    @property
    def _kind(self) -> str:
        try:
            problem: dict[str, Any] = msgspec.json.decode(self.body)
            return str(problem.get("type"))
        except (msgspec.DecodeError, AttributeError):
            return ""


def request(method: str, path: str, headers: dict[str, str], length: int | None) -> bytes:
    """The head of it. `length` of the body; None for one in chunks."""
    framed = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    every = {"Host": "bridge.test", "Content-Type": "application/json", **framed, **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in every.items()), "", ""]
    return "\r\n".join(lines).encode()


class HttpConnection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, port: int, *, window: int = 0) -> "HttpConnection":
        """`window`: bytes that may wait unread at this end; 0 for what is usual."""
        end = socket.socket()
        end.setblocking(False)
        if window:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        try:
            await asyncio.get_running_loop().sock_connect(end, ("127.0.0.1", port))
            return cls(*await asyncio.open_connection(sock=end))
        except BaseException:
            end.close()
            raise

    async def say(self, raw: bytes) -> None:
        self._writer.write(raw)
        await self._writer.drain()

    async def drip(self, raw: bytes, every: float) -> None:
        """Byte by byte; seconds."""
        for one in raw:
            await self.say(bytes((one,)))
            await asyncio.sleep(every)

    async def answer(self) -> HttpResponse:
        """The head, and the body where it says how long that is. Raises EOFError."""
        head = (await self._reader.readuntil(_HEAD_END)).decode("latin-1")
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return HttpResponse(int(first.split()[1]), headers, body)

    async def until(self, mark: bytes) -> bytes:
        """What comes up to this mark. Raises EOFError."""
        return await self._reader.readuntil(mark)

    async def listen(self) -> int:
        """Take what comes until the other side closes; bytes."""
        taken = 0
        while some := await self._reader.read(65536):
            taken += len(some)
        return taken

    def end(self) -> None:
        """Say nothing more; the other side then closes, and whoever listens is done."""
        self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()
