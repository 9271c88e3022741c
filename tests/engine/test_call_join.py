"""A join against the simulator and a real store, when its seat is taken from it on the way."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from service.calls.effects import DeleteParticipant, DeleteSession
from service.calls.events import Joined, JoinFailed
from service.calls.model import Call, Direction, Phone
from service.calls.refs import ref_of_call
from service.clock import SystemClock
from service.engine.joining.call_join import Outcome
from service.engine.joining.compensated import NO_REPEAT
from service.store import keys
from service.store.errors import StoreUnavailable
from service.store.outbox import Outbox
from service.store.outbox_index import OutboxIndex
from service.store.redis.client import Client
from service.store.room_results import ReservedSeat, SeatGone, SessionInDoubt, TakenSeat
from tests.engine.parts import EngineParts
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

ROOM = "lobby"
CALL = Call(
    ref=ref_of_call("c-1"),
    call_id="c-1",
    direction=Direction.INBOUND,
    room=ROOM,
    created_at=0,
    phone=Phone.RINGING,
    attempt=1,
)


class Bench:
    def __init__(self, parts: EngineParts, client: Client) -> None:
        self.clock, self.tasks, self.http = parts.clock, parts.tasks, parts.http
        self.rooms = parts.rooms
        self.outbox = Outbox(client, worker="w", lease=45)
        self.entrance = parts.entrance
        self.joiner = parts.joiner()

    async def join(self) -> JoinFailed:
        outcome, token = await self.joined(since=self.clock.now(), deadline=self.clock.monotonic() + 5)
        assert isinstance(outcome, JoinFailed)
        assert token == ""
        return outcome

    async def joined(self, *, since: float, deadline: float) -> tuple[Outcome, str]:
        return await self.joiner.join(CALL, since=since, deadline=deadline)

    async def owed(self) -> list[type]:
        """What the room owes, once everything that was begun has ended."""
        await wait_until(lambda: len(self.tasks) == 0)
        work = await self.outbox.settle(
            keys.owner_room(ROOM), now=self.clock.now() + 1, done=[], postponed=[]
        )
        return sorted((type(one.effect) for one in work), key=str)


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[Client]:
    client = Client(store_url)
    yield client
    await client.close()


@pytest.fixture
async def bench(simulator: Simulator, client: Client) -> AsyncIterator[Bench]:
    bench = Bench(EngineParts(simulator, client, SystemClock()), client)
    yield bench
    await bench.http.close()


async def test_a_seat_that_was_given_up_during_the_creates(
    simulator: Simulator, bench: Bench, redis: Redis
) -> None:
    gate = simulator.gates.hold("createParticipant")
    joining = bench.tasks.start(bench.join(), name="join")
    await gate.reached()
    await bench.rooms.vacate(ROOM, CALL.seat, now=bench.clock.now())
    gate.release()
    assert (await joining).reason == "room-closed"
    assert await bench.owed() == [DeleteParticipant, DeleteSession]
    assert not await redis.exists(keys.room(ROOM))


async def test_a_session_that_is_not_found_is_in_doubt(
    simulator: Simulator, bench: Bench, redis: Redis
) -> None:
    """A 404 is no reason to replace the session of the others: it is looked at again beside the call."""
    now = bench.clock.now()
    await bench.rooms.reserve(ROOM, "other.1", wait_if_empty=False, limit=20, now=now)
    await bench.rooms.take_seat(ROOM, "other.1", participant_id="p", new_session_id="vanished", now=now)
    failed = await bench.join()
    assert (failed.reason, failed.is_temporary) == ("bandwidth-error", True)
    assert "createSession" not in [one.operation for one in simulator.requests]
    second = await bench.rooms.reserve(
        ROOM, "second.1", wait_if_empty=False, limit=20, now=now, refuse_if_doubted=True
    )
    assert second == SessionInDoubt(), "nobody else is sent into it meanwhile"
    third = await bench.rooms.reserve(
        ROOM, "third.1", wait_if_empty=False, limit=20, now=now + 11, refuse_if_doubted=True
    )
    assert isinstance(third, ReservedSeat)
    assert third.session_id == "vanished"


async def inhabited(bench: Bench) -> str:
    """A room with somebody in it; its session."""
    now = bench.clock.now()
    await bench.rooms.reserve(ROOM, "other.1", wait_if_empty=False, limit=20, now=now)
    made = await bench.entrance.creator.create_session(ROOM, deadline=NO_REPEAT).wait(5)
    await bench.rooms.take_seat(ROOM, "other.1", participant_id="p", new_session_id=made, now=now)
    return made


async def test_the_store_is_not_waited_for_before_a_participant_is_added(
    simulator: Simulator, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await inhabited(bench)
    taken, enter = asyncio.Event(), bench.rooms.take_seat

    async def slow(*args: Any, **kwargs: Any) -> TakenSeat | SeatGone:
        await taken.wait()
        return await enter(*args, **kwargs)

    monkeypatch.setattr(bench.rooms, "take_seat", slow)
    deadline = bench.clock.monotonic() + 5
    joining = bench.tasks.start(bench.joined(since=0, deadline=deadline), name="join")
    await wait_until(lambda: len(simulator.sessions.sessions[session].members) == 1)
    assert not joining.done(), "nobody is bridged whose seat is not taken"
    taken.set()
    outcome, _ = await joining
    assert isinstance(outcome, Joined)
    assert outcome.session_id == session


async def test_a_seat_that_was_given_up_while_its_participant_is_added(
    simulator: Simulator, bench: Bench
) -> None:
    await inhabited(bench)
    create, add = simulator.gates.hold("createParticipant"), simulator.gates.hold("addParticipantToSession")
    joining = bench.tasks.start(bench.join(), name="join")
    await create.reached()
    await bench.rooms.vacate(ROOM, CALL.seat, now=bench.clock.now())
    create.release()
    await add.reached()
    assert (await joining).reason == "room-closed", "without waiting for Bandwidth"
    add.release()
    assert DeleteParticipant in await bench.owed()


@pytest.mark.parametrize(("vanished", "fails"), [(True, False), (False, False), (False, True)])
async def test_a_session_that_was_replaced_during_the_create(
    simulator: Simulator, bench: Bench, *, vanished: bool, fails: bool
) -> None:
    """Bandwidth knows the old one still, or not any more: the participant gets into the new one.

    `fails`: that it was taken out of the old one is answered with a failure of something in between.
    """
    if fails:
        simulator.faults.add("removeParticipantFromSession", status=504, executed=True)
    old = await inhabited(bench)
    gate = simulator.gates.hold("createParticipant")
    joining = bench.tasks.start(bench.joined(since=0, deadline=bench.clock.monotonic() + 5), name="join")
    await gate.reached()
    now = bench.clock.now()
    made = await bench.entrance.creator.create_session(ROOM, deadline=NO_REPEAT).wait(5)
    await bench.rooms.replace_session(ROOM, "other.1", vanished_session_id=old, new_session_id=made, now=now)
    if vanished:
        del simulator.sessions.sessions[old]
    gate.release()
    outcome, _ = await joining
    assert isinstance(outcome, Joined)
    assert outcome.session_id == made
    assert list(simulator.sessions.sessions[made].members) == [outcome.participant_id]
    assert vanished or not simulator.sessions.sessions[old].members


async def test_a_session_that_the_store_has_not_taken_is_taken_down(
    simulator: Simulator, bench: Bench, redis: Redis
) -> None:
    """It was to replace another, everybody leaves meanwhile, and the store takes nothing just then."""
    now = bench.clock.now()
    await bench.rooms.reserve(ROOM, "other.1", wait_if_empty=False, limit=20, now=now)
    await bench.rooms.take_seat(ROOM, "other.1", participant_id="p", new_session_id="old", now=now)
    gate = simulator.gates.hold("createSession")
    deadline = bench.clock.monotonic() + 5
    replacing = bench.tasks.start(bench.entrance.replace_session(ROOM, "old", deadline), name="replace")
    await gate.reached()
    await bench.rooms.close(ROOM, now=now)
    await redis.config_set("min-replicas-to-write", 1)
    gate.release()
    await asyncio.wait([replacing])
    await redis.config_set("min-replicas-to-write", 0)
    assert isinstance(replacing.exception(), StoreUnavailable)
    [session] = simulator.sessions.sessions.values()
    await wait_until(lambda: len(bench.tasks) == 0)
    owed = await bench.outbox.settle(keys.owner_room(ROOM), now=bench.clock.now() + 60, done=[], postponed=[])
    assert DeleteSession(session.id) in [one.effect for one in owed]


async def test_no_time_left(bench: Bench) -> None:
    outcome, _ = await bench.joined(since=0, deadline=bench.clock.monotonic() - 1)
    assert isinstance(outcome, JoinFailed)
    assert outcome.reason == "bandwidth-timeout"
    assert await bench.owed() == [DeleteParticipant, DeleteSession]


async def test_a_store_that_takes_all_the_time_is_not_bandwidths_fault(
    simulator: Simulator, bench: Bench, redis: Redis
) -> None:
    gate = simulator.gates.hold("createParticipant")
    deadline = bench.clock.monotonic() + 0.4
    joining = bench.tasks.start(bench.joined(since=0, deadline=deadline), name="join")
    await gate.reached()
    await redis.client_pause(600)
    gate.release()
    await asyncio.wait([joining])
    assert isinstance(joining.exception(), StoreUnavailable)
    assert "addParticipantToSession" not in [one.operation for one in simulator.requests]


@pytest.mark.parametrize(
    ("hangs", "insured"), [("createSession", "delete-participant"), ("createParticipant", "delete-session")]
)
async def test_what_is_made_while_the_other_create_hangs_outlives_its_replica(
    simulator: Simulator, bench: Bench, client: Client, hangs: str, insured: str
) -> None:
    """Its removal is owed until it has its place, for whoever is there then."""
    gate = simulator.gates.hold(hangs)
    deadline = bench.clock.monotonic() + 5
    joining = bench.tasks.start(bench.joined(since=0, deadline=deadline), name="join")
    await gate.reached()
    directory = OutboxIndex(client)

    async def is_insured() -> bool:
        return [one.effect_name for one in await directory.list_owed(limit=9)] == [insured]

    await wait_until(is_insured)
    [owed] = await directory.list_owed(limit=9)
    assert 15 < owed.due - bench.clock.now() < 25, "after the join, however it goes"
    gate.release()
    outcome, _ = await joining
    assert isinstance(outcome, Joined)
    left = [one.effect_name for one in await directory.list_owed(limit=9)]
    assert sorted(left) == ["check-room", "replace-session"]


async def test_what_is_made_at_the_same_time_needs_no_insurance(
    simulator: Simulator, bench: Bench, redis: Redis
) -> None:
    before = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    await bench.joined(since=0, deadline=bench.clock.monotonic() + 5)
    after = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert after - before == 2, "one trip for the seat, one to take it"
