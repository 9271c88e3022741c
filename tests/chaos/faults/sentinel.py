"""The store is a Sentinel set, whose master changes: as planned, in both ways there are, and by being killed.

With STORE_REPLICAS=1 and Sentinels that can be heard nothing is lost that was acknowledged. So no loss is
excused: no replica of the service is killed here.
"""

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tests.chaos.faults.base import FaultProfile
from tests.chaos.fleet import Downtime
from tests.chaos.stores import SentinelSet
from tests.simulator.clock import monotonic

if TYPE_CHECKING:
    from tests.chaos.site import Site

KILLED = "killed"
COORDINATED = "COORDINATED"
"""The old master waits for its replica before they change places."""
PLAIN = "plain"
"""The replica is promoted, and the old master takes writes for another 10 s."""


class SentinelFailovers(FaultProfile):
    settings: ClassVar[Mapping[str, str]] = {"STORE_REPLICAS": "1"}
    calls_per_second = 7.0

    def make_store(self, directory: Path) -> SentinelSet:
        self._store = SentinelSet(directory)
        return self._store

    async def inject(self, site: "Site") -> None:
        ways = [COORDINATED, PLAIN, KILLED]
        self.dice.shuffle(ways)
        for way in cycle(ways):
            if not await self.wait(self.dice.uniform(1, 3)):
                return
            await self._fail_over(site, way)

    async def _fail_over(self, site: "Site", way: str) -> None:
        """Until the former master is a replica."""
        store = self._store
        outage = Downtime(monotonic())
        site.fleet.outages.append(outage)
        kind = "failover-killed" if way == KILLED else "failover-planned"
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
