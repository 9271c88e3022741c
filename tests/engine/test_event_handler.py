"""The engine against a real store: what two replicas do to one call at the same time."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from service.calls.effects import LeaveRoom
from service.calls.events import Dial, Disconnect, Initiate, Joined, JoinFailed, OrderJoin
from service.calls.model import Call, Direction, seat_of
from service.calls.refs import ref_of_call
from service.calls.replies import HangUp, TransferToWebRtc, Wait
from service.calls.rules.joining import JOIN_RETRY_PAUSE
from service.engine.event_handler import EventHandler, JoinNotAllowed
from service.engine.outbox.wakeup import WorkerSignal
from service.store import keys
from service.store.calls import CallCommit, Calls
from service.store.errors import StoreUnavailable
from service.store.outbox import Outbox
from service.store.redis.client import Client
from service.store.rooms import Rooms
from service.tasks import Tasks
from tests.calls import event_builders
from tests.calls.control_event_builders import dial
from tests.clocks import SetClock
from tests.waiting import wait_until

REF = ref_of_call("c-1")
KEY = "initiate@1"
LEASE = 8.0


class ScriptedJoiner:
    """Ends each attempt as soon as it is let: it succeeds, or is `put_off`."""

    def __init__(self, clock: SetClock) -> None:
        self.clock = clock
        self.begun: list[int] = []
        self.let: dict[int, asyncio.Event] = {}
        self.put_off: set[int] = set()

    def gate(self, attempt: int) -> asyncio.Event:
        return self.let.setdefault(attempt, asyncio.Event())

    async def join(self, call: Call, *, since: float, deadline: float) -> tuple[Joined | JoinFailed, str]:
        self.begun.append(call.attempt)
        await self.gate(call.attempt).wait()
        if call.attempt in self.put_off:
            reason = "bandwidth-error"
            return JoinFailed(
                at=self.clock.now(), attempt=call.attempt, room=call.room, reason=reason, is_temporary=True
            ), ""
        joined = Joined(
            at=self.clock.now(),
            attempt=call.attempt,
            room=call.room,
            session_id="S",
            participant_id=f"p{call.attempt}",
            token_until=self.clock.now() + 60,
            silence_ms=1,
            requests=3,
            retries=0,
        )
        return joined, f"token-{call.attempt}"


class Bench:
    def __init__(self, client: Client, calls: Calls | None = None) -> None:
        self.clock = SetClock()
        self.joiner = ScriptedJoiner(self.clock)
        self.tasks = Tasks()
        self.alarm = WorkerSignal()
        self.outbox = Outbox(client, worker="w", lease=45)
        ids = iter(range(1_000_000))
        self.engine = EventHandler(
            calls=calls or Calls(client, ended_days=1),
            joiner=self.joiner,
            rooms=Rooms(client),
            clock=self.clock,
            new_id=lambda: str(next(ids)),
            signal=self.alarm,
            tasks=self.tasks,
        )

    def initiate(self) -> Initiate:
        return Initiate(
            at=self.clock.now(),
            ref=REF,
            call_id="c-1",
            direction=Direction.INBOUND,
            room="lobby",
            answered=False,
            lease_until=self.clock.now() + LEASE,
        )

    def disconnect(self) -> Disconnect:
        return Disconnect(
            at=self.clock.now(),
            ref=REF,
            call_id="c-1",
            direction=Direction.INBOUND,
            room="lobby",
            cause="cancel",
        )

    async def owed(self, after: float = 0) -> list[object]:
        self.clock.advance(after)
        work = await self.outbox.settle(keys.owner_call(REF), now=self.clock.now(), done=[], postponed=[])
        return [one.effect for one in work]


@pytest.fixture
async def bench(store_url: str) -> AsyncIterator[Bench]:
    client = Client(store_url)
    yield Bench(client)
    await client.close()


async def test_what_is_taken_over_is_not_finished_twice(bench: Bench) -> None:
    """The first replica stalls past its lease; Bandwidth's fallback brings the same webhook to another."""
    first = bench.tasks.start(bench.engine.handle(REF, bench.initiate(), KEY), name="first")
    await wait_until(lambda: bench.joiner.begun == [1])
    assert (await bench.engine.handle(REF, bench.initiate(), KEY)).reply == Wait()

    bench.clock.advance(LEASE + 1)
    bench.joiner.gate(2).set()
    second = await bench.engine.handle(REF, bench.initiate(), KEY)
    assert (second.reply, second.token) == (TransferToWebRtc(2), "token-2")
    assert await bench.owed() == [LeaveRoom("lobby", seat_of(REF, 1))]

    bench.joiner.gate(1).set()
    assert (await first).reply == Wait()
    assert await bench.owed() == [LeaveRoom("lobby", seat_of(REF, 1))]
    again = await bench.engine.handle(REF, bench.initiate(), KEY)
    assert (again.reply, again.token) == (TransferToWebRtc(2), "token-2")


async def test_a_caller_who_left_during_the_join_is_taken_down_at_once(bench: Bench) -> None:
    joining = bench.tasks.start(bench.engine.handle(REF, bench.initiate(), KEY), name="first")
    await wait_until(lambda: bench.joiner.begun == [1])
    await bench.engine.handle(REF, bench.disconnect(), "disconnect@1")
    assert await bench.owed() == [], "the join may still be making things"
    bench.joiner.gate(1).set()
    assert (await joining).reply == HangUp()
    assert await bench.owed() == [LeaveRoom("lobby", seat_of(REF, 1))]


async def test_a_caller_who_left_during_a_join_that_never_ends_is_taken_down_after_its_lease(
    bench: Bench,
) -> None:
    joining = bench.tasks.start(bench.engine.handle(REF, bench.initiate(), KEY), name="first")
    await wait_until(lambda: bench.joiner.begun == [1])
    joining.cancel()
    await bench.engine.handle(REF, bench.disconnect(), "disconnect@1")
    assert await bench.owed(after=LEASE - 1) == []
    assert await bench.owed(after=2) == [LeaveRoom("lobby", seat_of(REF, 1))]


async def test_many_copies_at_once_begin_one_join(bench: Bench) -> None:
    bench.joiner.gate(1).set()
    answers = await asyncio.gather(*(bench.engine.handle(REF, bench.initiate(), KEY) for _ in range(10)))
    assert bench.joiner.begun == [1]
    assert {type(answer.reply) for answer in answers} <= {TransferToWebRtc, Wait}
    assert [answer.reply for answer in answers].count(TransferToWebRtc(1)) >= 1


async def test_a_copy_of_a_webhook_whose_join_was_put_off_uses_up_no_round(bench: Bench) -> None:
    """It is asked to wait as its webhook was, and the phone, which comes back, is joined anew."""
    bench.joiner.put_off = {1}
    for attempt in (1, 2):
        bench.joiner.gate(attempt).set()
    first = await bench.engine.handle(REF, bench.initiate(), KEY)
    copy = await bench.engine.handle(REF, bench.initiate(), KEY)
    assert (first.reply, copy.reply, copy.is_repeat) == (Wait(JOIN_RETRY_PAUSE), Wait(JOIN_RETRY_PAUSE), True)
    assert bench.joiner.begun == [1]
    assert (await bench.engine.handle(REF, bench.initiate(), "redirect@2")).reply == TransferToWebRtc(2)


async def test_a_copy_of_a_webhook_that_was_asked_to_wait_begins_nothing(bench: Bench) -> None:
    """What was prepared while it rang fails as the phone is picked up; the phone itself is joined anew."""
    bench.joiner.put_off = {1}
    rings = dial(is_early_join=True)(bench.clock.now())
    assert isinstance(rings, Dial)
    stored, _ = await bench.engine.record_outbound(rings)
    ringing = bench.tasks.start(bench.engine.prepare_participant(stored, LEASE), name="ringing")
    await wait_until(lambda: bench.joiner.begun == [1])
    first = await bench.engine.handle(event_builders.REF, event_builders.answer()(bench.clock.now()), KEY)
    for attempt in (1, 2):
        bench.joiner.gate(attempt).set()
    await ringing
    copy = await bench.engine.handle(event_builders.REF, event_builders.answer()(bench.clock.now()), KEY)
    assert (first.reply, copy.reply, copy.is_repeat) == (Wait(), Wait(), True)
    assert bench.joiner.begun == [1]
    again = await bench.engine.handle(
        event_builders.REF, event_builders.redirected()(bench.clock.now()), "redirect@2"
    )
    assert again.reply == TransferToWebRtc(2)


async def test_a_copy_of_an_older_attempts_webhook_is_not_given_the_token_of_a_newer_one(
    bench: Bench,
) -> None:
    """Its reply would lead the leg of one attempt into the room with the other's participant."""
    for attempt in (1, 3):
        bench.joiner.gate(attempt).set()
    first = await bench.engine.handle(REF, bench.initiate(), KEY)
    assert (first.reply, first.token) == (TransferToWebRtc(1), "token-1")
    await bench.engine.order(REF, OrderJoin(bench.clock.now(), "sales"))
    second = await bench.engine.handle(REF, bench.initiate(), "redirect@2")
    assert (second.reply, second.token) == (TransferToWebRtc(3), "token-3")

    copy = await bench.engine.handle(REF, bench.initiate(), KEY)
    assert (copy.reply, copy.token, copy.is_repeat) == (Wait(), "", True)
    again = await bench.engine.handle(REF, bench.initiate(), "redirect@2")
    assert (again.reply, again.token, again.is_repeat) == (TransferToWebRtc(3), "token-3", True)

    await bench.engine.handle(REF, bench.disconnect(), "disconnect@1")
    assert (await bench.engine.handle(REF, bench.initiate(), KEY)).reply == HangUp()


async def test_the_worker_is_woken_for_what_is_due_and_not_for_what_is_not(bench: Bench) -> None:
    bench.joiner.gate(1).set()
    await bench.engine.handle(REF, bench.initiate(), KEY)
    bench.alarm.notify_all()
    assert await bench.alarm.wait() == []
    await bench.engine.handle(REF, bench.disconnect(), "disconnect@1")
    assert await bench.alarm.wait() == [keys.owner_call(REF)]


async def test_a_join_that_is_not_to_be_here_leaves_no_trace(bench: Bench, redis: Redis) -> None:
    with pytest.raises(JoinNotAllowed):
        await bench.engine.handle(REF, bench.initiate(), KEY, may_join=False)
    assert await redis.keys() == []
    assert bench.joiner.begun == []
    bench.joiner.gate(1).set()
    first = await bench.engine.handle(REF, bench.initiate(), KEY)
    again = await bench.engine.handle(REF, bench.initiate(), KEY, may_join=False)
    assert (again.reply, again.token, again.is_repeat) == (first.reply, first.token, True), "it is known"
    over = await bench.engine.handle(REF, bench.disconnect(), "disconnect@1", may_join=False)
    assert over.call is not None
    assert not over.call.live, "what begins no join is done as always"


class Unsure(Calls):
    """The store takes one commit, or not, and nobody hears of it. That one is tried again when it may be."""

    def __init__(self, client: Client, *, taken: bool) -> None:
        super().__init__(client, ended_days=1)
        self.away = False
        self.again = asyncio.Event()
        self._taken = taken
        self._lost = ""

    async def commit(self, revision: int, change: CallCommit, *, now: float, commit_id: str) -> bool:
        if self.away:
            self.away, self._lost = False, commit_id
            if self._taken:
                await super().commit(revision, change, now=now, commit_id=commit_id)
            raise StoreUnavailable("it went away")
        if commit_id == self._lost:
            await self.again.wait()
        return await super().commit(revision, change, now=now, commit_id=commit_id)


@pytest.mark.parametrize(
    ("taken", "then"),
    [
        (True, "nothing"),
        (True, "its webhook"),
        (True, "a join ends"),
        (True, "it is erased"),
        (False, "nothing"),
        (False, "its webhook"),
    ],
)
async def test_an_end_that_the_store_has_not_answered_is_told_once(
    store_url: str, *, taken: bool, then: str
) -> None:
    """Whatever comes before it is written again."""
    client = Client(store_url)
    calls = Unsure(client, taken=taken)
    bench = Bench(client, calls)
    join = bench.tasks.start(bench.engine.handle(REF, bench.initiate(), KEY), name="join")
    await wait_until(lambda: bench.joiner.begun == [1])
    calls.away = True
    with capture_logs() as lines:
        with pytest.raises(StoreUnavailable):
            await bench.engine.handle(REF, bench.disconnect(), "disconnect@2")
        if then == "its webhook":
            await bench.engine.handle(REF, bench.disconnect(), "disconnect@2")
        elif then == "a join ends":
            bench.joiner.gate(1).set()
            await join
        elif then == "it is erased":
            owner, now = keys.owner_call(REF), bench.clock.now() + LEASE + 1
            await bench.outbox.settle(owner, now=now, done=await bench.outbox.settle(owner, now=now))
            [call, _] = await calls.view(REF) or [None, None]
            assert call is not None
            assert await calls.erase(REF, call, now=now)
        calls.again.set()
        bench.joiner.gate(1).set()
        await join
        assert await bench.tasks.wait(5) == 0
    assert [line["event"] for line in lines].count("call.ended") == 1
    await client.close()
