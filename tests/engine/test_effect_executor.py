"""Effects may be done twice, and may come too late; both are no errors."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NamedTuple, get_args

import pytest

from service.bandwidth.errors import BandwidthError
from service.calls.browser import Browser
from service.calls.effects import (
    AddParticipant,
    CheckCall,
    CheckPage,
    CheckPresence,
    DeleteParticipant,
    DeleteSession,
    Effect,
    EndDialing,
    FreeSeat,
    LeaveRoom,
    RecordCallId,
    RemoveParticipant,
    ReplaceSession,
    Subscribe,
    SummonWaiter,
    TellAlone,
    TellHoldTimeUp,
    TellRoomClosed,
    TellTimeNearlyUp,
    TellTimeUp,
)
from service.calls.events import (
    Event,
    HoldTimeUp,
    LeftAlone,
    ParticipantVanished,
    RoomClosed,
    Summoned,
    TimeNearlyUp,
    TimeUp,
)
from service.calls.looks import Looks
from service.calls.model import Call, Media
from service.calls.refs import ref_of_call
from service.calls.room_settings import AloneAction
from service.engine.effect_executor import EffectExecutor
from service.engine.outbox.protocols import RetryLater
from service.store.redis.client import Client
from service.store.rooms import Rooms
from tests.calls.event_builders import sample_call
from tests.clocks import SetClock
from tests.engine.parts import EngineParts, execute_until_done
from tests.sample_effects import sample
from tests.simulator.simulator import Simulator

CLOCK = SetClock()
REF = ref_of_call("c-1")
SEAT = f"{REF}.1"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
EFFECTS: list[Effect] = [
    LeaveRoom("lobby", SEAT),
    AddParticipant("lobby", SEAT, UNKNOWN, UNKNOWN),
    RemoveParticipant(SEAT, UNKNOWN, UNKNOWN),
    DeleteParticipant(SEAT, UNKNOWN),
    FreeSeat("lobby", SEAT),
    DeleteSession(UNKNOWN),
    LeaveRoom("lobby", SEAT, keeps_participant=True),
    RecordCallId("c-1", REF),
    ReplaceSession("lobby", UNKNOWN),
]
TOLD: list[tuple[Effect, type[Event]]] = [
    (SummonWaiter("lobby", REF), Summoned),
    (TellAlone("lobby", SEAT, AloneAction.HANGUP), LeftAlone),
    (TellRoomClosed("lobby", SEAT), RoomClosed),
    (TellTimeUp(REF), TimeUp),
    (TellTimeNearlyUp(REF), TimeNearlyUp),
    (TellHoldTimeUp(REF, 1, is_warning=True), HoldTimeUp),
]


MISSING: list[Effect] = [
    CheckCall(REF),
    EndDialing(REF),
    Subscribe("lobby", UNKNOWN, ()),
    CheckPage("lobby"),
    CheckPresence("lobby", "web-a.1"),
    *(effect for effect, _ in TOLD),
]


class HandledResult(NamedTuple):
    call: Call | None


class RecordingEngine:
    """Knows every call, unless it is told that it does not."""

    def __init__(self) -> None:
        self.handled: list[tuple[str, type[Event]]] = []
        self.knows = True

    async def handle(self, ref: str, event: Event, key: str = "") -> HandledResult:
        self.handled.append((ref, type(event)))
        return HandledResult(sample_call(Media.BRIDGED) if self.knows else None)


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[Client]:
    client = Client(store_url)
    yield client
    await client.close()


@pytest.fixture
async def performer(
    simulator: Simulator, client: Client, engine: RecordingEngine
) -> AsyncIterator[EffectExecutor]:
    parts = EngineParts(simulator, client, CLOCK)
    yield parts.performer(engine)
    await parts.http.close()


def test_every_effect_has_its_handler(performer: EffectExecutor) -> None:
    assert set(performer.handlers) == set(get_args(Effect))


@pytest.mark.parametrize("kind", get_args(Effect), ids=lambda kind: kind.__name__)
async def test_none_fails_in_another_way_than_a_worker_knows(
    performer: EffectExecutor, engine: RecordingEngine, kind: type[Effect]
) -> None:
    """Of what neither the store nor Bandwidth has: twice, and whether its call is known or not."""
    for attempt, engine.knows in ((1, True), (2, False)):
        with suppress(RetryLater, BandwidthError):
            await performer.execute(sample(kind, participant_id=UNKNOWN, session_id=UNKNOWN), attempt=attempt)


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: type(effect).__name__)
async def test_what_is_gone_already_is_done(performer: EffectExecutor, effect: Effect) -> None:
    for attempt in (1, 2):
        await performer.execute(effect, attempt=attempt)


async def test_a_member_that_cannot_be_put_back_is_told_of(
    simulator: Simulator, performer: EffectExecutor, engine: RecordingEngine, client: Client
) -> None:
    rooms, now = Rooms(client), CLOCK.now()
    sessions = simulator.sessions
    session = sessions.create_session("lobby").id
    await rooms.reserve("lobby", SEAT, wait_if_empty=False, limit=20, now=now)
    await rooms.take_seat("lobby", SEAT, participant_id=UNKNOWN, new_session_id=session, now=now)
    # Three looks, over four seconds.
    assert await execute_until_done(performer, CLOCK, AddParticipant("lobby", SEAT, session, UNKNOWN)) == [
        2,
        2,
    ]
    assert engine.handled == [(REF, ParticipantVanished)]


@pytest.mark.parametrize("effect", MISSING, ids=lambda effect: type(effect).__name__)
async def test_what_the_store_does_not_have_is_looked_for_again(
    performer: EffectExecutor, engine: RecordingEngine, effect: Effect
) -> None:
    """Three looks over fifteen seconds: one may have been at a server that lags behind."""
    engine.knows = False
    assert await execute_until_done(performer, CLOCK, effect) == [7.5, 7.5]


async def test_what_was_found_again_is_looked_for_as_often_as_before(
    simulator: Simulator, client: Client, engine: RecordingEngine
) -> None:
    parts = EngineParts(simulator, client, CLOCK)
    performer, now = parts.performer(engine), CLOCK.now()
    seat = "web-a.1"
    missed = CheckPresence("lobby", seat, Looks(now - 60, now - 7.5, 2))
    browser = Browser("", (), "")
    await parts.rooms.reserve("lobby", seat, wait_if_empty=False, limit=20, now=now, browser=browser)
    with pytest.raises(RetryLater) as again:
        await performer.execute(missed, attempt=3)
    assert again.value.replacement == CheckPresence("lobby", seat)
    await parts.http.close()


@pytest.mark.parametrize(("effect", "event"), TOLD, ids=lambda one: getattr(one, "__name__", None))
async def test_a_call_is_told(
    performer: EffectExecutor, engine: RecordingEngine, effect: Effect, event: type[Event]
) -> None:
    await performer.execute(effect, attempt=1)
    assert engine.handled == [(REF, event)]
