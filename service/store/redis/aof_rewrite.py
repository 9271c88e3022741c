"""Writes the append-only file of the embedded store anew. What was deleted is in it until then.

The server does so by itself when its file has doubled, which may be never. Nobody else looks after this file;
that of a store which REDIS_URL names is a matter of whoever runs it.
"""

import asyncio
from typing import Final

import structlog

from service.store.errors import StoreUnavailable
from service.store.health import parse_info
from service.store.redis.client import Client
from service.tasks import log_failures, wait_set

_LOOK: Final = 1.0
"""Seconds between two looks at a rewrite that is under way."""
_REWRITE: Final = ("BGREWRITEAOF",)
_INFO: Final = ("INFO", "persistence")

log = structlog.get_logger()


class AofRewriter:
    """A loop: at the start, soon after an erasure, and `every` so many seconds.

    Device tokens are deleted with every call. But each rewriting writes the whole store: there are
    `min_pause` seconds between two of them.
    """

    def __init__(self, client: Client, *, every: float, min_pause: float) -> None:
        self._client = client
        self._every = every
        self._min_pause = min_pause
        self._stop = asyncio.Event()
        self._requested = asyncio.Event()
        self._last_succeeded = True

    def request_rewrite(self) -> None:
        """Something was erased, and is to be in no file any more soon."""
        self._requested.set()

    async def run(self) -> None:
        """Until `stop`."""
        while not self._stop.is_set():
            # Before it begins: what is erased from now on may be in it still.
            self._requested.clear()
            with log_failures("rewrite"):
                await self.rewrite()
            await wait_set(self._stop, self._min_pause)
            await wait_set(self._requested, self._every)

    def stop(self) -> None:
        self._stop.set()
        self._requested.set()

    async def rewrite(self) -> None:
        """From beginning to end. A failure is told once, and tried again after a while."""
        try:
            failure = await self._try_rewrite()
        except StoreUnavailable as error:
            failure = str(error)
        if failure:
            self._requested.set()
            if self._last_succeeded:
                hint = "see server.log beside the data, and whether its disk is full"
                log.warning("store.rewrite_failed", error=failure, hint=hint)
        self._last_succeeded = not failure

    async def _try_rewrite(self) -> str:
        """Why it was not; empty where it was. Raises StoreUnavailable."""
        while await self._is_busy():
            # It may have begun before the erasure.
            if await wait_set(self._stop, _LOOK):
                return ""
        await self._client.send_to_masters([_REWRITE])
        while await self._is_busy():
            if await wait_set(self._stop, _LOOK):
                return ""
        status = (await self._persistence()).get("aof_last_bgrewrite_status", "")
        return "" if status == "ok" else f"aof_last_bgrewrite_status: {status}"

    async def _is_busy(self) -> bool:
        found = await self._persistence()
        return "1" in (found.get("aof_rewrite_in_progress"), found.get("aof_rewrite_scheduled"))

    async def _persistence(self) -> dict[str, str]:
        [[info]] = await self._client.send_to_masters([_INFO])
        return dict(parse_info(info))
