"""The kinds of weather, by the name that CHAOS_WEATHER gives them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.chaos.faults.base import FaultProfile
from tests.chaos.faults.browsers import MostlyBrowsers
from tests.chaos.faults.calm import NoFaults
from tests.chaos.faults.clock import WrongClocks
from tests.chaos.faults.freeze import FrozenProcesses
from tests.chaos.faults.gateway_pages import GatewayPages
from tests.chaos.faults.kills import Kills
from tests.chaos.faults.lost_answers import LostAnswers
from tests.chaos.faults.one_operation import OneOperation
from tests.chaos.faults.one_sided import OneSided
from tests.chaos.faults.orders import MostlyOrders
from tests.chaos.faults.sentinel import SentinelFailovers
from tests.chaos.faults.slow_creates import SlowCreates
from tests.chaos.faults.store_minutes import StoreMinutes
from tests.chaos.faults.two_releases import TwoReleases
from tests.chaos.faults.wrong_bodies import WrongBodies

FAULT_PROFILES: Final[Mapping[str, type[FaultProfile]]] = MappingProxyType(
    {
        "calm": NoFaults,
        "kills": Kills,
        "gateway-pages": GatewayPages,
        "one-operation": OneOperation,
        "slow-creates": SlowCreates,
        "lost-answers": LostAnswers,
        "wrong-bodies": WrongBodies,
        "store-minutes": StoreMinutes,
        "freeze": FrozenProcesses,
        "clock": WrongClocks,
        "one-sided": OneSided,
        "sentinel": SentinelFailovers,
        "two-releases": TwoReleases,
        "browsers": MostlyBrowsers,
        "orders": MostlyOrders,
    }
)
