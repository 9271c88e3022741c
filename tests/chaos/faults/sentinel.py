"""The store is a Sentinel set, whose master changes: as planned, in both ways there are, and by being killed.

With STORE_REPLICAS=1 and Sentinels that can be heard nothing is lost that was acknowledged. So no loss is
excused: no replica of the service is killed here.
"""

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from service.clock import SystemClock
from tests.chaos.faults.base import FaultProfile
from tests.chaos.fleet import Downtime
from tests.chaos.stores import SentinelSet, master_changes
from tests.chaos.times import NEVER
from tests.simulator.clock import monotonic

if TYPE_CHECKING:
    from tests.chaos.site import Site
    from tests.chaos.troubles import Troubles

KILLED = "killed"
COORDINATED = "COORDINATED"
"""The old master waits for its replica before they change places."""
PLAIN = "plain"
"""The replica is promoted, and the old master takes writes for another 10 s."""

PLANNED_KIND = "failover-planned"
KILLED_KIND = "failover-killed"
ORDERED = (PLANNED_KIND, KILLED_KIND)
RECONNECTED = 2.0
"""Seconds until whoever has lost the master has found the new one."""


class SentinelFailovers(FaultProfile):
    settings: ClassVar[Mapping[str, str]] = {"STORE_REPLICAS": "1"}
    calls_per_second = 7.0
    _troubles: "Troubles"

    def make_store(self, directory: Path) -> SentinelSet:
        self._store = SentinelSet(directory)
        return self._store

    async def inject(self, site: "Site") -> None:
        self._troubles = site.troubles
        ways = [COORDINATED, PLAIN, KILLED]
        self.dice.shuffle(ways)
        for way in cycle(ways):
            if not await self.wait(self.dice.uniform(1, 3)):
                return
            await self._fail_over(site, way)

    async def close(self) -> None:
        """On a busy machine Sentinels also change the master by themselves."""
        ahead = SystemClock().now() - monotonic()
        ordered = self._troubles.between(0.0, NEVER, *ORDERED)
        for change in master_changes(self._store.sentinel_logs()):
            if not any(one.begun <= change.named - ahead <= one.over for one in ordered):
                trouble = self._troubles.begin(KILLED_KIND, change.begun - ahead, detail="by themselves")
                trouble.over = change.over - ahead + RECONNECTED
        self._troubles.all.sort(key=lambda one: one.begun)

    async def _fail_over(self, site: "Site", way: str) -> None:
        """Until the former master is a replica."""
        store = self._store
        outage = Downtime(monotonic())
        site.fleet.outages.append(outage)
        kind = KILLED_KIND if way == KILLED else PLANNED_KIND
        trouble = site.troubles.begin(kind, outage.begun, detail=way)
        if way == KILLED:
            await store.kill()
        else:
            await store.fail_over(*([COORDINATED] if way == COORDINATED else []))
        await store.replaced()
        # A former master tells what it knows to whoever is still connected to it. Only idle connections are
        # closed: while one is being made, that ends in an AttributeError of the client.
        await site.redis.connection_pool.disconnect(inuse_connections=False)
        outage.over = trouble.over = monotonic()
        if way == KILLED:
            await store.start()
        else:
            await store.whole()
