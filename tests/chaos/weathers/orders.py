"""Mostly orders, by two operators at the same call: webhooks get lost, replicas come and go."""

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from tests.chaos.scenarios.lives import Mix
from tests.chaos.weathers.kills import Kills

if TYPE_CHECKING:
    from tests.chaos.site import Site


class Orders(Kills):
    mix: ClassVar[Mix] = MappingProxyType(
        {"calls": 2, "orders": 10, "browsers": 1, "visitors": 1, "listeners": 1}
    )

    async def blow(self, site: "Site") -> None:
        self._site = site
        site.simulator.webhooks.fate = self._fate
        await self._trouble_replicas()
