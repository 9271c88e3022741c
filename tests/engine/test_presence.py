"""Presence under the worker: a look that is put off for hours, or while something is told, is not lost."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from itertools import count
from typing import Any

import pytest
from redis.asyncio import Redis

from service.calls.effects import CheckPresence, Effect
from service.engine.browsers import AdmittedBrowser
from service.engine.outbox.protocols import RetryLater
from service.engine.outbox.wakeup import WorkerSignal
from service.engine.outbox.worker import Worker
from service.engine.timeouts import DEFAULT_TIMEOUTS, HOUR
from service.store import keys
from service.store.errors import StoreUnavailable
from service.store.outbox import Outbox
from service.store.redis.client import Client
from tests.clocks import SetClock
from tests.engine.parts import EngineParts
from tests.engine.test_effect_executor import RecordingEngine
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

ROOM = "lobby"
OWNER = keys.owner_room(ROOM)


class Bench:
    """A browser in its room, and a worker; what is to happen before and after each look is a test's."""

    def __init__(self, simulator: Simulator, client: Client) -> None:
        self.clock = SetClock()
        self.parts = EngineParts(simulator, client, self.clock)
        numbers = count(2)
        self.participants = self.parts.participants
        self.participants._new_name = lambda: f"{next(numbers):x}".rjust(16, "a")  # noqa: SLF001 - names differ
        self.performer = self.parts.performer(RecordingEngine())
        self.outbox = Outbox(client, worker="w", lease=45)
        self.fails = False
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        self.worker = Worker(
            outbox=self.outbox,
            executor=self,
            signal=WorkerSignal(),
            clock=self.clock,
            tasks=self.parts.tasks,
            jitter=lambda: 1.0,
            give_up_after=9 * HOUR,
        )

    async def execute(self, effect: Effect, *, attempt: int) -> None:
        if isinstance(effect, CheckPresence) and self.fails:
            self.fails = False
            raise StoreUnavailable("for a moment")
        try:
            await self.performer.execute(effect, attempt=attempt)
        except RetryLater:
            if self.meanwhile:
                await self.meanwhile()
                self.meanwhile = None
            raise

    async def admit(self, **more: Any) -> AdmittedBrowser:
        admitted = await self.participants.admit(ROOM, **more)
        assert isinstance(admitted, AdmittedBrowser)
        return admitted

    async def turn(self) -> None:
        """The worker does what is due."""
        self.parts.tasks.start(self.worker._run_owner(OWNER), name="turn")  # noqa: SLF001 - by the test's clock
        await wait_until(lambda: len(self.parts.tasks) == 0)

    async def phase(self, seat: str) -> str:
        room = await self.parts.rooms.read(ROOM)
        return next((one.phase for one in room.members if one.seat == seat), "") if room else ""


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[Client]:
    client = Client(store_url)
    yield client
    await client.close()


@pytest.fixture
async def bench(simulator: Simulator, client: Client) -> AsyncIterator[Bench]:
    bench = Bench(simulator, client)
    yield bench
    await bench.parts.http.close()


async def test_who_stayed_all_day_is_still_looked_after(bench: Bench, redis: Redis) -> None:
    """One moment without a store, after longer than owed work is tried for."""
    seat = (await bench.admit()).seat
    for _ in range(10 * 60):
        await bench.participants.heartbeat(ROOM, seat)
        bench.clock.advance(DEFAULT_TIMEOUTS.browser_absence - 15)
        await bench.participants.heartbeat(ROOM, seat)
        bench.clock.advance(30)
        await bench.turn()
    await bench.participants.heartbeat(ROOM, seat)
    bench.clock.advance(DEFAULT_TIMEOUTS.browser_absence - 1)
    await bench.participants.heartbeat(ROOM, seat)
    bench.fails = True
    bench.clock.advance(10)
    await bench.turn()
    assert not bench.fails, "there was a look"
    assert not [key async for key in redis.scan_iter("*:dead")]
    assert await bench.phase(seat) == "in"
    for _ in range(4):
        bench.clock.advance(DEFAULT_TIMEOUTS.browser_absence)
        await bench.turn()
    assert await bench.phase(seat) != "in"


async def test_what_is_told_during_a_look_counts(bench: Bench, redis: Redis) -> None:
    one = await bench.admit()
    report = partial(bench.participants.handle_event, ROOM, one.seat, one.participant_id)
    await report("onConnect")
    bench.meanwhile = partial(report, "onDisconnect")
    bench.clock.advance(DEFAULT_TIMEOUTS.unused_seat)
    await bench.turn()
    value: Any = await redis.hget(keys.owed(OWNER), f"check-presence:{one.seat}")
    assert int(value.split()[1]) / 1000 - bench.clock.now() == pytest.approx(DEFAULT_TIMEOUTS.browser_absence)


@pytest.mark.parametrize("beats", [False, True])
async def test_who_is_there_leaves_when_the_visit_runs_out(bench: Bench, beats: bool) -> None:
    """Also where nothing but `onConnect` was heard of it, which says that it is there."""
    ends = bench.clock.now() + 5 * HOUR
    leaves, stays = [await bench.admit(visit=f"v-{n}", visit_ends_at=ends + n * HOUR) for n in range(2)]
    for one in (leaves, stays):
        await bench.participants.handle_event(ROOM, one.seat, one.participant_id, "onConnect")
    while (left := ends - bench.clock.now()) > 0:
        await bench.turn()
        assert await bench.phase(leaves.seat) == "in"
        if beats:
            await bench.participants.heartbeat(ROOM, leaves.seat)
        bench.clock.advance(
            min(left, DEFAULT_TIMEOUTS.browser_absence - 1 if beats else DEFAULT_TIMEOUTS.idle_check)
        )
    await bench.turn()
    assert (await bench.phase(leaves.seat), await bench.phase(stays.seat)) == ("", "in")
