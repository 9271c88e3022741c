"""How long a call may be silent, and how often it is asked after."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from service.bandwidth.errors import Misrouted
from service.calls.effects import CheckCall, CheckRoom
from service.calls.looks import CallChecked, Looks, Threshold
from service.calls.model import Call, Direction, Intent, Media, Phone
from service.calls.refs import ref_of_call
from service.calls.replies import NoReply
from service.engine.outbox.protocols import RetryLater
from service.engine.reconciler import max_idle
from service.engine.timeouts import DEFAULT_TIMEOUTS, HOUR, MINUTE
from service.store import keys
from service.store.calls import CallCommit
from service.store.redis.client import Client
from tests.calls.event_builders import sample_call
from tests.clocks import SetClock
from tests.engine.parts import EngineParts, execute_until_done
from tests.engine.test_effect_executor import RecordingEngine
from tests.harness import CALLEE, NUMBER
from tests.simulator.sessions import Subscriptions
from tests.simulator.simulator import Simulator

DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("media", "intent", "phone", "seconds"),
    [
        (Media.JOINING, Intent.BRIDGE, Phone.RINGING, 20),
        (Media.LEAVING, Intent.BRIDGE, Phone.UP, 20),
        (Media.READY, Intent.BRIDGE, Phone.UP, 30),
        (Media.TRANSFERRING, Intent.BRIDGE, Phone.UP, 30),
        (Media.BRIDGED, Intent.BRIDGE, Phone.UP, 15 * MINUTE),
        (Media.NONE, Intent.HOLD, Phone.UP, 15 * MINUTE),
        (Media.NONE, Intent.TRANSFER, Phone.UP, 15 * MINUTE),
        (Media.NONE, Intent.WAIT, Phone.UP, 30),
        (Media.NONE, Intent.PIN, Phone.UP, 30),
        (Media.NONE, Intent.BRIDGE, Phone.UP, 30),
        (Media.NONE, Intent.HANGUP, Phone.UP, 30),
        (Media.READY, Intent.BRIDGE, Phone.DIALING, None),
        (Media.NONE, Intent.HANGUP, Phone.DIALING, None),
    ],
)
def test_how_long_nothing_needs_to_be_heard(
    media: Media, intent: Intent, phone: Phone, seconds: float | None
) -> None:
    assert max_idle(sample_call(media, intent, phone), DEFAULT_TIMEOUTS) == seconds


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[Client]:
    client = Client(store_url)
    yield client
    await client.close()


class Bench:
    """A call that lives at Bandwidth, and that nobody has told us anything about."""

    def __init__(self, simulator: Simulator, client: Client) -> None:
        self.simulator = simulator
        self.clock = SetClock()
        self.engine = RecordingEngine()
        self.parts = EngineParts(simulator, client, self.clock)
        self.performer = self.parts.performer(self.engine)

    async def know(self, call_id: str, **more: Any) -> Call:
        call = Call(
            ref=ref_of_call(call_id),
            call_id=call_id,
            direction=Direction.INBOUND,
            room="lobby",
            created_at=self.clock.now(),
            phone=Phone.UP,
            media=Media.BRIDGED,
        )
        call = replace(call, **more)
        change = CallCommit(call=call, event_key="", reply=NoReply(), timeline_entry=None)
        assert await self.parts.calls.commit(0, change, now=self.clock.now(), commit_id="1")
        return call


@pytest.fixture
async def bench(simulator: Simulator, client: Client) -> AsyncIterator[Bench]:
    bench = Bench(simulator, client)
    yield bench
    await bench.parts.http.close()


async def living(simulator: Simulator) -> str:
    """The id of a phone that rings."""
    simulator.numbers[CALLEE] = "ring"
    body = {
        "applicationId": simulator.application_id,
        "to": CALLEE,
        "from": NUMBER,
        "answerUrl": "http://127.0.0.1:1/",
        "callTimeout": 300,
    }
    url = f"{simulator.voice_url}/accounts/{simulator.account_id}/calls"
    async with httpx.AsyncClient(auth=(simulator.username, simulator.password)) as client:
        return str((await client.post(url, json=body)).json()["callId"])


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 30 * MINUTE), (2, HOUR), (3, 2 * HOUR), (4, 2 * HOUR), (9999, 2 * HOUR)]
)
async def test_who_lives_is_asked_after_less_and_less(
    simulator: Simulator, bench: Bench, attempt: int, seconds: float
) -> None:
    call = await bench.know(await living(simulator))
    with pytest.raises(RetryLater) as again:
        await bench.performer.execute(CheckCall(call.ref), attempt=attempt)
    assert again.value.delay == seconds
    assert bench.engine.handled == []


async def test_who_lives_is_not_forgotten(simulator: Simulator, bench: Bench, redis: Redis) -> None:
    call = await bench.know(await living(simulator))
    await redis.expire(keys.call(call.ref), 60)
    with pytest.raises(RetryLater):
        await bench.performer.execute(CheckCall(call.ref), attempt=1)
    assert await redis.ttl(keys.call(call.ref)) > DAY - 60


async def test_who_has_ended_is_not_asked_after(simulator: Simulator, bench: Bench) -> None:
    ref = (await bench.know("c-1", phone=Phone.GONE)).ref
    await bench.performer.execute(CheckCall(ref), attempt=1)
    assert simulator.requests == []


@pytest.mark.parametrize("known", [True, False])
async def test_who_is_not_there_or_not_yet_is_looked_for_again(
    simulator: Simulator, bench: Bench, known: bool
) -> None:
    """By a server that lags behind it is being dialed, or not known."""
    ref = (await bench.know("c-1", phone=Phone.DIALING)).ref if known else ref_of_call("nobody")
    assert await execute_until_done(bench.performer, bench.clock, CheckCall(ref)) == [7.5, 7.5]
    assert simulator.requests == []


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 30 * MINUTE), (2, HOUR), (9, 2 * HOUR)])
async def test_a_session_without_strangers_is_looked_at_less_and_less(
    simulator: Simulator, bench: Bench, attempt: int, seconds: float
) -> None:
    session = simulator.sessions.create_session("lobby")
    now = bench.clock.now()
    await bench.parts.rooms.reserve("lobby", "a.1", wait_if_empty=False, limit=9, now=now)
    await bench.parts.rooms.take_seat("lobby", "a.1", participant_id="p", new_session_id=session.id, now=now)
    with pytest.raises(RetryLater) as again:
        await bench.performer.execute(CheckRoom("lobby", session.id), attempt=attempt)
    assert again.value.delay == seconds


@pytest.mark.parametrize("exists", [True, False])
async def test_a_session_that_is_not_the_rooms_is_looked_at_no_more_in_the_end(
    simulator: Simulator, bench: Bench, redis: Redis, exists: bool
) -> None:
    session = simulator.sessions.create_session("lobby").id if exists else str(uuid4())
    before = await redis.keys()
    assert await execute_until_done(bench.performer, bench.clock, CheckRoom("lobby", session)) == [7.5, 7.5]
    assert await redis.keys() == before
    assert [one.operation for one in simulator.requests] == ["listSessionParticipants"] * 3


# What Bandwidth does not know -------------------------------------------------------------------------------


async def test_a_call_that_is_not_known_is_told_so(simulator: Simulator, bench: Bench) -> None:
    call = await bench.know("c-1")
    await bench.performer.execute(CheckCall(call.ref), attempt=3)
    assert bench.engine.handled == [(call.ref, CallChecked)]


async def test_one_whose_participant_is_in_its_session_is_not_even_doubted(
    simulator: Simulator, bench: Bench
) -> None:
    sessions = simulator.sessions
    session, participant = sessions.create_session("lobby"), sessions.create_participant("", None, [], "V3")
    sessions.add(session, participant, Subscriptions())
    call = await bench.know("c-1", session_id=session.id, participant_id=participant.id)
    with pytest.raises(RetryLater) as again:
        await bench.performer.execute(CheckCall(call.ref), attempt=1)
    assert again.value.delay == 30 * MINUTE
    assert bench.engine.handled == []
    sessions.delete_participant(participant)
    await bench.performer.execute(CheckCall(call.ref), attempt=1)
    assert bench.engine.handled == [(call.ref, CallChecked)]


@pytest.mark.parametrize("operation", ["getCall", "listSessionParticipants"])
async def test_somebody_in_between_says_nothing_of_a_call(
    simulator: Simulator, bench: Bench, operation: str
) -> None:
    call = await bench.know("c-1", session_id=str(uuid4()), participant_id=str(uuid4()))
    simulator.faults.add(operation, status=404, page=True)
    with pytest.raises(Misrouted):
        await bench.performer.execute(CheckCall(call.ref), attempt=1)
    assert bench.engine.handled == []


async def test_one_that_was_doubted_is_cleared_when_it_is_known(simulator: Simulator, bench: Bench) -> None:
    call = await bench.know(await living(simulator), not_found=Looks().seen(bench.clock.now()))
    await bench.performer.execute(CheckCall(call.ref), attempt=1)
    assert bench.engine.handled == [(call.ref, CallChecked)]
    await simulator.phones[-1].hang_up()


def test_a_call_in_doubt_is_looked_at_five_times_in_half_an_hour() -> None:
    doubted = replace(sample_call(Media.BRIDGED), not_found=Looks().seen(0))
    assert max_idle(doubted, DEFAULT_TIMEOUTS) == 7.5 * MINUTE
    assert DEFAULT_TIMEOUTS.not_found_limit == Threshold(5, 30 * MINUTE)
