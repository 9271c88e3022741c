"""Knows whether new calls are taken. It is read once a second, so that no webhook has to."""

import asyncio
from typing import Final

import structlog

from service.metrics import Metrics
from service.store.errors import StoreError
from service.store.pause import PauseState, PauseSwitch
from service.tasks import repeat

log = structlog.get_logger()

_EVERY: Final = 1.0


class PauseWatch:
    def __init__(self, switch: PauseSwitch, metrics: Metrics) -> None:
        self.current: PauseState | None = None
        """None while calls are taken; while the store is away what was known before."""
        self._switch = switch
        self._metrics = metrics
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`."""
        await repeat("pause", self.refresh, every=_EVERY, stop=self._stopped)

    def stop(self) -> None:
        self._stopped.set()

    async def refresh(self) -> None:
        try:
            found = await self._switch.read()
        except StoreError:
            return
        if found and not self.current:
            log.warning("service.paused")
        elif self.current and not found:
            log.info("service.resumed")
        self.current = found
        self._metrics.paused(is_paused=found is not None)
