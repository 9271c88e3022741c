"""Plays the lives of a turn. Each has dice of its own: it decides the same whatever becomes of others."""

import asyncio
import random  # noqa: TID251 - seeded, so that a storm can be had again
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from tests.chaos.api import OperatorApi
from tests.chaos.plan import Turn
from tests.chaos.records import Records
from tests.chaos.scenarios import browsers, calls, listeners, orders, visitors
from tests.chaos.scenarios.rooms import ROOMS
from tests.chaos.scenarios.shared import ScenarioContext, ScenarioFunction
from tests.simulator.clock import monotonic
from tests.simulator.simulator import Simulator
from tests.simulator.webhooks import DeliveryFault

SCENARIOS: Final[Mapping[str, ScenarioFunction]] = MappingProxyType(
    {
        "calls": calls.play,
        "orders": orders.play,
        "browsers": browsers.play,
        "visitors": visitors.play,
        "listeners": listeners.play,
    }
)
Mix = Mapping[str, int]
"""How many of each kind of life there are, as parts of the whole."""
MIX: Final[Mix] = MappingProxyType({"calls": 12, "orders": 3, "browsers": 2, "visitors": 2, "listeners": 1})
RATE = 12.0
"""Lives that begin in a second."""
AT_ONCE = 60
"""Lives that go on at the same time, at most, without those that stay until the end."""


class ScenarioRunner:
    """`heartbeat_fate`: what becomes of the next heartbeat of a browser."""

    def __init__(
        self,
        simulator: Simulator,
        api: OperatorApi,
        turn: Turn,
        *,
        rate: float = RATE,
        at_once: int = AT_ONCE,
        mix: Mix = MIX,
        records: Records | None = None,
        heartbeat_fate: Callable[[], DeliveryFault] = DeliveryFault,
    ) -> None:
        self.begun = 0
        self.ended = 0
        self._api = api
        self._turn = turn
        self._rate = rate
        self._slots = asyncio.Semaphore(at_once)
        self._mix = mix
        self._shared = ScenarioContext(simulator, api, records or Records(), heartbeat_fate)

    async def prepare(self) -> None:
        for room, settings in ROOMS.items():
            answer = await self._api.send("PUT", f"/rooms/{room}", settings)
            assert answer is not None, "no replica lets a room be set up"
            assert answer.is_success, answer.text

    async def play(self, goes_on: Callable[[], bool]) -> None:
        """Until the last of them is over, but for those that stay. `goes_on`: whether another is to begin."""
        begun = monotonic()
        async with asyncio.TaskGroup() as group:
            for number in self._turn.numbers:
                await asyncio.sleep(begun + number / self._rate - monotonic())
                if not goes_on():
                    return
                group.create_task(self._play_one(number, goes_on))

    async def end_browsers(self) -> None:
        """Browsers that have stayed leave: to be called in calm weather, before all is settled."""
        await self._shared.part()

    async def end_listeners(self) -> None:
        """Listeners that have stayed leave: to be called when all is settled."""
        await self._shared.end()

    async def _play_one(self, number: int, goes_on: Callable[[], bool]) -> None:
        async with self._slots:
            if not goes_on():
                return
            self.begun += 1
            dice = random.Random(f"{self._turn.seed} {number}")
            [kind] = dice.choices(list(self._mix), list(self._mix.values()))
            await SCENARIOS[kind](self._shared, number, dice)
            self.ended += 1
