"""Many calls at once through two replicas, with everything that may go wrong going wrong now and then."""

import asyncio
import random  # noqa: TID251 - seeded, so that a storm can be had again
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from service.tasks import Tasks
from tests.harness import ORIGIN, nothing_left, serving
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.stores import Store

CALLS = 60
KINDS = ["initiate", "transferAnswer", "transferComplete", "transferDisconnect", "disconnect"]
OPERATIONS = [
    "createSession",
    "createParticipant",
    "addParticipantToSession",
    "removeParticipantFromSession",
    "deleteParticipant",
    "deleteSession",
]


class Storm:
    """Seeded: the same seed makes the same decisions, if not the same timing."""

    def __init__(self, simulator: Simulator, seed: int) -> None:
        self.simulator = simulator
        self.dice = random.Random(seed)

    async def call(self, number: int) -> None:
        dice = self.dice
        await asyncio.sleep(dice.uniform(0, 1.0))
        phone = await self.simulator.dial(to=f"+1555111000{dice.randrange(4)}", from_=f"+1555222{number:04}")
        if dice.random() < 0.4:
            await asyncio.sleep(dice.uniform(0, 0.08))
            await phone.hang_up()
            return
        try:
            await phone.until("bridged", timeout=20)
        except AssertionError:
            assert phone.stage == "ended", phone
            return
        await asyncio.sleep(dice.uniform(0, 0.3))
        await self._end(phone)

    async def _end(self, phone: Phone) -> None:
        if phone.stage == "bridged" and self.dice.random() < 0.3:
            await phone.far_end_hangs_up()
            # Should its transferComplete meet a dead store, the caller may have been put back into the room.
            await asyncio.sleep(0.2)
        await phone.hang_up()

    async def bad_store(self, store: Store, redis: Redis) -> None:
        """Killed and started again, or hanging, while calls come and go."""
        await asyncio.sleep(0.4)
        for kill in (True, False, True):
            if kill:
                await store.kill()
                await asyncio.sleep(self.dice.uniform(0, 0.8))
                await store.start()
            else:
                await redis.client_pause(int(self.dice.uniform(100, 1500)))
            await asyncio.sleep(self.dice.uniform(0.2, 0.8))

    async def trouble(self) -> None:
        """Until it is cancelled."""
        dice, simulator = self.dice, self.simulator
        while True:
            await asyncio.sleep(dice.uniform(0.01, 0.05))
            simulator.latency = dice.choice([0, 0.005, 0.03])
            simulator.webhooks.duplicate = {kind for kind in KINDS if dice.random() < 0.2}
            simulator.webhooks.delay = {kind: dice.uniform(0, 0.05) for kind in KINDS if dice.random() < 0.3}
            if dice.random() < 0.3:
                simulator.faults.add(dice.choice(OPERATIONS), status=dice.choice([429, 500, 503]))
            if dice.random() < 0.05 and simulator.sessions.sessions:
                simulator.expire_session(dice.choice(list(simulator.sessions.sessions)))

    def calm(self) -> None:
        self.simulator.webhooks.duplicate = set()
        self.simulator.webhooks.delay = {}
        self.simulator.faults.clear()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_nothing_is_left_when_the_storm_is_over(
    simulator: Simulator, store_url: str, redis: Redis, seed: int
) -> None:
    rooms = '{"+15551110000": "a", "+15551110001": "a", "+15551110002": "b"}'
    async with AsyncExitStack() as stack:
        replicas = [
            await stack.enter_async_context(serving(simulator, store_url, ROOM_MAP=rooms)) for _ in range(2)
        ]
        simulator.webhooks.map_origin(ORIGIN, *(replica.url for replica in replicas))
        storm = Storm(simulator, seed)
        troubled = Tasks().start(storm.trouble(), name="trouble")
        await asyncio.gather(*(storm.call(number) for number in range(CALLS)))
        troubled.cancel()
        storm.calm()
        await nothing_left(simulator, redis)
        _answered_well(simulator)
        assert not replicas[0].log(level="error")


@pytest.mark.parametrize("seed", [4, 5])
async def test_nothing_is_left_when_the_store_came_and_went(
    simulator: Simulator, tmp_path: Path, seed: int
) -> None:
    store = Store(tmp_path)
    await store.start()
    async with (
        serving(simulator, store.url, ROOM_POLICY="lobby") as replica,
        Redis.from_url(store.url) as redis,
    ):
        storm = Storm(simulator, seed)
        troubled = Tasks().start(storm.trouble(), name="trouble")
        calls = (storm.call(number) for number in range(CALLS))
        await asyncio.gather(storm.bad_store(store, redis), *calls)
        troubled.cancel()
        storm.calm()
        await nothing_left(simulator, redis, seconds=60)
        _answered_well(simulator)
        assert not replica.log(level="error")
    await store.stop()


def _answered_well(simulator: Simulator) -> None:
    slow = [one for one in simulator.deliveries if one.status is None or one.ms > 8000]
    assert not slow, slow
    assert {one.status for one in simulator.deliveries} <= {200, 204}
