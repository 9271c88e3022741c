"""Every effect may be done twice, and may come too late; both are no errors."""

from collections.abc import AsyncIterator

import pytest

from service.calls.effects import (
    AddParticipant,
    DeleteParticipant,
    DeleteSession,
    Effect,
    EndDialing,
    Evict,
    FreeSeat,
    LeaveRoom,
    NameCall,
    RemoveParticipant,
    ReplaceSession,
    Subscribe,
    SummonWaiter,
    TellAlone,
    TellHoldUp,
    TellTimeShort,
    TellTimeUp,
)
from service.calls.events import (
    Event,
    Evicted,
    HoldUp,
    LeftAlone,
    ParticipantVanished,
    Summoned,
    TimeShort,
    TimeUp,
)
from service.calls.refs import ref_of_call
from service.calls.room import Then
from service.engine.effects import Performer
from service.store.client import Client
from service.store.rooms import Rooms
from tests.clocks import SetClock
from tests.engine.parts import Parts, looked_at
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
    LeaveRoom("lobby", SEAT, keep=True),
    Subscribe("lobby", UNKNOWN, ()),
    NameCall("c-1", REF),
    EndDialing(REF),
    ReplaceSession("lobby", UNKNOWN),
]
TOLD: list[tuple[Effect, type[Event]]] = [
    (SummonWaiter("lobby", REF), Summoned),
    (TellAlone("lobby", SEAT, Then.HANGUP), LeftAlone),
    (Evict("lobby", SEAT), Evicted),
    (TellTimeUp(REF), TimeUp),
    (TellTimeShort(REF), TimeShort),
    (TellHoldUp(REF, 1, soon=True), HoldUp),
]


class RecordingEngine:
    def __init__(self) -> None:
        self.handled: list[tuple[str, type[Event]]] = []

    async def handle(self, ref: str, event: Event, key: str = "") -> object:
        self.handled.append((ref, type(event)))
        return None


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
) -> AsyncIterator[Performer]:
    parts = Parts(simulator, client, CLOCK)
    yield parts.performer(engine)
    await parts.http.close()


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: type(effect).__name__)
async def test_what_is_gone_already_is_done(performer: Performer, effect: Effect) -> None:
    for attempt in (1, 2):
        await performer.perform(effect, attempt=attempt)


async def test_a_member_that_cannot_be_put_back_is_told_of(
    simulator: Simulator, performer: Performer, engine: RecordingEngine, client: Client
) -> None:
    rooms, now = Rooms(client), CLOCK.now()
    sessions = simulator.sessions
    session = sessions.create_session("lobby").id
    await rooms.reserve("lobby", SEAT, waits=False, limit=20, now=now)
    await rooms.enter("lobby", SEAT, participant_id=UNKNOWN, made_session=session, now=now)
    # Three looks, over four seconds.
    assert await looked_at(performer, CLOCK, AddParticipant("lobby", SEAT, session, UNKNOWN)) == [2, 2]
    assert engine.handled == [(REF, ParticipantVanished)]


@pytest.mark.parametrize(("effect", "event"), TOLD, ids=lambda one: getattr(one, "__name__", None))
async def test_a_call_is_told(
    performer: Performer, engine: RecordingEngine, effect: Effect, event: type[Event]
) -> None:
    await performer.perform(effect, attempt=1)
    assert engine.handled == [(REF, event)]
