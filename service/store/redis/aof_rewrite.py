"""Writes the append-only file of the embedded store anew. What was deleted is in it until then.

The server does so by itself when its file has doubled, which may be never. Nobody else looks after this file;
that of a store which REDIS_URL names is a matter of whoever runs it.
"""

import asyncio
from typing import Final

import structlog

from service.store.redis.client import Client
from service.store.errors import StoreUnavailable
from service.store.health import said
from service.tasks import is_set_within, surviving

_LOOK: Final = 1.0
_REWRITE: Final = ("BGREWRITEAOF",)
_INFO: Final = ("INFO", "persistence")

log = structlog.get_logger()


class FileRewriter:
    """A loop: at the start, soon after an erasure, and `every` so many seconds.

    Device tokens are deleted with every call. But each rewriting writes the whole store: there are `settle`
    seconds between two of them.
    """

    def __init__(self, client: Client, *, every: float, settle: float) -> None:
        self._client = client
        self._every = every
        self._settle = settle
        self._over = asyncio.Event()
        self._wanted = asyncio.Event()
        self._is_well = True

    def erased(self) -> None:
        """Something was erased, and is to be in no file any more soon."""
        self._wanted.set()

    async def run(self) -> None:
        """Until `stop`."""
        while not self._over.is_set():
            # Before it begins: what is erased from now on may be in it still.
            self._wanted.clear()
            with surviving("rewrite"):
                await self.rewrite()
            await is_set_within(self._over, self._settle)
            await is_set_within(self._wanted, self._every)

    def stop(self) -> None:
        self._over.set()
        self._wanted.set()

    async def rewrite(self) -> None:
        """From beginning to end. A failure is told once, and tried again after a while."""
        try:
            failure = await self._rewritten()
        except StoreUnavailable as error:
            failure = str(error)
        if failure:
            self._wanted.set()
            if self._is_well:
                hint = "see server.log beside the data, and whether its disk is full"
                log.warning("store.rewrite_failed", error=failure, hint=hint)
        self._is_well = not failure

    async def _rewritten(self) -> str:
        """Why it was not; empty where it was. Raises StoreUnavailable."""
        while await self._is_busy():
            # It may have begun before the erasure.
            if await is_set_within(self._over, _LOOK):
                return ""
        await self._client.ask_all([_REWRITE])
        while await self._is_busy():
            if await is_set_within(self._over, _LOOK):
                return ""
        status = (await self._persistence()).get("aof_last_bgrewrite_status", "")
        return "" if status == "ok" else f"aof_last_bgrewrite_status: {status}"

    async def _is_busy(self) -> bool:
        found = await self._persistence()
        return "1" in (found.get("aof_rewrite_in_progress"), found.get("aof_rewrite_scheduled"))

    async def _persistence(self) -> dict[str, str]:
        [[info]] = await self._client.ask_all([_INFO])
        return dict(said(info))
