"""Defines the clock that the service is given, so that tests can set the time."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for what is stored and shared between replicas, monotonic time for what is measured."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment of this process."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock: the one place that asks it."""

    def now(self) -> float:
        return time.time()  # noqa: TID251 - this is the one place

    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
