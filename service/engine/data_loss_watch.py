"""Whether the store keeps what it is told: what it has lost says so by itself to nobody."""

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from service.clock import Clock
from service.metrics import Metrics
from service.store.errors import StoreError
from service.store.health import Evictions
from service.store.marker import Markers
from service.tasks import repeated

log = structlog.get_logger()

_QUIET: Final = 600.0
"""Seconds without any, after which what is lost or evicted is told anew."""


class _Spell:
    """Something that goes on for a while is told once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest = -math.inf

    def begins(self) -> bool:
        now = self._clock.monotonic()
        begins = now - self._latest > _QUIET
        self._latest = now
        return begins


class StoreWatch:
    """Looks every so many seconds. While the store is away it waits."""

    def __init__(
        self,
        *,
        markers: Markers,
        evictions: Evictions,
        new_id: Callable[[], str],
        every: float,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._markers = markers
        self._evictions = evictions
        self._new_id = new_id
        self._every = every
        self._metrics = metrics
        self._loss = _Spell(clock)
        self._eviction = _Spell(clock)
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`."""
        await repeated("watch", self.look, every=self._every, over=self._over)

    def stop(self) -> None:
        self._over.set()

    async def look(self) -> None:
        with suppress(StoreError):
            await self._look_for_losses()
        with suppress(StoreError):
            await self._look_for_evictions()

    async def _look_for_losses(self) -> None:
        lost, new = await self._markers.look(self._new_id())
        if new:
            log.info("store.marked", partitions=new)
        if lost.gone or lost.back:
            self._metrics.store_lost()
            if self._loss.begins():
                hint = "find out who emptied or replaced it, then docs/runbook.md, PstnStoreLost"
                log.error("store.state_lost", partitions=lost.gone, back_s=round(lost.back), hint=hint)

    async def _look_for_evictions(self) -> None:
        found = await self._evictions.look()
        if found is None:
            return
        self._metrics.evicted(found.all)
        if found.new and self._eviction.begins():
            hint = (
                "set maxmemory-policy to noeviction, and raise maxmemory, which helps now; a lower "
                "ENDED_CALL_DAYS and STORE_FORMAT=2 help only for calls that end from now on"
            )
            log.error("store.evicted", keys=found.new, hint=hint)
