"""Whatever is made at Bandwidth has an owner, wherever the request for it is cut off.

Each way of making something is driven await by await: cut off at the first, at the second, and so on until it
comes through. Afterwards all that the simulator has made is seated, or its removal is owed.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import suppress
from typing import Any, Final

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from service.bandwidth.errors import BandwidthError
from service.bandwidth.interconnect import SipTransfer
from service.calls.effects import (
    DeleteParticipant,
    DeleteSession,
    HangUpLeg,
    MoveParticipant,
    PrepareParticipant,
)
from service.calls.events import Initiate
from service.calls.model import Call, Direction, Phone
from service.calls.refs import ref_of_call
from service.calls.room_settings import InterconnectMode
from service.clock import SystemClock
from service.engine.errors import JoinRefused, JoinTimeout
from service.engine.event_handler import EventHandler
from service.engine.joining.call_join import CallJoiner
from service.engine.joining.move import ParticipantMover
from service.engine.joining.prepared import ParticipantPool
from service.engine.joining.webrtc_leg import LegDialer
from service.engine.outbox.protocols import RetryLater
from service.engine.outbox.wakeup import WorkerSignal
from service.engine.timeouts import DEFAULT_TIMEOUTS
from service.metrics import Metrics
from service.store import keys
from service.store.errors import StoreError, StoreUnavailable
from service.store.outbox import DueEffect, Outbox
from service.store.redis.client import Client
from service.store.redis.scripts import Result, Script, Value
from service.store.room_results import TakenSeat
from service.store.rooms import Rooms
from tests.engine.parts import EngineParts
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

ROOM: Final = "lobby"
NEXT: Final = "kitchen"
OTHER: Final = "p00-aaaaaaaaaaaaaaaaaaaa.1"
MINE: Final = "p00-bbbbbbbbbbbbbbbbbbbb.1"
REF: Final = ref_of_call("c-1")
CALL: Final = Call(
    ref=REF,
    call_id="c-1",
    direction=Direction.INBOUND,
    room=ROOM,
    created_at=0,
    phone=Phone.RINGING,
    attempt=1,
)
REQUESTS: Final = (
    "createSession",
    "createParticipant",
    "addParticipantToSession",
    "removeParticipantFromSession",
    "createCall",
)
SHORT: Final = replace(DEFAULT_TIMEOUTS, vanished_grace=0.02)
MAKES: Final = {"createSession", "createParticipant", "createCall"}
ENDS: Final = (asyncio.CancelledError, StoreError, RetryLater, BandwidthError, JoinTimeout, JoinRefused)

Strike = Callable[[], BaseException | None]
Begin = Callable[[], Coroutine[Any, Any, object]]


class PausableAwaitable:
    """Awaits `work`, and at its suspension number `at` does the one or the other.

    `before` while what it waits for is still to come, `after` as soon as that is there.
    """

    def __init__(self, work: Coroutine[Any, Any, object], at: int, *, before: Strike, after: Strike) -> None:
        self._work, self._at, self._before, self._after = work, at, before, after
        self.passed = 0

    def __await__(self) -> Generator[Any, Any, object]:
        error: BaseException | None = None
        while True:
            try:
                waits_for = self._work.send(None) if error is None else self._work.throw(error)
            except StopIteration as end:
                return end.value
            self.passed += 1
            if struck := self.passed == self._at:
                error = self._before()
                if error is not None:
                    continue
            try:
                yield waits_for
            except BaseException as thrown:  # noqa: BLE001 - it is handed on
                error = thrown
            else:
                error = self._after() if struck else None


class LateClock(SystemClock):
    late = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.late


class BreakingClient(Client):
    """Its script number `at` fails: not run, or run and not answered."""

    at, run_first, seen = 0, False, 0

    async def run(self, script: Script, keys: Mapping[str, str], args: Mapping[str, Value]) -> Result:
        self.seen += 1
        if self.seen != self.at:
            return await super().run(script, keys, args)
        if self.run_first:
            await super().run(script, keys, args)
        raise StoreUnavailable("broken for the test")


class Bench:
    def __init__(self, simulator: Simulator, url: str) -> None:
        self.simulator = simulator
        self.clock, self.client = LateClock(), BreakingClient(url)
        self.parts = EngineParts(simulator, self.client, self.clock, stock=1, patience=SHORT)
        self.outbox = Outbox(self.client, worker="w", lease=45)
        self.settled: set[str] = set()

    async def fresh(self, redis: Redis) -> None:
        """Nothing in the store; what there is at Bandwidth is of no interest any more."""
        await redis.flushdb()
        self.simulator.faults.clear()
        self.clock.late = 0
        self.client.at = self.client.seen = 0

    def begin(self) -> None:
        """What was made by now is no part of what is looked at."""
        self.settled = self.made()
        self.client.seen = 0

    def made(self) -> set[str]:
        done = [one for one in self.simulator.requests if one.operation in MAKES and one.created]
        return {one.created for one in done if one.created}

    async def unowned(self) -> set[str]:
        """What has been made and nobody will take down, once all that goes on has ended."""
        await wait_until(lambda: len(self.parts.tasks) == 0)
        unheard = {one.id for one in self.simulator.ledger.unreceived}
        return self.made() - self.settled - unheard - await self._owned()

    async def _owned(self) -> set[str]:
        owned: set[str] = set()
        owed: list[object] = []
        later = self.clock.now() + 3600
        owners = [keys.owner_room(ROOM), keys.owner_room(NEXT), keys.owner_call(REF)]
        for owner in owners:
            done: list[DueEffect] = []
            # One of a lane at a time.
            while done := await self.outbox.settle(owner, now=later, done=done, postponed=[]):
                owed += [one.effect for one in done]
        for effect in owed:
            match effect:
                case DeleteParticipant(participant_id=id_) | DeleteSession(session_id=id_):
                    owned.add(id_)
                case HangUpLeg(call_id=id_):
                    owned.add(id_)
                case _:
                    pass
        for room in (ROOM, NEXT):
            if view := await self.parts.rooms.read(room):
                owned |= {view.session_id, *view.prepared, *(one.participant_id for one in view.members)}
        stored = await self.parts.calls.load(REF)
        if stored.call and stored.call.leg_id:
            assert stored.call.leg_id not in owned, "the call has it, and it is to be hung up"
            owned.add(stored.call.leg_id)
        return owned

    async def inhabited(self, room: str, seat: str) -> tuple[str, str]:
        """A room with somebody in it: session and participant."""
        now, webrtc = self.clock.now(), self.parts.webrtc
        session = await webrtc.create_session(tag=room, timeout=5)
        other = await webrtc.create_participant(tag="o", callback_url=None, timeout=5)
        await webrtc.add_participant(session, other.id, timeout=5)
        await self.parts.rooms.reserve(room, seat, wait_if_empty=False, limit=20, now=now)
        taken = await self.parts.rooms.take_seat(
            room, seat, participant_id=other.id, new_session_id=session, now=now
        )
        assert isinstance(taken, TakenSeat)
        return session, other.id

    # Ways of making something. Each is prepared, and what it returns is driven.

    async def first_caller(self) -> Begin:
        return self.join

    async def next_caller(self) -> Begin:
        await self.inhabited(ROOM, OTHER)
        return self.join

    async def caller_of_a_vanished_session(self) -> Begin:
        session, _ = await self.inhabited(ROOM, OTHER)
        del self.simulator.sessions.sessions[session]
        return self.join

    async def first_browser(self) -> Begin:
        return lambda: self.parts.participants.admit(ROOM, visit="v")

    async def next_browser(self) -> Begin:
        await self.inhabited(ROOM, OTHER)
        return lambda: self.parts.participants.admit(ROOM)

    async def prepared(self) -> Begin:
        await self.inhabited(ROOM, OTHER)
        stocker = ParticipantPool(
            webrtc=self.parts.webrtc,
            rooms=self.parts.rooms,
            session_joiner=self.parts.entrance,
            session_checker=self.parts.doubts,
            callbacks=self.parts.callbacks,
            clock=self.clock,
            metrics=Metrics(),
            lifetime=DEFAULT_TIMEOUTS.prepared_lifetime,
        )
        return lambda: stocker.prepare(PrepareParticipant(ROOM), attempt=1)

    async def moved(self) -> Begin:
        _, participant = await self.inhabited(ROOM, MINE)
        parts = self.parts
        mover = ParticipantMover(
            session_joiner=parts.entrance,
            webrtc=parts.webrtc,
            rooms=parts.rooms,
            clock=self.clock,
            timeouts=DEFAULT_TIMEOUTS,
        )
        move = MoveParticipant(
            ref=REF,
            attempt=1,
            seat_no=2,
            participant_id=participant,
            room=ROOM,
            seat=MINE,
            next_room=NEXT,
            next_seat=f"{REF}.2",
        )
        return lambda: mover.move(move, attempt=1)

    async def rolled_over(self) -> Begin:
        session, _ = await self.inhabited(ROOM, OTHER)
        return lambda: self.parts.entrance.replace_session(ROOM, session, self.clock.monotonic() + 5)

    async def bridged_leg(self) -> Begin:
        """Up to the commit that names the leg."""
        self.simulator.interconnect.answer_delay = 60
        parts = self.parts
        legs = LegDialer(
            session_joiner=parts.entrance,
            voice=parts.voice,
            callbacks=parts.callbacks,
            sip_uri=self.simulator.interconnect.uri,
            application_id=self.simulator.application_id,
            number="+15550001111",
        )
        joiner = CallJoiner(
            session_joiner=parts.entrance,
            rooms=parts.rooms,
            interconnect=SipTransfer(),
            callbacks=parts.callbacks,
            leg_dialer=legs,
            default_interconnect=InterconnectMode.BRIDGE,
            clock=self.clock,
            signal=WorkerSignal(),
        )
        ids = itertools.count()
        engine = EventHandler(
            calls=parts.calls,
            joiner=joiner,
            rooms=Rooms(self.client),
            clock=self.clock,
            new_id=lambda: str(next(ids)),
            signal=WorkerSignal(),
            tasks=parts.tasks,
        )
        now = self.clock.now()
        initiate = Initiate(
            at=now,
            ref=REF,
            call_id="c-1",
            direction=Direction.INBOUND,
            room=ROOM,
            answered=False,
            lease_until=now + 8,
        )
        return lambda: engine.handle(REF, initiate, "initiate@1")

    def join(self) -> Coroutine[Any, Any, object]:
        deadline = self.clock.monotonic() + 5
        return self.parts.joiner().join(CALL, since=self.clock.now(), deadline=deadline)


@pytest.fixture
async def bench(simulator: Simulator, store_url: str) -> AsyncIterator[Bench]:
    bench = Bench(simulator, store_url)
    yield bench
    await bench.parts.http.close()
    await bench.client.close()


WAYS: Final = {
    "a room's first caller": Bench.first_caller,
    "a caller of a room with a session": Bench.next_caller,
    "a caller of a room whose session has vanished": Bench.caller_of_a_vanished_session,
    "a room's first browser": Bench.first_browser,
    "a browser of a room with a session": Bench.next_browser,
    "a participant made ahead": Bench.prepared,
    "a move into a new room": Bench.moved,
    "a session for one that is old": Bench.rolled_over,
    "a leg of ours": Bench.bridged_leg,
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


async def run(bench: Bench, work: Awaitable[object]) -> None:
    """In a task of its own, which may end in any of the ways in which its caller expects it to."""

    async def drive() -> None:
        with suppress(*ENDS):
            await work

    await bench.parts.tasks.start(drive(), name="driven")


def nothing() -> None:
    pass


def store_error() -> StoreError:
    return StoreUnavailable("broken for the test")


def bandwidth_error() -> BandwidthError:
    return BandwidthError("any", "unreachable", retryable=True)


def cancel() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


@ways
@pytest.mark.parametrize(
    "how",
    [
        "cancelled",
        "cancelled-as-it-comes",
        "time-up",
        "store",
        "store-as-it-comes",
        "bandwidth",
        "bandwidth-as-it-comes",
    ],
)
async def test_cut_off_at_each_await(
    bench: Bench, redis: Redis, way: Callable[[Bench], Coroutine[Any, Any, Begin]], how: str
) -> None:
    def late() -> None:
        bench.clock.late = 20

    strikes: dict[str, tuple[Strike, Strike]] = {
        "cancelled": (cancel, nothing),
        "cancelled-as-it-comes": (nothing, asyncio.CancelledError),
        "time-up": (nothing, late),
        "store": (store_error, nothing),
        "store-as-it-comes": (nothing, store_error),
        "bandwidth": (bandwidth_error, nothing),
        "bandwidth-as-it-comes": (nothing, bandwidth_error),
    }
    before, after = strikes[how]
    for at in itertools.count(1):
        await bench.fresh(redis)
        work = await way(bench)
        bench.begin()
        steps = PausableAwaitable(work(), at, before=before, after=after)
        await run(bench, steps)
        assert not await bench.unowned(), f"cut off at await {at}"
        if steps.passed < at:
            assert bench.made() > bench.settled, "it came through, and made something"
            break
    assert at > 2, "it waits for more than that"


@ways
@pytest.mark.parametrize("run_first", [False, True], ids=["not-run", "run-and-not-answered"])
async def test_each_write_fails(
    bench: Bench, redis: Redis, way: Callable[[Bench], Coroutine[Any, Any, Begin]], run_first: bool
) -> None:
    for at in itertools.count(1):
        await bench.fresh(redis)
        work = await way(bench)
        bench.begin()
        bench.client.at, bench.client.run_first = at, run_first
        await run(bench, work())
        await wait_until(lambda: len(bench.parts.tasks) == 0)
        struck, bench.client.at = bench.client.seen >= at, 0
        assert not await bench.unowned(), f"script {at} failed"
        if not struck:
            break
    assert at > 1


@ways
@pytest.mark.parametrize("executed", [False, True])
async def test_each_request_fails(
    bench: Bench, redis: Redis, way: Callable[[Bench], Coroutine[Any, Any, Begin]], executed: bool
) -> None:
    for operation in REQUESTS:
        await bench.fresh(redis)
        work = await way(bench)
        bench.begin()
        bench.simulator.faults.add(operation, status=500, executed=executed, times=None)
        await run(bench, work())
        assert not await bench.unowned(), operation
