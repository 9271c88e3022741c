"""Browsers by the clock: when one is given up, whose seat is in the way of whose, and what a token says."""

import base64
import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from service.calls.browser import Browser, ParticipantStreams, Permission
from service.calls.effects import AddParticipant, CheckPresence, Subscribe, TellAlone, TellRoomClosed
from service.calls.refs import ref_of_call
from service.calls.room_settings import AloneAction
from service.engine.browsers import AdmittedBrowser
from service.engine.errors import RequestRefusal
from service.engine.outbox.protocols import RetryLater
from service.engine.timeouts import DEFAULT_TIMEOUTS
from service.store.redis.client import Client
from service.store.room_index import Member
from tests.clocks import SetClock
from tests.engine.parts import EngineParts, execute_until_done
from tests.engine.test_effect_executor import RecordingEngine
from tests.simulator import sessions
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

ROOM = "lobby"


class Bench:
    """Without a worker: what is owed is done when a test says so."""

    def __init__(self, simulator: Simulator, client: Client) -> None:
        self.clock = SetClock()
        self.engine = RecordingEngine()
        self.parts = EngineParts(simulator, client, self.clock)
        numbers = count(2)
        # A name as long as a real one for each.
        self.participants = self.parts.participants
        self.participants._new_name = lambda: f"{next(numbers):x}".rjust(16, "a")  # noqa: SLF001 - names differ
        self.performer = self.parts.performer(self.engine)
        self.simulator = simulator

    async def admit(self, **more: Any) -> AdmittedBrowser:
        admitted = await self.participants.admit(ROOM, **more)
        assert isinstance(admitted, AdmittedBrowser)
        return admitted

    async def members(self) -> dict[str, Member]:
        view = await self.parts.rooms.read(ROOM)
        return {member.seat: member for member in view.members} if view else {}

    async def looks(self, seat: str) -> float | None:
        """Seconds until it looks again, None when there is nothing to look for any more."""
        try:
            await self.performer.execute(CheckPresence(ROOM, seat), attempt=1)
        except RetryLater as again:
            return again.delay
        return None

    async def phase(self, seat: str) -> str:
        members = await self.members()
        return members[seat].phase if seat in members else ""


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[Client]:
    client = Client(store_url)
    yield client
    await client.close()


@pytest.fixture
async def bench(simulator: Simulator, client: Client) -> AsyncIterator[Bench]:
    bench = Bench(simulator, client)
    yield bench
    await wait_until(lambda: len(bench.parts.tasks) == 0)
    await bench.parts.http.close()


# When one is given up ---------------------------------------------------------------------------------------


async def test_a_token_that_nobody_uses(bench: Bench) -> None:
    seat = (await bench.admit()).seat
    bench.clock.advance(DEFAULT_TIMEOUTS.unused_seat - 1)
    assert await bench.looks(seat) == pytest.approx(1)
    assert await bench.phase(seat) == "in"
    bench.clock.advance(1)
    assert await bench.looks(seat) is None
    assert await bench.phase(seat) == "leaving"
    assert await bench.looks(seat) is None, "there is nothing to look for"


async def test_silence_after_a_heartbeat(bench: Bench) -> None:
    seat = (await bench.admit()).seat
    bench.clock.advance(100)
    assert await bench.participants.heartbeat(ROOM, seat)
    bench.clock.advance(DEFAULT_TIMEOUTS.browser_absence - 1)
    assert await bench.looks(seat) == pytest.approx(1)
    bench.clock.advance(1)
    assert await bench.looks(seat) is None
    assert not await bench.participants.heartbeat(ROOM, seat)


async def test_who_is_known_to_be_there_is_looked_at_now_and_then(bench: Bench) -> None:
    one = await bench.admit()
    await bench.participants.handle_event(ROOM, one.seat, one.participant_id, "onConnect")
    bench.clock.advance(3600)
    assert await bench.looks(one.seat) == DEFAULT_TIMEOUTS.idle_check
    await bench.participants.handle_event(ROOM, one.seat, one.participant_id, "onDisconnect")
    assert await bench.looks(one.seat) == pytest.approx(DEFAULT_TIMEOUTS.browser_absence)
    bench.clock.advance(DEFAULT_TIMEOUTS.browser_absence)
    assert await bench.looks(one.seat) is None
    assert await bench.phase(one.seat) == "leaving"


async def test_a_copy_that_comes_late_changes_nothing(bench: Bench) -> None:
    one = await bench.admit()

    async def report(event: str, told: int) -> None:
        bench.clock.advance(1)
        await bench.participants.handle_event(ROOM, one.seat, one.participant_id, event, told)

    await report("onDisconnect", 1000)
    await report("onConnect", 1001)
    await report("onDisconnect", 1000)
    bench.clock.advance(DEFAULT_TIMEOUTS.browser_absence)
    assert await bench.looks(one.seat) == DEFAULT_TIMEOUTS.idle_check
    await report("onDisconnect", 1002)
    await report("onConnect", 1001)
    assert await bench.looks(one.seat) == pytest.approx(DEFAULT_TIMEOUTS.browser_absence - 1)


@pytest.mark.parametrize("event", ["onConnect", "onLeave", "onDisconnect"])
async def test_events_of_somebody_else(bench: Bench, event: str) -> None:
    one = await bench.admit()
    before = await bench.members()
    await bench.participants.handle_event(ROOM, one.seat, "somebody-else", event)
    await bench.participants.handle_event(ROOM, "web-unknown.1", one.participant_id, event)
    await bench.participants.handle_event("nowhere", one.seat, one.participant_id, event)
    assert await bench.members() == before
    phone = f"{ref_of_call('c-1')}.1"
    now = bench.clock.now()
    await bench.parts.rooms.reserve(ROOM, phone, wait_if_empty=False, limit=20, now=now)
    await bench.parts.rooms.take_seat(ROOM, phone, participant_id="p-1", new_session_id="", now=now)
    before = await bench.members()
    await bench.participants.handle_event(ROOM, phone, "p-1", event)
    assert await bench.members() == before, "a phone's call says what becomes of it"


async def test_an_event_that_is_told_twice(bench: Bench) -> None:
    one = await bench.admit()
    for _ in range(2):
        await bench.participants.handle_event(ROOM, one.seat, one.participant_id, "onLeave")
    assert await bench.phase(one.seat) == "leaving"


# One visit, one browser -------------------------------------------------------------------------------------


async def test_a_visit_has_one_browser(bench: Bench) -> None:
    first = await bench.admit(visit="v-1")
    stranger, nobodys, nobodys_too = [await bench.admit(visit=visit) for visit in ("v-2", "", "")]
    second = await bench.admit(visit="v-1", name="Anna")
    members = await bench.members()
    assert members[first.seat].phase == "leaving"
    assert members[second.seat].browser == Browser("Anna", visit="v-1")
    assert {members[one.seat].phase for one in (second, stranger, nobodys, nobodys_too)} == {"in"}


async def test_of_two_at_once_the_later_one_stays(bench: Bench) -> None:
    """Both find nobody of their visit when they come."""
    gate = bench.simulator.gates.hold("createParticipant")
    joining = []
    for _ in range(2):
        joining.append(bench.parts.tasks.start(bench.participants.admit(ROOM, visit="v-1"), name="join"))
        await gate.reached(count=len(joining))
        bench.clock.advance(0.001)
    gate.release()
    _, second = [await task for task in joining]
    assert isinstance(second, AdmittedBrowser)
    assert {seat for seat, member in (await bench.members()).items() if member.phase == "in"} == {second.seat}


async def test_nobody_is_refused_because_of_themselves(bench: Bench) -> None:
    """The room is full of a seat that is still being taken down."""
    await bench.parts.rooms.configure(ROOM, await limited(bench, 2), now=bench.clock.now())
    old = await bench.admit(visit="v-1")
    other = await bench.admit(visit="v-2")
    naps = ScriptedSleeps(bench, old.seat)
    new = await bench.admit(visit="v-1")
    assert naps.taken == 3
    assert set(await bench.members()) == {other.seat, new.seat}


async def test_a_room_that_is_full_of_others_is_full_at_once(bench: Bench) -> None:
    await bench.parts.rooms.configure(ROOM, await limited(bench, 1), now=bench.clock.now())
    other = await bench.admit(visit="v-2")
    began = bench.clock.now()
    for visit in ("v-1", ""):
        refused = await bench.participants.admit(ROOM, visit=visit)
        assert isinstance(refused, RequestRefusal)
        assert refused.reason == "room-full"
    assert bench.clock.now() == began, "there is nothing to wait for"
    assert set(await bench.members()) == {other.seat}


async def test_a_seat_that_does_not_become_free_is_not_waited_for_for_ever(bench: Bench) -> None:
    await bench.parts.rooms.configure(ROOM, await limited(bench, 1), now=bench.clock.now())
    await bench.admit(visit="v-1")
    began = bench.clock.now()
    refused = await bench.participants.admit(ROOM, visit="v-1")
    assert isinstance(refused, RequestRefusal)
    assert refused.reason == "room-full"
    assert 7 < bench.clock.now() - began <= 8


class ScriptedSleeps(SetClock):
    """Somebody takes the old browser down while the new one waits: it is out at the third look."""

    def __init__(self, bench: Bench, seat: str) -> None:
        super().__init__(bench.clock.time)
        self.taken = 0
        self._bench, self._seat = bench, seat
        bench.participants._clock = self  # noqa: SLF001 - who waits is to wait by this one

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.taken += 1
        if self.taken == 3:
            assert await self._bench.phase(self._seat) == "leaving"
            await self._bench.parts.rooms.free_seat(ROOM, self._seat, now=self.now())


async def limited(bench: Bench, limit: int) -> Any:
    return msgspec.structs.replace(await bench.parts.rooms.read_settings(ROOM), limit=limit)


# Tokens -----------------------------------------------------------------------------------------------------


def jwt(claims: Any) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "c2ln"])


@pytest.mark.parametrize(
    ("token", "until"),
    [
        (jwt({"exp": 1_800_003_600}), 1_800_003_600),
        (jwt({"exp": 1_800_003_600.5, "v": "v3", "more": [1]}), 1_800_003_600.5),
        (jwt({"v": "v3"}), 0),
        (jwt({"exp": 1_800_003_600_000}), 0),
        (jwt({"exp": 1e300}), 0),
        (jwt({"exp": -1}), 0),
        (jwt({"exp": "soon"}), 0),
        (jwt({"exp": None}), 0),
        (jwt([1]), 0),
        ("opaque", 0),
        ("a.b.c", 0),
        ("a..c", 0),
        ("a.\u00e9\u00e9.c", 0),
        ("a.gICA.c", 0),
    ],
)
async def test_until_when_a_token_is_good(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, token: str, until: float
) -> None:
    monkeypatch.setattr(sessions, "device_token", lambda _participant, _length: token)
    admitted = await bench.admit()
    assert (admitted.token, admitted.expires_at) == (token, until)
    assert token not in repr(admitted)


# What is owed -----------------------------------------------------------------------------------------------


async def test_no_call_is_told_of_a_browser(bench: Bench) -> None:
    seat = (await bench.admit()).seat
    await bench.performer.execute(TellRoomClosed(ROOM, seat), attempt=1)
    await bench.performer.execute(TellAlone(ROOM, seat, AloneAction.HANGUP), attempt=1)
    assert bench.engine.handled == []
    assert await bench.phase(seat) == "in"


async def test_it_is_put_back_with_what_it_heard(bench: Bench) -> None:
    one, other = await bench.admit(permissions=(Permission.AUDIO, Permission.VIDEO)), await bench.admit()
    member = (await bench.members())[one.seat]
    hears = (ParticipantStreams(other.participant_id, ("desk",)),)
    assert await bench.participants.subscribe(ROOM, member, hears)
    at_bandwidth = bench.simulator.sessions
    participant = at_bandwidth.participants[one.participant_id]
    session = at_bandwidth.sessions[one.session_id]
    at_bandwidth.remove(participant)
    await bench.performer.execute(
        AddParticipant(ROOM, one.seat, one.session_id, one.participant_id), attempt=1
    )
    assert participant.id in session.members
    [wanted] = participant.subscriptions.participants or []
    assert (wanted.participant_id, wanted.stream_aliases) == (other.participant_id, ["desk"])
    assert bench.engine.handled == []


async def test_who_has_left_is_not_put_back(bench: Bench) -> None:
    one = await bench.admit()
    await bench.participants.leave(ROOM, one.seat, why="left")
    at_bandwidth = bench.simulator.sessions
    at_bandwidth.remove(at_bandwidth.participants[one.participant_id])
    await bench.performer.execute(
        AddParticipant(ROOM, one.seat, one.session_id, one.participant_id), attempt=1
    )
    assert one.participant_id not in at_bandwidth.sessions[one.session_id].members


async def test_who_cannot_be_put_back_leaves(bench: Bench) -> None:
    one, other = await bench.admit(), await bench.admit()
    bench.simulator.sessions.delete_participant(bench.simulator.sessions.participants[one.participant_id])
    effect = AddParticipant(ROOM, one.seat, one.session_id, one.participant_id)
    assert await execute_until_done(bench.performer, bench.clock, effect) == [2, 2]
    assert (await bench.phase(one.seat), await bench.phase(other.seat)) == ("leaving", "in")
    assert bench.engine.handled == []


async def test_a_subscription_to_who_has_gone_meanwhile(bench: Bench) -> None:
    one = await bench.admit()
    effect = Subscribe(
        ROOM, one.participant_id, (ParticipantStreams("00000000-0000-4000-8000-000000000000", ("a",)),)
    )
    assert await execute_until_done(bench.performer, bench.clock, effect) == [2, 2]
    assert await bench.phase(one.seat) == "in"


async def test_what_is_kept_of_a_browser_has_no_token(bench: Bench, redis: Redis) -> None:
    one = await bench.admit(name="Anna", visit="v-1")
    kept = [
        await redis.hgetall(key) async for key in redis.scan_iter("*") if await redis.type(key) == b"hash"
    ]
    assert "Anna" in str(kept)
    assert one.token not in str(kept)
