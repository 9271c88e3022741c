"""Scans, slowly and all the time, for calls and rooms that no agenda entry would ever look at."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from service.calls.refs import PARTITIONS
from service.clock import Clock
from service.engine.outbox.wakeup import WorkerSignal
from service.logs import log_context
from service.metrics import Metrics
from service.store.errors import StoreError
from service.store.unscheduled import UnscheduledSearch
from service.tasks import log_failures, wait_set

log = structlog.get_logger()

_PAUSE: Final = 0.1
"""Seconds between two steps in one partition."""


class UnscheduledScanner:
    """`every`: seconds for a round through all partitions, one after the other."""

    def __init__(
        self, *, search: UnscheduledSearch, signal: WorkerSignal, clock: Clock, metrics: Metrics, every: float
    ) -> None:
        self._search = search
        self._signal = signal
        self._clock = clock
        self._metrics = metrics
        self._pause = every / PARTITIONS
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`."""
        partition = 0
        while not await wait_set(self._stopped, self._pause):
            with log_failures("search"), suppress(StoreError):
                await self.scan(partition)
            partition = (partition + 1) % PARTITIONS

    def stop(self) -> None:
        self._stopped.set()

    async def scan(self, partition: int) -> None:
        """Raises StoreError."""
        async for found in self._search.scan(partition, now=self._clock.now()):
            for owner, what in found:
                kind, _, name = owner.partition(":")
                with log_context(**{"ref" if kind == "call" else "room": name}):
                    log.warning("owed.forgotten", effect=what)
                self._metrics.reconciler_find("forgotten")
                self._signal.notify(owner)
            if await wait_set(self._stopped, _PAUSE):
                return
