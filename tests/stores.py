"""A store for tests that are hard on it."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.store.redis.embedded import EmbeddedServer
from tests.waiting import wait_until


class RestartableStore:
    """A server of the test's own, to be killed and started again."""

    def __init__(self, directory: Path, server: EmbeddedServer | None = None) -> None:
        self._server = server or EmbeddedServer(directory, appendfsync="always")
        self.url = ""
        self.journal = directory / "appendonlydir"
        """Of all that was ever written to it, in order."""

    async def start(self) -> None:
        self.url = await self._server.start()
        async with Redis.from_url(self.url) as client:
            # A journal that is written anew forgets what is no longer there.
            await client.config_set("auto-aof-rewrite-percentage", 0)

    def client(self) -> Redis:
        return Redis.from_url(self.url, decode_responses=True)

    async def named(self) -> int | None:
        """Nothing: there is one server only."""
        return None

    async def pid(self) -> int:
        """Of the server that runs."""
        async with Redis.from_url(self.url) as client:
            return int((await client.info("server"))["process_id"])

    async def kill(self) -> None:
        pid = await self.pid()
        os.kill(pid, signal.SIGKILL)
        await wait_until(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not _command(pid))

    async def stop(self) -> None:
        await self._server.stop()
        if not self.url:
            # It has never started.
            return
        async with Redis.from_url(self.url, retry=None) as client:
            with suppress(RedisError):
                await client.ping()
                raise AssertionError("the store's server was left running")


def _command(pid: int) -> bytes:
    """Empty for a process that has ended and was not waited for yet."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
