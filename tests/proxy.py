"""What lies between a service and its store, or Bandwidth: a way that may be slow, or pass nothing on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

HOST: Final = "127.0.0.1"


class SlowProxy:
    """Forwards what comes to `url` to a port; `delay` is in seconds, for each piece of an answer."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.delay = 0.0
        self.passes = asyncio.Event()
        """Cleared, nothing gets through, and nobody is told."""
        self.passes.set()
        self.url = self.http = ""
        self._writers: set[asyncio.StreamWriter] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError):
            there, back = await asyncio.open_connection(HOST, self.port)
            self._writers.add(back)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, back, slow=False))
                group.create_task(self._forward(there, writer, slow=True))

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(65536):
                await self.passes.wait()
                if slow and self.delay:
                    # As a long way does it: what comes meanwhile is on its way too.
                    asyncio.get_running_loop().call_later(self.delay, writer.write, piece)
                    continue
                writer.write(piece)
                await writer.drain()
        writer.close()

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[SlowProxy]:
    proxy = SlowProxy(port)
    server = await asyncio.start_server(proxy.accept, HOST, 0)
    at = server.sockets[0].getsockname()[1]
    proxy.url, proxy.http = f"redis://{HOST}:{at}/0", f"http://{HOST}:{at}"
    try:
        yield proxy
    finally:
        server.close()
        proxy.passes.set()
        proxy.hang_up()
        await server.wait_closed()
