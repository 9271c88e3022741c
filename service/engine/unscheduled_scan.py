"""Looks, slowly and all the time, for calls and rooms that nobody would ever look at again."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from service.calls.refs import PARTITIONS
from service.clock import Clock
from service.engine.outbox.wakeup import Alarm
from service.logs import bound
from service.metrics import Metrics
from service.store.errors import StoreError
from service.store.unscheduled import Search
from service.tasks import is_set_within, surviving

log = structlog.get_logger()

_PAUSE: Final = 0.1
"""Seconds between two steps in one partition."""


class Searcher:
    """`every`: seconds for a round through all partitions, one after the other."""

    def __init__(self, *, search: Search, alarm: Alarm, clock: Clock, metrics: Metrics, every: float) -> None:
        self._search = search
        self._alarm = alarm
        self._clock = clock
        self._metrics = metrics
        self._pause = every / PARTITIONS
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`."""
        partition = 0
        while not await is_set_within(self._over, self._pause):
            with surviving("search"), suppress(StoreError):
                await self.look_through(partition)
            partition = (partition + 1) % PARTITIONS

    def stop(self) -> None:
        self._over.set()

    async def look_through(self, partition: int) -> None:
        """Raises StoreError."""
        async for found in self._search.through(partition, now=self._clock.now()):
            for owner, what in found:
                kind, _, name = owner.partition(":")
                with bound(**{"ref" if kind == "call" else "room": name}):
                    log.warning("owed.forgotten", effect=what)
                self._metrics.found("forgotten")
                self._alarm.wake(owner)
            if await is_set_within(self._over, _PAUSE):
                return
