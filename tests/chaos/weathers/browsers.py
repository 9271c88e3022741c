"""Mostly browsers and listeners: heartbeats and webhooks get lost, or come late or twice."""

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from tests.chaos.scenarios.lives import Mix
from tests.chaos.weathers.kills import Kills
from tests.simulator.webhooks import Fate

if TYPE_CHECKING:
    from tests.chaos.site import Site

LOST = 0.1
"""Share of the heartbeats."""


class Browsers(Kills):
    mix: ClassVar[Mix] = MappingProxyType(
        {"calls": 3, "orders": 1, "browsers": 4, "visitors": 5, "listeners": 2}
    )

    async def blow(self, site: "Site") -> None:
        self._site = site
        site.simulator.webhooks.fate = self._fate
        await self._trouble_replicas()

    def heartbeat_fate(self) -> Fate:
        if self._over.is_set():
            return Fate()
        dice = self.dice
        lost, late, twice = dice.random() < LOST, dice.random() < LOST, dice.random() < LOST
        return Fate(lost=lost, delay=dice.uniform(0.05, 1.0) if late else 0.0, copies=2 if twice else 1)
