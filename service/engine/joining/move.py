"""Moves a participant from one room's session into another's while both legs of its call stay up.

Out of one and into the other is the order in which Bandwidth's samples do it: a participant may be in one
session only. Every step may be repeated, so that another worker can go on with a move that was cut off.
"""

from typing import Final

import structlog
from msgspec.structs import replace

from service.bandwidth.errors import BandwidthError, NotFound
from service.bandwidth.webrtc import WebRtcApi
from service.calls.effects import MoveParticipant
from service.calls.events import Event, Moved, MoveFailed, ParticipantVanished
from service.calls.room_settings import MEMBERS
from service.clock import Clock
from service.engine.joining.compensated import TooSlow
from service.engine.session_checks import InDoubt
from service.engine.joining.session_join import Entrance, Refused
from service.engine.joining.call_join import reason_of
from service.engine.timeouts import Patience
from service.engine.outbox.protocols import NotYet
from service.store.rooms import Doubted, Place, RoomFull, Rooms

log = structlog.get_logger()

_TIMEOUT: Final = 10.0
"""Seconds for the whole of a move, which is silence to those who are moved."""
_TRIES: Final = 4
_MOST_TRIES: Final = 8
"""The way back is tried again as well, for about a minute in all."""


class Mover:
    def __init__(
        self, *, entrance: Entrance, webrtc: WebRtcApi, rooms: Rooms, clock: Clock, patience: Patience
    ) -> None:
        self._entrance = entrance
        self._webrtc = webrtc
        self._rooms = rooms
        self._clock = clock
        self._patience = patience

    async def move(self, effect: MoveParticipant, *, attempt: int) -> Event:
        """What has become of it. Raises BandwidthError, StoreError or NotYet to be tried again."""
        try:
            session_id = await self._enter(effect)
        except InDoubt as error:
            looked = self._looked(effect, error)
            if looked is None:
                return await self._back(effect, error, attempt)
            raise NotYet(self._patience.vanished.pause, looked) from error
        except (Refused, TooSlow, BandwidthError) as error:
            if isinstance(error, BandwidthError) and error.retry and attempt < _TRIES:
                raise
            return await self._back(effect, error, attempt)
        return Moved(
            at=self._clock.now(),
            attempt=effect.attempt,
            place=effect.place,
            room=effect.next_room,
            session_id=session_id,
        )

    def _looked(self, effect: MoveParticipant, error: InDoubt) -> MoveParticipant | None:
        """None when its participant has not been found so often that it is gone."""
        if not error.participant:
            return effect
        looks = effect.looks.seen(self._clock.now())
        return None if looks.are(self._patience.vanished) else replace(effect, looks=looks)

    async def _enter(self, effect: MoveParticipant) -> str:
        deadline = self._clock.monotonic() + _TIMEOUT
        room, seat, participant = effect.next_room, effect.next_seat, effect.participant_id
        now = self._clock.now()
        place = await self._rooms.reserve(room, seat, waits=False, limit=MEMBERS, now=now, heeds=True)
        if isinstance(place, Doubted):
            raise InDoubt(participant=False)
        if isinstance(place, RoomFull):
            raise Refused("room-full", f"{place.members} members")
        if not isinstance(place, Place):
            raise Refused("room-closed")
        session_id = await self._take_seat(room, seat, participant, place, deadline)
        if old := await self._session(effect.room):
            await self._webrtc.remove_participant(old, participant, timeout=self._entrance.left(deadline))
        await self._entrance.add(room, session_id=session_id, participant_id=participant, deadline=deadline)
        return await self._followed(room, session_id, participant, deadline)

    async def _followed(self, room: str, session_id: str, participant: str, deadline: float) -> str:
        """The session in which it is, once it has followed the others where theirs was replaced meanwhile."""
        new = await self._session(room)
        if new in {"", session_id}:
            return session_id
        await self._webrtc.remove_participant(session_id, participant, timeout=self._entrance.left(deadline))
        await self._entrance.add(room, session_id=new, participant_id=participant, deadline=deadline)
        return new

    async def _take_seat(self, room: str, seat: str, participant: str, place: Place, deadline: float) -> str:
        """The session of the other room, which is a new one if it has none."""
        take = self._entrance.take_seat
        if place.session_id:
            return await take(room, seat, participant, "", making=(), keep=True)
        with self._entrance.creates.session(room, deadline=deadline) as making:
            made = await making.within(self._entrance.left(deadline))
            return await take(room, seat, participant, made, making=(making,), keep=True)

    async def _back(self, effect: MoveParticipant, error: Exception, attempt: int) -> Event:
        """Where it was, or nowhere: then whoever is on the phone has to be told."""
        reason = reason_of(error)
        log.warning("move.failed", reason=reason, error=str(error), next_room=effect.next_room)
        try:
            # One that found no seat has not been touched; any other may be out already. A room that is closed
            # tells those who are in it.
            if reason not in {"room-full", "room-closed"} and not await self._restore(effect, attempt):
                return ParticipantVanished(self._clock.now(), effect.attempt)
        except InDoubt as doubt:
            if (looked := self._looked(effect, doubt)) is not None:
                raise NotYet(self._patience.vanished.pause, looked) from doubt
            return ParticipantVanished(self._clock.now(), effect.attempt)
        except (TooSlow, BandwidthError):
            if attempt < _MOST_TRIES:
                raise
            return ParticipantVanished(self._clock.now(), effect.attempt)
        return MoveFailed(
            at=self._clock.now(),
            attempt=effect.attempt,
            place=effect.place,
            room=effect.next_room,
            reason=reason,
        )

    async def _restore(self, effect: MoveParticipant, attempt: int) -> bool:
        """False when there is no way back. Raises NotFound while it hears nobody and may yet."""
        deadline = self._clock.monotonic() + _TIMEOUT
        if not (old := await self._session(effect.room)):
            return False
        # It may be in the other session by now, and could not come back from there.
        if other := await self._session(effect.next_room):
            await self._webrtc.remove_participant(
                other, effect.participant_id, timeout=self._entrance.left(deadline)
            )
        try:
            await self._entrance.add(
                effect.room,
                session_id=old,
                participant_id=effect.participant_id,
                hears=effect.hears,
                deadline=deadline,
            )
        except NotFound as error:
            # Back, and somebody whom it was to hear has gone in this moment. Next time the room knows.
            if attempt < _MOST_TRIES:
                raise
            log.warning("subscription.not_possible", error=str(error))
        return True

    async def _session(self, room: str) -> str:
        view = await self._rooms.read(room)
        return view.session_id if view else ""
