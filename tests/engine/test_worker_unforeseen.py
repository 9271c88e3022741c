"""Whatever goes wrong with one effect costs that effect a try, and nothing else."""

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import get_args

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from service.calls.effects import DeleteParticipant, DeleteSession, Effect, effect_name, effect_tag
from service.calls.model import parse_seat, seat_of
from service.calls.refs import PARTITIONS
from service.engine.outbox.wakeup import WorkerSignal
from service.engine.outbox.worker import Worker
from service.engine.timeouts import HOUR, MINUTE
from service.metrics import Metrics
from service.store import keys
from service.store.errors import StoreUnavailable
from service.store.gauges import read_gauges
from service.store.outbox import Outbox, UnreadableEffect
from service.store.outbox_index import OutboxIndex
from service.store.redis.client import Client
from service.tasks import Tasks
from tests.clocks import SetClock
from tests.sample_effects import REF, sample
from tests.waiting import wait_until

KINDS: tuple[type[Effect], ...] = get_args(Effect)
ODD: tuple[Exception, ...] = (
    ValueError("no number"),
    KeyError("seat"),
    TypeError("none"),
    AssertionError(),
    AttributeError("x"),
    IndexError(),
    ZeroDivisionError(),
    RecursionError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    OSError("disk"),
    TimeoutError(),
    ExceptionGroup("several", [ValueError()]),
    NotImplementedError(),
)
ROOMS = [f"room-{number}" for number in range(400)]
SEATS = (
    "",
    "stock",
    "web-abcdefghijklmnop.1",
    ".",
    "a.",
    "a.x",
    ".1",
    "a.-1",
    "a.99999999999999999999",
    "a.²",
)


class OddExecutor:
    """Raises for every effect of one kind."""

    def __init__(self, error: Exception, fails: Callable[[Effect], bool]) -> None:
        self.error = error
        self.fails = fails
        self.done: list[Effect] = []
        self.failed = 0

    async def execute(self, effect: Effect, *, attempt: int) -> None:
        if self.fails(effect):
            self.failed += 1
            raise self.error
        self.done.append(effect)

    def has_failed(self, times: int) -> bool:
        return self.failed >= times


class OddMetrics(Metrics):
    def effect(self, effect: str, result: str) -> None:
        raise LookupError(effect)


class Bench:
    def __init__(
        self,
        client: Client,
        performer: OddExecutor,
        *,
        outbox: Outbox | None = None,
        metrics: Metrics | None = None,
        give_up: float = 9 * HOUR,
    ) -> None:
        self.clock = SetClock()
        self.tasks = Tasks()
        self.alarm = WorkerSignal()
        self.worker = Worker(
            outbox=outbox or Outbox(client, worker="w", lease=45),
            executor=performer,
            signal=self.alarm,
            clock=self.clock,
            tasks=self.tasks,
            jitter=lambda: 1.0,
            give_up_after=give_up,
            metrics=metrics,
        )

    async def works(self, until: Callable[[], object]) -> None:
        running = self.tasks.start(self.worker.run(), name="worker")
        await wait_until(until)
        await wait_until(lambda: len(self.tasks) == 1)
        self.worker.stop()
        await running

    async def owe(self, redis: Redis, owner: str, effects: Sequence[Effect | str]) -> None:
        """Each in a lane of its own; texts as they are."""
        now = int(self.clock.now() * 1000)
        for number, effect in enumerate(effects, 1):
            text = effect if isinstance(effect, str) else msgspec.json.encode(effect).decode()
            id_ = f"{'hang-up' if isinstance(effect, str) else effect_tag(effect)}:{number}"
            await redis.hset(keys.owed(owner), id_, f"{number} {now} {number} 0 {now} {text}")
        await redis.zadd(keys.agenda(keys.partition_of_owner(owner)), {owner: now})
        self.alarm.notify(owner)


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[Client]:
    client = Client(store_url)
    yield client
    await client.close()


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
async def test_an_effect_that_fails_oddly_leaves_the_others_done(
    client: Client, redis: Redis, error: Exception
) -> None:
    """For each kind an owner that owes such a one first, and one of each other kind."""
    bad = {f"room-{number}": _named(kind, f"odd-{number}.1") for number, kind in enumerate(KINDS)}
    performer = OddExecutor(error, lambda effect: effect in bad.values())
    bench = Bench(client, performer)
    for room, odd in bad.items():
        others = [sample(kind) for kind in KINDS if kind is not type(odd)]
        await bench.owe(redis, keys.owner_room(room), [odd, *others])
    with structlog.testing.capture_logs() as lines:
        await bench.works(lambda: len(performer.done) == len(KINDS) * (len(KINDS) - 1))
    told = [line for line in lines if line["event"] == "effect.failed"]
    assert sorted(line["effect"] for line in told) == sorted(map(effect_name, bad.values()))
    assert sorted(line["owed"] for line in told) == sorted(f"{effect_name(one)}:1" for one in bad.values())
    assert {(line["log_level"], line["attempt"], line["error"]) for line in told} == {
        ("error", 1, type(error).__name__)
    }
    assert not [line for line in lines if line["event"] == "task.failed"]
    left = await OutboxIndex(client).list_owed(limit=100)
    assert sorted(one.effect_name for one in left) == sorted(map(effect_name, bad.values()))
    assert {(one.tries, one.due) for one in left} == {(1, bench.clock.now() + 0.5)}


@pytest.mark.parametrize("seat", SEATS)
async def test_a_seat_that_is_no_calls_is_no_failure(client: Client, redis: Redis, seat: str) -> None:
    performer = OddExecutor(ValueError(), lambda _: False)
    bench = Bench(client, performer)
    owed = [sample(kind, seat=seat) for kind in KINDS]
    await bench.owe(redis, keys.owner_room("lobby"), owed)
    await bench.works(lambda: len(performer.done) == len(KINDS))
    assert not [key async for key in redis.scan_iter("*:owed:*")]


@pytest.mark.parametrize(
    "effect", ["{", "[]", "7", '{"type":7}', '{"type":"hang-up"}', '{"type":"new","x":1}', "\\"]
)
async def test_what_nobody_can_read_leaves_the_others_done(client: Client, redis: Redis, effect: str) -> None:
    performer = OddExecutor(ValueError(), lambda _: False)
    bench = Bench(client, performer)
    owner = keys.owner_room("lobby")
    await bench.owe(redis, owner, [effect, DeleteSession("S")])
    await bench.works(lambda: performer.done)
    [left] = await OutboxIndex(client).list_owed(limit=9)
    assert isinstance(left.effect, UnreadableEffect)
    assert await OutboxIndex(client).drop_owed(left, now=bench.clock.now())
    assert not [key async for key in redis.scan_iter("*:owed:*")]


async def test_what_has_no_form_at_all_leaves_the_others_done(client: Client, redis: Redis) -> None:
    """And stays until somebody drops it; the store is looked at all the same."""
    performer = OddExecutor(ValueError(), lambda _: False)
    bench = Bench(client, performer)
    owner, now = keys.owner_room("lobby"), bench.clock.now()
    await redis.hset(keys.owed(owner), "strange", "nonsense")
    await bench.owe(redis, owner, [DeleteSession("S")])
    await bench.works(lambda: performer.done)
    assert await redis.hkeys(keys.owed(owner)) == [b"strange"]
    assert (await read_gauges(client, now=now)).owners_by_due == {"now": 0, "soon": 0, "later": 1}
    [left] = await OutboxIndex(client).list_owed(limit=9)
    assert (left.effect_name, left.due) == ("unreadable", 0)
    assert await OutboxIndex(client).retry_owed(left, now=now)
    assert await OutboxIndex(client).drop_owed(left, now=now)
    assert not [key async for key in redis.scan_iter("*:owed:*")]


async def test_what_is_told_may_fail_as_well(client: Client, redis: Redis) -> None:
    """It is a try then, also of what was done: each effect is safe to repeat."""
    performer = OddExecutor(ValueError(), lambda effect: effect == DeleteSession("S"))
    bench = Bench(client, performer, metrics=OddMetrics())
    await bench.owe(redis, keys.owner_room("lobby"), [DeleteSession("S"), DeleteParticipant("stock", "P")])
    await bench.works(lambda: performer.failed and performer.done)
    left = await OutboxIndex(client).list_owed(limit=9)
    assert sorted((one.effect_name, one.tries) for one in left) == [
        ("delete-participant", 1),
        ("delete-session", 1),
    ]


async def test_it_is_tried_for_as_long_as_any_other_and_told_ever_more_rarely(
    client: Client, redis: Redis
) -> None:
    performer = OddExecutor(ValueError("no number"), lambda _: True)
    bench = Bench(client, performer, give_up=8.5 * MINUTE)
    owner = keys.owner_room("lobby")
    await bench.owe(redis, owner, [DeleteSession("S")])
    with structlog.testing.capture_logs() as lines:
        running = bench.tasks.start(bench.worker.run(), name="worker")
        for count in range(1, 11):
            bench.alarm.notify(owner)
            await wait_until(partial(performer.has_failed, count))
            await wait_until(lambda: len(bench.tasks) == 1)
            bench.clock.advance(MINUTE)
        bench.worker.stop()
        await running
    [letter] = await OutboxIndex(client).list_dead_letters()
    assert (letter.tries, letter.error) == (10, "ValueError")
    told = [(line["event"], line["attempt"]) for line in lines if line["log_level"] == "error"]
    assert told == [*(("effect.failed", attempt) for attempt in (1, 2, 4, 8)), ("effect.dead_lettered", 10)]


class OddOutbox(Outbox):
    """Of every partition but one nothing can be claimed."""

    def __init__(self, client: Client, error: Exception, fine: int) -> None:
        super().__init__(client, worker="w", lease=45)
        self._error = error
        self._fine = fine
        self.refused = 0

    async def claim(self, partition: int, *, now: float, limit: int) -> list[str]:
        if partition != self._fine:
            self.refused += 1
            raise self._error
        return await super().claim(partition, now=now, limit=limit)


@pytest.mark.parametrize("error", [StoreUnavailable("one shard is away"), ValueError()], ids=repr)
async def test_a_partition_that_cannot_be_looked_at_leaves_the_others_served(
    client: Client, redis: Redis, error: Exception
) -> None:
    owner = keys.owner_room(next(room for room in ROOMS if keys.partition_of_room(room) == PARTITIONS - 1))
    performer = OddExecutor(ValueError(), lambda _: False)
    outbox = OddOutbox(client, error, PARTITIONS - 1)
    bench = Bench(client, performer, outbox=outbox)
    for room in ROOMS:
        bench.alarm.notify(keys.owner_room(room))
    await bench.owe(redis, owner, [DeleteSession("S")])
    with structlog.testing.capture_logs() as lines:
        await bench.works(lambda: performer.done and outbox.refused > 3 * PARTITIONS)
    told = [line["event"] for line in lines].count("worker.claim_failed")
    assert told == (1 if isinstance(error, StoreUnavailable) else outbox.refused), "an outage is told once"


@given(st.text())
def test_every_text_is_a_seat_of_a_call_or_of_none(seat: str) -> None:
    ref, attempt = parse_seat(seat)
    assert (ref, attempt) == ("", 0) or seat.startswith(f"{ref}.")


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_seat_of_a_call_is_that_calls(attempt: int, place: int) -> None:
    assert parse_seat(seat_of(REF, attempt, place)) == (REF, attempt)


def _named(kind: type[Effect], name: str) -> Effect:
    return sample(kind, **dict.fromkeys(("room", "ref", "call_id", "session_id", "seat"), name))
