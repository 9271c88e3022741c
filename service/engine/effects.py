"""Carries out one owed effect: one request to Bandwidth or one step in the store, each safe to repeat."""

from typing import Final, Protocol, assert_never

from service.bandwidth.errors import NotFound
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
from service.calls.model import call_of
from service.clock import Clock
from service.engine.alarm import Alarm
from service.engine.callbacks import Callbacks
from service.store import keys
from service.store.rooms import Rooms

TIMEOUT: Final = 10.0
"""Seconds for one request that nobody on the phone waits for."""


class Handles(Protocol):
    async def handle(self, ref: str, event: Event, key: str = "") -> object:
        """Take one event of a call to its end. Raises StoreError."""
        ...


class Performer:
    """Raises BandwidthError or StoreError when the effect has to be tried again."""

    def __init__(
        self,
        *,
        voice: VoiceApi,
        webrtc: WebRtcApi,
        rooms: Rooms,
        engine: Handles,
        callbacks: Callbacks,
        clock: Clock,
        alarm: Alarm,
    ) -> None:
        self._voice = voice
        self._webrtc = webrtc
        self._rooms = rooms
        self._engine = engine
        self._callbacks = callbacks
        self._clock = clock
        self._alarm = alarm

    async def perform(self, effect: Effect, *, attempt: int) -> None:
        match effect:
            case HangUp():
                await self._voice.hang_up(effect.call_id, timeout=TIMEOUT, attempt=attempt)
            case RedirectPhone():
                await self._redirect(effect, attempt)
            case LeaveRoom():
                if await self._rooms.vacate(effect.room, effect.seat, now=self._clock.now()):
                    self._alarm.wake(keys.owner_room(effect.room))
            case AddParticipant():
                await self._add_again(effect, attempt)
            case RemoveParticipant():
                await self._webrtc.remove_participant(
                    effect.session_id, effect.participant_id, timeout=TIMEOUT, attempt=attempt
                )
            case DeleteParticipant():
                await self._webrtc.delete_participant(effect.participant_id, timeout=TIMEOUT, attempt=attempt)
            case FreeSeat():
                await self._rooms.free(effect.room, effect.seat, now=self._clock.now())
            case DeleteSession():
                await self._webrtc.delete_session(effect.session_id, timeout=TIMEOUT, attempt=attempt)
            case _:
                assert_never(effect)

    async def _redirect(self, effect: RedirectPhone, attempt: int) -> None:
        try:
            await self._voice.redirect(
                effect.call_id,
                url=self._callbacks.voice(effect.ref, effect.attempt),
                username=self._callbacks.username,
                password=self._callbacks.password,
                timeout=TIMEOUT,
                attempt=attempt,
            )
        except NotFound:
            return  # the phone has gone meanwhile, and its disconnect says so

    async def _add_again(self, effect: AddParticipant, attempt: int) -> None:
        """Into the session that has replaced a vanished one; whose participant is gone too is told so."""
        try:
            await self._webrtc.add_participant(
                effect.session_id, effect.participant_id, timeout=TIMEOUT, attempt=attempt
            )
        except NotFound:
            ref, join = call_of(effect.seat)
            await self._engine.handle(ref, ParticipantVanished(self._clock.now(), join))
