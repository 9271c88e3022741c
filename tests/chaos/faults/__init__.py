"""The kinds of weather, by the name that CHAOS_WEATHER gives them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.chaos.faults.base import Weather
from tests.chaos.faults.browsers import Browsers
from tests.chaos.faults.calm import Calm
from tests.chaos.faults.clock import Clock
from tests.chaos.faults.freeze import Freeze
from tests.chaos.faults.gateway_pages import GatewayPages
from tests.chaos.faults.kills import Kills
from tests.chaos.faults.lost_answers import LostAnswers
from tests.chaos.faults.one_operation import OneOperation
from tests.chaos.faults.one_sided import OneSided
from tests.chaos.faults.orders import Orders
from tests.chaos.faults.sentinel import SentinelFailovers
from tests.chaos.faults.slow_creates import SlowCreates
from tests.chaos.faults.store_minutes import StoreMinutes
from tests.chaos.faults.two_releases import TwoReleases
from tests.chaos.faults.wrong_bodies import WrongBodies

WEATHERS: Final[Mapping[str, type[Weather]]] = MappingProxyType(
    {
        "calm": Calm,
        "kills": Kills,
        "gateway-pages": GatewayPages,
        "one-operation": OneOperation,
        "slow-creates": SlowCreates,
        "lost-answers": LostAnswers,
        "wrong-bodies": WrongBodies,
        "store-minutes": StoreMinutes,
        "freeze": Freeze,
        "clock": Clock,
        "one-sided": OneSided,
        "sentinel": SentinelFailovers,
        "two-releases": TwoReleases,
        "browsers": Browsers,
        "orders": Orders,
    }
)
