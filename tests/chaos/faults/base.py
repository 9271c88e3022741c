"""What all kinds of weather have in common."""

import asyncio
import random  # noqa: TID251 - seeded, so that a storm can be had again
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import msgspec

from tests.chaos.plan import Turn
from tests.chaos.scenarios.runner import AT_ONCE, MIX, RATE, Mix
from tests.chaos.stores import SiteStore
from tests.simulator.webhooks import DeliveryFault
from tests.stores import RestartableStore

if TYPE_CHECKING:
    from tests.chaos.site import Site


LONG_CREATE_SETTINGS = MappingProxyType({"CHAOS_UNHEARD": "45"})
"""Of replicas in weather that may hold createCall, or keep callers waiting, for long: seconds until a call
that is not heard of is given up."""
MAX_PENDING_FAULTS = 3
"""Faults on order for one operation at most: while the store is away nothing is asked, and they pile up."""


class Counts(msgspec.Struct):
    """What has been played."""

    drops: int = 0
    duplicates: int = 0
    delays: int = 0
    faults: int = 0
    expiries: int = 0


class FaultProfile:
    """One kind: what stands there when it begins, and what goes wrong until `stop`.

    The base class is fine weather. `dice` makes the same decisions for the same seed, if not at the same
    instants. Whatever is done to replicas, the store or the way between is also written into `site.troubles`:
    the judge excuses nothing that is not there, or in the simulator's journal of what was struck.
    """

    settings: ClassVar[Mapping[str, str]] = {}
    """Of the replicas, beyond those that every storm has."""
    calls_per_second: ClassVar[float] = RATE
    max_concurrent: ClassVar[int] = AT_ONCE
    min_seconds: ClassVar[float] = 0.0
    """Seconds over which the lives begin at least: trouble that takes its time needs calls all the while."""
    repeat_share: ClassVar[float] = 0.04
    """Share of webhooks that come once more, up to some seconds after they were answered."""
    mix: ClassVar[Mix] = MIX
    """Which lives its turns have."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.counts = Counts()
        self._over = asyncio.Event()

    @classmethod
    def cannot_run(cls) -> str:
        """What this weather wants and this machine does not have, in one line. Empty: it can be played."""
        return ""

    @classmethod
    def runs_in_part(cls) -> str:
        """What of this weather this machine cannot play, and why, in one line. Empty: it plays all of it."""
        return ""

    def make_store(self, directory: Path) -> SiteStore:
        return RestartableStore(directory)

    def rate_of(self, turn: Turn) -> float:
        """Calls that begin in a second of this turn."""
        return (
            min(self.calls_per_second, turn.calls / self.min_seconds)
            if self.min_seconds
            else self.calls_per_second
        )

    async def prepare(self, site: "Site") -> None:
        """Before the replicas start."""

    async def close(self) -> None:
        """Ends what `prepare` has begun, once the replicas have ended."""

    async def inject(self, site: "Site") -> None:
        """Until `stop`, and until everything that was stopped runs again."""
        await self._over.wait()

    def heartbeat_fault(self) -> DeliveryFault:
        """What becomes of the next heartbeat of a browser on its way."""
        return DeliveryFault()

    def may_begin_call(self) -> bool:
        """Whether another call is to begin."""
        return True

    def stop(self, site: "Site") -> None:
        self._over.set()
        site.simulator.webhooks.delivery_fault = lambda _event_type, _url: DeliveryFault()
        site.simulator.faults.clear()
        site.simulator.latency = 0.0

    def may_add_fault(self, site: "Site", operation: str) -> bool:
        """Whether another fault may be put on order for this operation."""
        return site.simulator.faults.pending(operation) < MAX_PENDING_FAULTS

    async def wait(self, seconds: float) -> bool:
        """Wait; False once the weather is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()
        return not self._over.is_set()
