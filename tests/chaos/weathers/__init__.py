"""The kinds of weather, by the name that CHAOS_WEATHER gives them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.chaos.weathers.base import Weather
from tests.chaos.weathers.calm import Calm
from tests.chaos.weathers.kills import Kills

WEATHERS: Final[Mapping[str, type[Weather]]] = MappingProxyType(
    {
        "calm": Calm,
        "kills": Kills,
    }
)
