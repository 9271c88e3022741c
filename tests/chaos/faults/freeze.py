"""One replica stands still for seconds and goes on; so does the store. Never two of them at the same time."""

from contextlib import suppress
from typing import TYPE_CHECKING

from tests.chaos.faults.base import LONG_CREATE_SETTINGS, FaultProfile
from tests.chaos.operations import CREATES
from tests.chaos.stopped_process import stopped
from tests.simulator.clock import monotonic

if TYPE_CHECKING:
    from tests.chaos.fleet import ReplicaAddress
    from tests.chaos.site import Site

FIRST_ADDRESS = 0.6
"""Share of the address that webhooks go to first, among replicas that stand still."""
STORE = 0.25
SHORT = (2.0, 6.0)
"""Seconds, about the budget of a webhook."""
LONG = (8.0, 20.0)
"""Beyond Bandwidth's timeout of a webhook, and beyond the lease of a worker."""
OF_THE_STORE = (1.0, 5.0)
BETWEEN = (1.5, 4.0)
IN_A_JOIN = 0.6
"""Share of those replicas that are stopped in the middle of a join: what they go on with is stale by then."""
PATIENCE = 3.0
"""Seconds in which a join is waited for."""


class FrozenProcesses(FaultProfile):
    settings = LONG_CREATE_SETTINGS
    calls_per_second = 6.0
    min_seconds = 40.0

    async def inject(self, site: "Site") -> None:
        dice = self.dice
        while await self.wait(dice.uniform(*BETWEEN)):
            if dice.random() < STORE:
                await self._freeze_store(site, dice.uniform(*OF_THE_STORE))
            else:
                first, second = site.fleet.addresses
                address = first if dice.random() < FIRST_ADDRESS else second
                await self._freeze(site, address, dice.uniform(*dice.choice([SHORT, LONG])))

    async def _freeze(self, site: "Site", address: "ReplicaAddress", seconds: float) -> None:
        if self.dice.random() < IN_A_JOIN:
            await _create_of(site, address)
        trouble = site.troubles.begin("frozen", monotonic(), host=address.host)
        with stopped(address.pid):
            await self.wait(seconds)
        trouble.over = monotonic()

    async def _freeze_store(self, site: "Site", seconds: float) -> None:
        pid = await site.store.pid()
        trouble = site.troubles.begin("store-frozen", monotonic())
        with stopped(pid):
            await self.wait(seconds)
        trouble.over = monotonic()


async def _create_of(site: "Site", address: "ReplicaAddress") -> None:
    """Until Bandwidth is about to answer a create of this replica, or for as long as patience lasts."""
    requests = site.simulator.requests
    seen = len(requests)
    with suppress(AssertionError):
        await site.simulator.until(
            lambda: any(one.operation in CREATES and one.host == address.host for one in requests[seen:]),
            timeout=PATIENCE,
        )
