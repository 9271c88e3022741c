"""The kinds of weather, by the name that CHAOS_WEATHER gives them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.chaos.weathers.base import Weather
from tests.chaos.weathers.browsers import Browsers
from tests.chaos.weathers.calm import Calm
from tests.chaos.weathers.clock import Clock
from tests.chaos.weathers.freeze import Freeze
from tests.chaos.weathers.gateway_pages import GatewayPages
from tests.chaos.weathers.kills import Kills
from tests.chaos.weathers.lost_answers import LostAnswers
from tests.chaos.weathers.one_operation import OneOperation
from tests.chaos.weathers.one_sided import OneSided
from tests.chaos.weathers.orders import Orders
from tests.chaos.weathers.sentinel import SentinelFailovers
from tests.chaos.weathers.slow_creates import SlowCreates
from tests.chaos.weathers.store_minutes import StoreMinutes
from tests.chaos.weathers.two_releases import TwoReleases
from tests.chaos.weathers.wrong_bodies import WrongBodies

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
