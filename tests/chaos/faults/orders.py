"""Mostly orders, by two operators at the same call: webhooks get lost, replicas come and go."""

from types import MappingProxyType
from typing import ClassVar

from tests.chaos.faults.kills import RestlessReplicas
from tests.chaos.scenarios.runner import Mix


class MostlyOrders(RestlessReplicas):
    mix: ClassVar[Mix] = MappingProxyType(
        {"calls": 2, "orders": 10, "browsers": 1, "visitors": 1, "listeners": 1}
    )
