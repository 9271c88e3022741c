"""The worker against a real store: what fails is tried again later, for hours, and then let go."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import structlog
from redis.asyncio import Redis

from service.bandwidth.errors import BandwidthError
from service.bandwidth.request_log import current_request_log
from service.calls.effects import (
    DeleteParticipant,
    DeleteSession,
    Effect,
    HangUpPhone,
    RemoveParticipant,
    Scheduled,
    TellTimeUp,
)
from service.calls.model import Call, Direction, Phone
from service.calls.refs import PARTITIONS, ref_of_call
from service.calls.replies import NoReply
from service.engine.errors import JoinTimeout
from service.engine.outbox.protocols import RetryLater
from service.engine.outbox.wakeup import WorkerSignal
from service.engine.outbox.worker import Worker
from service.engine.timeouts import HOUR, MINUTE
from service.store import keys
from service.store.calls import CallCommit, Calls
from service.store.errors import StoreUnavailable
from service.store.outbox import DueEffect, Outbox
from service.store.outbox_index import OutboxIndex
from service.store.redis.client import Client
from service.store.rooms import Rooms
from service.tasks import Tasks
from tests.clocks import SetClock
from tests.waiting import wait_until

OWNER = keys.owner_room("lobby")


FAILURE = BandwidthError("delete-session", "server-error", status=500)


class FailingExecutor:
    """Fails so often, then succeeds."""

    def __init__(self, failures: int, error: Exception = FAILURE) -> None:
        self.failures = failures
        self.error = error
        self.attempts: list[tuple[Effect, int]] = []

    async def execute(self, effect: Effect, *, attempt: int) -> None:
        self.attempts.append((effect, attempt))
        if len(self.attempts) <= self.failures:
            raise self.error


class SlowExecutor(FailingExecutor):
    """Takes as long as it is told to."""

    def __init__(self) -> None:
        super().__init__(0)
        self.done = asyncio.Event()

    async def execute(self, effect: Effect, *, attempt: int) -> None:
        await super().execute(effect, attempt=attempt)
        await self.done.wait()


class Bench:
    """A worker with everything around it."""

    def __init__(
        self,
        client: Client,
        performer: FailingExecutor,
        outbox: Outbox | None = None,
        *,
        give_up: float = 9 * HOUR,
    ) -> None:
        self.aside = False
        self.clock = SetClock()
        self.tasks = Tasks()
        self.alarm = WorkerSignal()
        self.rooms = Rooms(client)
        self.performer = performer
        self.worker = Worker(
            outbox=outbox or Outbox(client, worker="w", lease=45),
            executor=performer,
            signal=self.alarm,
            clock=self.clock,
            tasks=self.tasks,
            jitter=lambda: 1.0,
            give_up_after=give_up,
            stands_aside=lambda: self.aside,
        )

    def has_tried(self, count: int) -> bool:
        return len(self.performer.attempts) >= count

    async def owe(self) -> None:
        await self.rooms.schedule("lobby", DeleteSession("S"), now=self.clock.now())
        self.alarm.notify(OWNER)


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[Client]:
    client = Client(store_url)
    yield client
    await client.close()


async def run(bench: Bench, until: int, *, apart: float = 3700) -> None:
    """Work until so many attempts have been made, more than an hour apart unless it is said otherwise."""
    running = bench.tasks.start(bench.worker.run(), name="worker")
    for count in range(1, until + 1):
        await wait_until(partial(bench.has_tried, count))
        await wait_until(lambda: len(bench.tasks) == 1)
        bench.clock.advance(apart)
        bench.alarm.notify(OWNER)
    bench.worker.stop()
    await running


async def test_every_try_of_an_effect_is_the_same_piece_of_work(client: Client) -> None:
    """By which a breaker knows what fails again and again from what fails for many."""
    pieces = []

    class Performer(FailingExecutor):
        async def execute(self, effect: Effect, *, attempt: int) -> None:
            tally = current_request_log.get()
            pieces.append(tally.work_id if tally else "")
            await super().execute(effect, attempt=attempt)

    bench = Bench(client, Performer(2))
    await bench.owe()
    await run(bench, until=3)
    assert pieces == ["room:lobby/delete-session:S"] * 3


@pytest.mark.parametrize("error", [FAILURE, JoinTimeout(), StoreUnavailable("away")], ids=repr)
async def test_it_is_tried_again_until_it_is_done(client: Client, redis: Redis, error: Exception) -> None:
    bench = Bench(client, FailingExecutor(3, error))
    await bench.owe()
    await run(bench, 4)
    assert bench.performer.attempts == [(DeleteSession("S"), n) for n in (1, 2, 3, 4)]
    assert await redis.keys() == []


async def test_what_nobody_can_do_becomes_a_dead_letter(client: Client, redis: Redis) -> None:
    bench = Bench(client, FailingExecutor(1000), give_up=8.5 * MINUTE)
    begun = bench.clock.now()
    await bench.owe()
    with structlog.testing.capture_logs() as lines:
        await run(bench, 10, apart=MINUTE)
    assert len(bench.performer.attempts) == 10
    assert [line["attempt"] for line in lines if line["event"] == "effect.dead_lettered"] == [10]

    directory = OutboxIndex(client)
    assert await directory.list_owed(limit=9) == []
    [letter] = await directory.list_dead_letters()
    assert (letter.owner, letter.effect, letter.tries) == (OWNER, DeleteSession("S"), 10)
    assert (letter.since, letter.died, letter.error) == (begun, begun + 9 * MINUTE, "server-error")
    [key] = await redis.keys()
    assert 0 < await redis.ttl(key) <= 30 * 24 * 3600


async def test_a_dead_letter_is_replayed_once(client: Client, redis: Redis) -> None:
    bench = Bench(client, FailingExecutor(10), give_up=8.5 * MINUTE)
    await bench.owe()
    await run(bench, 10, apart=MINUTE)
    directory = OutboxIndex(client)
    [letter] = await directory.list_dead_letters()
    assert [await directory.replay_dead_letter(letter, now=bench.clock.now()) for _ in range(2)] == [
        True,
        False,
    ]

    [owed] = await directory.list_owed(limit=9)
    assert (owed.owner, owed.effect_name, owed.tries) == (OWNER, "delete-session", 0)
    assert owed.due == owed.since == bench.clock.now()
    again = Bench(client, bench.performer)
    again.clock.time = bench.clock.time
    again.alarm.notify(OWNER)
    await run(again, 11)
    assert bench.performer.attempts[10] == (DeleteSession("S"), 1)
    assert await redis.keys() == []


async def test_a_dead_letter_is_dropped(client: Client, redis: Redis) -> None:
    bench = Bench(client, FailingExecutor(10), give_up=8.5 * MINUTE)
    await bench.owe()
    await run(bench, 10, apart=MINUTE)
    directory = OutboxIndex(client)
    [letter] = await directory.list_dead_letters()
    assert [await directory.drop_dead_letter(letter) for _ in range(2)] == [True, False]
    assert not await directory.replay_dead_letter(letter, now=bench.clock.now())
    assert await redis.keys() == []


async def test_what_a_breaker_holds_up_has_not_failed(client: Client) -> None:
    paused = BandwidthError("delete-session", "paused", retryable=True, retry_after=20)
    bench = Bench(client, FailingExecutor(5, paused))
    await bench.owe()
    running = bench.tasks.start(bench.worker.run(), name="worker")
    for count in range(1, 6):
        await wait_until(partial(bench.has_tried, count))
        await wait_until(lambda: len(bench.tasks) == 1)
        [owed] = await OutboxIndex(client).list_owed(limit=9)
        assert (owed.tries, owed.due) == (0, bench.clock.now() + 21), "no sooner than it may, and as new"
        bench.clock.advance(21)
        bench.alarm.notify(OWNER)
    await wait_until(partial(bench.has_tried, 6))
    bench.worker.stop()
    await running
    assert bench.performer.attempts == [(DeleteSession("S"), 1)] * 6


class ErringExecutor(FailingExecutor):
    """Fails, at some attempts in another way."""

    def __init__(self, errors: dict[int, Exception]) -> None:
        super().__init__(1000)
        self._errors = errors

    async def execute(self, effect: Effect, *, attempt: int) -> None:
        self.error = self._errors.get(len(self.attempts) + 1, FAILURE)
        await super().execute(effect, attempt=attempt)


async def failed_for(bench: Bench, client: Client, *, away: dict[int, float] | None = None) -> float:
    """Seconds until it is laid aside, trying when it is due; `away`: before which tries nobody is there."""
    begun, tries = bench.clock.now(), 0
    await bench.owe()
    running = bench.tasks.start(bench.worker.run(), name="worker")
    while not (letters := await OutboxIndex(client).list_dead_letters()):
        tries += 1
        bench.alarm.notify(OWNER)
        await wait_until(partial(bench.has_tried, tries))
        await wait_until(lambda: len(bench.tasks) == 1)
        for owed in await OutboxIndex(client).list_owed(limit=9):
            bench.clock.advance(owed.due - bench.clock.now() + (away or {}).get(tries + 1, 0))
    bench.worker.stop()
    await running
    return letters[0].died - begun


@pytest.mark.parametrize("held_up", [(), (1,), (3,), (3, 4, 9)])
async def test_while_a_breaker_is_open_it_has_not_failed(client: Client, held_up: tuple[int, ...]) -> None:
    """Nobody was asked: minutes of failing are that, however many hours of waiting are in between."""
    paused = BandwidthError("delete-session", "paused", retryable=True, retry_after=10 * HOUR)
    bench = Bench(client, ErringExecutor(dict.fromkeys(held_up, paused)), give_up=5 * MINUTE)
    minutes = (await failed_for(bench, client) - len(held_up) * 10 * HOUR) / MINUTE
    assert 5 < minutes < 6.5


@pytest.mark.parametrize("late", [(2,), (4,), (3, 4, 9)])
async def test_while_nobody_is_there_to_do_it_it_has_not_failed(
    client: Client, late: tuple[int, ...]
) -> None:
    """No replica, no store, or the machines slept: its turn comes as if nothing had been."""
    bench = Bench(client, ErringExecutor({}), give_up=5 * MINUTE)
    away = dict.fromkeys(late, 10 * HOUR)
    minutes = (await failed_for(bench, client, away=away) - len(late) * 10 * HOUR) / MINUTE
    assert 5 < minutes < 6.5


async def test_what_was_held_up_for_a_day_is_tried_before_it_is_given_up(client: Client) -> None:
    bench = Bench(client, FailingExecutor(24, BandwidthError("delete-session", "paused", retry_after=20)))
    await bench.owe()
    await run(bench, 25)
    assert await OutboxIndex(client).list_dead_letters() == []
    assert await OutboxIndex(client).list_owed(limit=9) == []


@pytest.mark.parametrize(("says", "seconds"), [(7.0, 7), (3600.0, 20)])
async def test_retry_after_is_obeyed_within_reason(client: Client, says: float, seconds: float) -> None:
    """Of a removal: 20 seconds, and what a gateway says besides is an hour at times."""
    error = BandwidthError("delete-session", "rate-limited", status=429, retryable=True, retry_after=says)
    bench = Bench(client, FailingExecutor(1, error))
    await bench.owe()
    running = bench.tasks.start(bench.worker.run(), name="worker")
    await wait_until(partial(bench.has_tried, 1))
    await wait_until(lambda: len(bench.tasks) == 1)
    [owed] = await OutboxIndex(client).list_owed(limit=9)
    assert owed.due == bench.clock.now() + seconds
    bench.worker.stop()
    await running


async def test_what_is_not_due_yet_is_no_failure_either(client: Client) -> None:
    bench = Bench(client, FailingExecutor(2, RetryLater(1000)))
    await bench.owe()
    with structlog.testing.capture_logs() as lines:
        await run(bench, 3)
    assert bench.performer.attempts == [(DeleteSession("S"), n) for n in (1, 2, 3)]
    assert [line["event"] for line in lines] == ["effect.done"]


async def test_an_effect_of_a_newer_release_is_left_to_its_replicas(client: Client, redis: Redis) -> None:
    bench = Bench(client, FailingExecutor(0))
    now = int(bench.clock.now() * 1000)
    key = keys.owed(OWNER)
    await redis.hset(key, "new:1", f'1 {now} lane 0 {now} {{"type":"something-new","number":7}}')
    await redis.hset(
        key, "delete-session:S", f'2 {now} S 0 {now} {{"type":"delete-session","session_id":"S"}}'
    )
    await redis.zadd(keys.agenda(keys.partition_of_owner(OWNER)), {OWNER: now})
    bench.alarm.notify(OWNER)
    with structlog.testing.capture_logs() as lines:
        running = bench.tasks.start(bench.worker.run(), name="worker")
        await wait_until(lambda: len(bench.tasks) == 1 and bench.has_tried(1))
        bench.worker.stop()
        await running
    assert [effect for effect, _ in bench.performer.attempts] == [DeleteSession("S")]
    assert [line["effect"] for line in lines if line["event"] == "effect.not_known"] == ["something-new"]
    left = await redis.hget(key, "new:1")
    assert left == f'1 {now} lane 0 {now} {{"type":"something-new","number":7}}'.encode(), "it keeps its time"
    assert await redis.zscore(keys.agenda(keys.partition_of_owner(OWNER)), OWNER) == now + 600_000


async def test_what_is_known_and_cannot_be_read_is_looked_at_again_in_ten_minutes(
    client: Client, redis: Redis
) -> None:
    bench = Bench(client, FailingExecutor(0))
    now = int(bench.clock.now() * 1000)
    await redis.hset(keys.owed(OWNER), "delete-session:S", f'1 {now} S 0 {now} {{"type":"delete-session"}}')
    await redis.zadd(keys.agenda(keys.partition_of_owner(OWNER)), {OWNER: now})
    bench.alarm.notify(OWNER)
    with structlog.testing.capture_logs() as lines:
        running = bench.tasks.start(bench.worker.run(), name="worker")
        await wait_until(lambda: lines and len(bench.tasks) == 1)
        bench.worker.stop()
        await running
    assert [(line["event"], line["effect"]) for line in lines] == [("effect.not_known", "delete-session")]
    assert await redis.zscore(keys.agenda(keys.partition_of_owner(OWNER)), OWNER) == now + 600_000


async def test_a_worker_that_stops_finishes_what_it_does_and_leaves_the_rest_to_others(
    client: Client, redis: Redis
) -> None:
    performer = SlowExecutor()
    bench = Bench(client, performer)
    now = bench.clock.now()
    await bench.rooms.reserve("lobby", "a.1", wait_if_empty=False, limit=9, now=now)
    await bench.rooms.take_seat("lobby", "a.1", participant_id="p", new_session_id="S", now=now)
    await bench.rooms.vacate("lobby", "a.1", now=now)
    bench.alarm.notify(OWNER)
    bench.tasks.start(bench.worker.run(), name="worker")
    await wait_until(lambda: performer.attempts)
    bench.worker.stop()
    performer.done.set()
    await wait_until(lambda: len(bench.tasks) == 0)

    assert performer.attempts == [(RemoveParticipant("a.1", "S", "p"), 1)]
    other = Outbox(client, worker="other", lease=45)
    assert await other.claim(keys.partition_of_owner(OWNER), now=now, limit=9) == [OWNER]
    [left] = await other.settle(OWNER, now=now)
    assert left.effect == DeleteParticipant("a.1", "p")


async def test_a_worker_that_stands_aside_leaves_to_others_what_it_has_claimed_too(
    client: Client, redis: Redis
) -> None:
    claims: list[int] = []

    class Claims(Outbox):
        async def claim(self, partition: int, *, now: float, limit: int) -> list[str]:
            claims.append(partition)
            return await super().claim(partition, now=now, limit=limit)

    performer = SlowExecutor()
    bench = Bench(client, performer, Claims(client, worker="w", lease=45))
    now = bench.clock.now()
    await bench.rooms.reserve("lobby", "a.1", wait_if_empty=False, limit=9, now=now)
    await bench.rooms.take_seat("lobby", "a.1", participant_id="p", new_session_id="S", now=now)
    await bench.rooms.vacate("lobby", "a.1", now=now)
    bench.alarm.notify(OWNER)
    running = bench.tasks.start(bench.worker.run(), name="worker")
    await wait_until(lambda: performer.attempts)
    bench.aside = True
    await bench.rooms.schedule("lobby", DeleteSession("other"), now=now)
    await asyncio.sleep(0.6)
    assert len(performer.attempts) == 1, "nor is anything begun while that is under way"
    performer.done.set()
    await wait_until(lambda: len(bench.tasks) == 1)
    claims.clear()
    other = Outbox(client, worker="other", lease=45)
    assert await other.claim(keys.partition_of_owner(OWNER), now=now, limit=9) == [OWNER]
    left = [one.effect for one in await other.settle(OWNER, now=now)]
    assert sorted(left, key=repr) == [DeleteParticipant("a.1", "p"), DeleteSession("other")]
    await other.settle(OWNER, now=now, release=True)
    bench.alarm.notify(OWNER)
    await asyncio.sleep(1.2)
    assert claims == []

    bench.aside = False
    await wait_until(lambda: len(performer.attempts) > 1)
    bench.worker.stop()
    await running


async def test_a_hundred_rooms_that_wait_for_bandwidth_do_not_wait_for_each_other(client: Client) -> None:
    """As many calls can end together as came in together."""
    performer = SlowExecutor()
    bench = Bench(client, performer)
    for n in range(100):
        await bench.rooms.schedule(f"room-{n}", DeleteSession(f"S{n}"), now=bench.clock.now())
        bench.alarm.notify(keys.owner_room(f"room-{n}"))
    running = bench.tasks.start(bench.worker.run(), name="worker")
    await wait_until(lambda: bench.has_tried(100), what=lambda: f"{len(performer.attempts)} at once")
    performer.done.set()
    bench.worker.stop()
    await running


async def test_what_was_just_owed_does_not_wait_for_a_backlog(client: Client) -> None:
    """However many others are waited for: a member who has left makes room for the next."""
    performer = SlowExecutor()
    bench = Bench(client, performer)
    for n in range(200):
        await bench.rooms.schedule(f"old-{n}", DeleteSession(f"S{n}"), now=bench.clock.now())
    running = bench.tasks.start(bench.worker.run(), name="worker")
    await wait_until(lambda: bench.has_tried(128))
    await asyncio.sleep(0.1)
    assert len(performer.attempts) == 128
    await bench.owe()
    await wait_until(lambda: bench.has_tried(129), seconds=0.5)
    assert performer.attempts[-1] == (DeleteSession("S"), 1)
    # Nor does one that is among those which wait for a place.
    begun = {effect for effect, _ in performer.attempts}
    late = next(n for n in range(200) if DeleteSession(f"S{n}") not in begun)
    bench.alarm.notify(keys.owner_room(f"old-{late}"))
    await wait_until(lambda: bench.has_tried(130), seconds=0.5)
    assert performer.attempts[-1] == (DeleteSession(f"S{late}"), 1)
    performer.done.set()
    bench.worker.stop()
    await running


async def test_no_more_are_begun_at_once_than_there_are_places(client: Client) -> None:
    performer = SlowExecutor()
    bench = Bench(client, performer)
    for n in range(400):
        await bench.rooms.schedule(f"room-{n}", DeleteSession(f"S{n}"), now=bench.clock.now())
        bench.alarm.notify(keys.owner_room(f"room-{n}"))
    running = bench.tasks.start(bench.worker.run(), name="worker")
    await wait_until(lambda: bench.has_tried(256))
    await asyncio.sleep(0.2)
    assert len(performer.attempts) == 256
    # Who waits for a place is one task, however often it is woken.
    waiting = len(bench.tasks)
    assert waiting < 700
    for _ in range(200):
        bench.alarm.notify(OWNER)
        await asyncio.sleep(0)
    assert len(bench.tasks) <= waiting + 1
    performer.done.set()
    await wait_until(lambda: bench.has_tried(400))
    bench.worker.stop()
    await running


async def test_who_is_woken_when_the_worker_stops_is_left_to_others(client: Client) -> None:
    bench = Bench(client, FailingExecutor(0))
    running = bench.tasks.start(bench.worker.run(), name="worker")
    await asyncio.sleep(0.1)
    await bench.owe()
    bench.worker.stop()
    await running
    assert bench.performer.attempts == []


async def test_a_backlog_in_one_partition_does_not_hold_up_the_others(client: Client, redis: Redis) -> None:
    """What falls due by itself there wakes nobody."""

    class Brief(FailingExecutor):
        async def execute(self, effect: Effect, *, attempt: int) -> None:
            await super().execute(effect, attempt=attempt)
            await asyncio.sleep(0.02)

    bench = Bench(client, Brief(0))
    names = [f"room-{n}" for n in range(20_000)]
    old = [one for one in names if keys.partition_of_room(one) == 0][:1000]
    other = next(one for one in names if keys.partition_of_room(one) == PARTITIONS - 1)
    for n, name in enumerate([*old, other]):
        await bench.rooms.schedule(name, DeleteSession(f"S{n}"), now=bench.clock.now())
    running = bench.tasks.start(bench.worker.run(), name="worker")
    last = (DeleteSession("S1000"), 1)
    await wait_until(lambda: last in bench.performer.attempts)
    assert len(bench.performer.attempts) < 600
    bench.worker.stop()
    await running


async def test_a_request_that_is_called_off_while_it_is_under_way_keeps_its_owner(
    client: Client, redis: Redis
) -> None:
    """Another worker would ask for the next one beside it, and nobody knows which comes first."""
    performer = SlowExecutor()
    bench = Bench(client, performer)
    now = bench.clock.now()
    await bench.rooms.schedule("lobby", DeleteSession("S"), now=now)
    bench.alarm.notify(OWNER)
    running = bench.tasks.start(bench.worker.run(), name="worker")
    await wait_until(lambda: bench.has_tried(1))
    owed = keys.owed(OWNER)
    names: list[Any] = await redis.hkeys(owed)
    [field] = [name for name in names if not name.startswith(b".")]
    await redis.hdel(owed, field)
    await asyncio.sleep(0.6)
    assert await redis.hexists(owed, ".lease"), "it has gone on for two rounds"

    await bench.rooms.schedule("lobby", DeleteSession("T"), now=now)
    other = Outbox(client, worker="other", lease=45)
    assert await other.claim(keys.partition_of_owner(OWNER), now=now, limit=9) == []
    assert await other.settle(OWNER, now=now) == []
    performer.done.set()
    await wait_until(lambda: len(bench.tasks) == 1)
    running.cancel()
    assert performer.attempts == [(DeleteSession("S"), 1), (DeleteSession("T"), 1)]
    assert not [key async for key in redis.scan_iter("*:owed:*")]


class ClaimingTwice(Outbox):
    """As when more is owed between a claim and the first round."""

    async def claim(self, partition: int, *, now: float, limit: int) -> list[str]:
        return 2 * await super().claim(partition, now=now, limit=limit)


async def test_what_is_claimed_twice_is_done_once(client: Client, redis: Redis) -> None:
    performer = SlowExecutor()
    bench = Bench(client, performer, ClaimingTwice(client, worker="w", lease=45))
    await bench.owe()
    running = bench.tasks.start(bench.worker.run(), name="worker")
    await wait_until(lambda: bench.has_tried(1))
    await asyncio.sleep(0.1)
    performer.done.set()
    await wait_until(lambda: len(bench.tasks) == 1)
    running.cancel()
    assert performer.attempts == [(DeleteSession("S"), 1)]
    assert not [key async for key in redis.scan_iter("*:owed:*")]


class LateOutbox(Outbox):
    """Something is owed, and the worker woken, before it has heard that nothing more was due."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, worker="w", lease=45)
        self.owe: Callable[[], Awaitable[None]] | None = None

    async def settle(self, owner: str, **how: Any) -> list[DueEffect]:
        found = await super().settle(owner, **how)
        if not found and self.owe is not None:
            owe, self.owe = self.owe, None
            await owe()
            await asyncio.sleep(0.05)
        return found


async def test_what_is_owed_at_the_last_moment_is_done_at_once(client: Client, redis: Redis) -> None:
    outbox = LateOutbox(client)
    bench = Bench(client, FailingExecutor(0), outbox)
    outbox.owe = bench.owe
    await bench.owe()
    running = bench.tasks.start(bench.worker.run(), name="worker")
    # Otherwise it is found at the next round.
    await wait_until(lambda: bench.has_tried(2), seconds=0.5)
    await wait_until(lambda: len(bench.tasks) == 1)
    running.cancel()
    assert not [key async for key in redis.scan_iter("*:owed:*")]


async def test_hours_of_failing_do_not_fill_a_timeline(client: Client) -> None:
    """The 1st, 2nd, 4th, 8th ... failure is told, with the request that failed, and the end."""
    bench = Bench(client, FailingExecutor(20))
    calls = Calls(client, ended_days=7)
    ref = ref_of_call("c-1")
    call = Call(
        ref=ref,
        call_id="c-1",
        direction=Direction.INBOUND,
        room="lobby",
        created_at=bench.clock.now(),
        phone=Phone.UP,
    )
    owed = (Scheduled(HangUpPhone("c-1"), bench.clock.now()),)
    entry: dict[str, object] = {"event": "initiate"}
    change = CallCommit(call=call, event_key="", reply=NoReply(), timeline_entry=entry, effects=owed)
    assert await calls.commit(0, change, now=bench.clock.now(), commit_id="a")
    owner = keys.owner_call(ref)
    running = bench.tasks.start(bench.worker.run(), name="worker")
    for count in range(1, 22):
        bench.alarm.notify(owner)
        await wait_until(partial(bench.has_tried, count))
        await wait_until(lambda: len(bench.tasks) == 1)
        bench.clock.advance(120)
    bench.worker.stop()
    await running
    viewed = await calls.view(ref)
    assert viewed is not None
    told = [(one["event"], one["tries"], one.get("error")) for one in viewed[1][1:]]
    failed = [("effectFailed", tries, "server-error") for tries in (1, 2, 4, 8, 16)]
    assert told == [*failed, ("effectDone", 21, None)]


@pytest.mark.parametrize("hours", [1, 8.5, 12])
async def test_what_is_due_in_hours_has_all_its_time_from_then_on(client: Client, hours: float) -> None:
    """The limit of a call, say: the store may be away for a moment just then."""
    performer = FailingExecutor(1, StoreUnavailable("a moment"))
    bench = Bench(client, performer)
    ref, now = ref_of_call("c-1"), bench.clock.now()
    call = Call(
        ref=ref, call_id="c-1", direction=Direction.INBOUND, room="lobby", created_at=now, phone=Phone.UP
    )
    owed = (Scheduled(TellTimeUp(ref), now + hours * HOUR),)
    change = CallCommit(call=call, event_key="", reply=NoReply(), timeline_entry=None, effects=owed)
    assert await Calls(client, ended_days=1).commit(0, change, now=now, commit_id="x")
    running = bench.tasks.start(bench.worker.run(), name="worker")
    bench.clock.advance(hours * HOUR)
    bench.alarm.notify(keys.owner_call(ref))
    await wait_until(partial(bench.has_tried, 1))
    await wait_until(lambda: len(bench.tasks) == 1)
    bench.worker.stop()
    await running
    assert not await OutboxIndex(client).list_dead_letters()
    assert [one.effect_name for one in await OutboxIndex(client).list_owed(limit=9)] == ["tell-time-up"]
