"""Every effect may be done twice, and may come too late; both are no errors."""

from collections.abc import AsyncIterator

import pytest

from service.bandwidth.auth import Basic
from service.bandwidth.http import Http
from service.bandwidth.voice import VoiceApi
from service.bandwidth.webrtc import WebRtcApi
from service.calls.effects import (
    AddParticipant,
    DeleteParticipant,
    DeleteSession,
    Effect,
    FreeSeat,
    HangUp,
    LeaveRoom,
    RedirectPhone,
    RemoveParticipant,
)
from service.calls.events import Event, ParticipantVanished
from service.calls.refs import ref_of_call
from service.clock import SystemClock
from service.engine.alarm import Alarm
from service.engine.callbacks import Callbacks
from service.engine.effects import Performer
from service.store.client import Client
from service.store.rooms import Rooms
from tests.simulator.simulator import Simulator

REF = ref_of_call("c-1")
SEAT = f"{REF}.1"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
EFFECTS: list[Effect] = [
    HangUp("c-1"),
    RedirectPhone("c-1", REF, 1),
    LeaveRoom("lobby", SEAT),
    AddParticipant("lobby", SEAT, UNKNOWN, UNKNOWN),
    RemoveParticipant(SEAT, UNKNOWN, UNKNOWN),
    DeleteParticipant(SEAT, UNKNOWN),
    FreeSeat("lobby", SEAT),
    DeleteSession(UNKNOWN),
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
async def performer(
    simulator: Simulator, store_url: str, engine: RecordingEngine
) -> AsyncIterator[Performer]:
    http, client = Http(), Client(store_url)
    credentials = Basic(simulator.username, simulator.password)
    yield Performer(
        voice=VoiceApi(http, simulator.voice_url, simulator.account_id, credentials),
        webrtc=WebRtcApi(http, simulator.webrtc_url, simulator.account_id, credentials),
        rooms=Rooms(client),
        engine=engine,
        callbacks=Callbacks("https://bridge.test", "u", "p"),
        clock=SystemClock(),
        alarm=Alarm(),
    )
    await http.close()
    await client.close()


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: type(effect).__name__)
async def test_what_is_gone_already_is_done(performer: Performer, effect: Effect) -> None:
    for attempt in (1, 2):
        await performer.perform(effect, attempt=attempt)


async def test_a_member_that_cannot_be_put_back_is_told_of(
    performer: Performer, engine: RecordingEngine
) -> None:
    await performer.perform(AddParticipant("lobby", SEAT, UNKNOWN, UNKNOWN), attempt=1)
    assert engine.handled == [(REF, ParticipantVanished)]
