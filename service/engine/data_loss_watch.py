"""Watches whether the store keeps what it is told. A store says nothing of what it has lost."""

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from service.clock import Clock
from service.metrics import Metrics
from service.store.errors import StoreError
from service.store.health import EvictionCounter
from service.store.marker import Markers
from service.tasks import repeat

log = structlog.get_logger()

_QUIET_PERIOD: Final = 600.0
"""Seconds without any, after which what is lost or evicted is told anew."""


class _Episode:
    """Something that goes on for a while is told once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest = -math.inf

    def is_new(self) -> bool:
        now = self._clock.monotonic()
        begins = now - self._latest > _QUIET_PERIOD
        self._latest = now
        return begins


class DataLossWatch:
    """Looks every so many seconds. While the store is away it waits."""

    def __init__(
        self,
        *,
        markers: Markers,
        evictions: EvictionCounter,
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
        self._loss = _Episode(clock)
        self._eviction = _Episode(clock)
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`."""
        await repeat("watch", self.check, every=self._every, stop=self._stopped)

    def stop(self) -> None:
        self._stopped.set()

    async def check(self) -> None:
        with suppress(StoreError):
            await self._check_losses()
        with suppress(StoreError):
            await self._check_evictions()

    async def _check_losses(self) -> None:
        lost, new = await self._markers.check(self._new_id())
        if new:
            log.info("store.marked", partitions=new)
        if lost.lost_partitions or lost.rolled_back_seconds:
            self._metrics.store_lost()
            if self._loss.is_new():
                hint = "find out who emptied or replaced it, then docs/runbook.md, PstnStoreLost"
                log.error(
                    "store.state_lost",
                    partitions=lost.lost_partitions,
                    back_s=round(lost.rolled_back_seconds),
                    hint=hint,
                )

    async def _check_evictions(self) -> None:
        found = await self._evictions.read()
        if found is None:
            return
        self._metrics.evicted(found.total)
        if found.new and self._eviction.is_new():
            hint = (
                "set maxmemory-policy to noeviction, and raise maxmemory, which helps now; a lower "
                "ENDED_CALL_DAYS and STORE_FORMAT=2 help only for calls that end from now on"
            )
            log.error("store.evicted", keys=found.new, hint=hint)
