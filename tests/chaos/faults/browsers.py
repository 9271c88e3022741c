"""Mostly browsers and listeners: heartbeats and webhooks come late, twice or never; replicas come and go."""

from types import MappingProxyType
from typing import ClassVar

from tests.chaos.faults.kills import RestlessReplicas
from tests.chaos.scenarios.runner import Mix
from tests.simulator.webhooks import DeliveryFault

LOST = 0.1
"""Share of the heartbeats."""


class MostlyBrowsers(RestlessReplicas):
    mix: ClassVar[Mix] = MappingProxyType(
        {"calls": 3, "orders": 1, "browsers": 4, "visitors": 5, "listeners": 2}
    )

    def heartbeat_fault(self) -> DeliveryFault:
        if self._over.is_set():
            return DeliveryFault()
        dice = self.dice
        lost, late, twice = dice.random() < LOST, dice.random() < LOST, dice.random() < LOST
        return DeliveryFault(
            lost=lost, delay=dice.uniform(0.05, 1.0) if late else 0.0, copies=2 if twice else 1
        )
