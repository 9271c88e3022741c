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
from service.calls.room_settings import MAX_MEMBERS
from service.clock import Clock
from service.engine.errors import JoinRefused, JoinTimeout, NotFoundUnconfirmed
from service.engine.joining.call_join import failure_reason
from service.engine.joining.session_join import SessionJoiner
from service.engine.outbox.protocols import RetryLater
from service.engine.timeouts import Timeouts
from service.store.room_results import ReservedSeat, RoomFull, SessionInDoubt
from service.store.rooms import Rooms

log = structlog.get_logger()

_TIMEOUT: Final = 10.0
"""Seconds for the whole of a move, which is silence to those who are moved."""
_TRIES: Final = 4
_MOST_TRIES: Final = 8
"""The way back is tried again as well, for about a minute in all."""


class ParticipantMover:
    def __init__(
        self,
        *,
        session_joiner: SessionJoiner,
        webrtc: WebRtcApi,
        rooms: Rooms,
        clock: Clock,
        timeouts: Timeouts,
    ) -> None:
        self._session_joiner = session_joiner
        self._webrtc = webrtc
        self._rooms = rooms
        self._clock = clock
        self._timeouts = timeouts

    async def move(self, effect: MoveParticipant, *, attempt: int) -> Event:
        """What has become of it. Raises BandwidthError, StoreError or RetryLater to be tried again."""
        try:
            session_id = await self._move_in(effect)
        except NotFoundUnconfirmed as error:
            looked = self._count_not_found(effect, error)
            if looked is None:
                return await self._move_back(effect, error, attempt)
            raise RetryLater(self._timeouts.vanished_limit.interval, looked) from error
        except (JoinRefused, JoinTimeout, BandwidthError) as error:
            if isinstance(error, BandwidthError) and error.retryable and attempt < _TRIES:
                raise
            return await self._move_back(effect, error, attempt)
        return Moved(
            at=self._clock.now(),
            attempt=effect.attempt,
            seat_no=effect.seat_no,
            room=effect.next_room,
            session_id=session_id,
        )

    def _count_not_found(self, effect: MoveParticipant, error: NotFoundUnconfirmed) -> MoveParticipant | None:
        """None when its participant has not been found so often that it is gone."""
        if not error.is_participant:
            return effect
        looks = effect.looks.seen(self._clock.now())
        return None if looks.reach(self._timeouts.vanished_limit) else replace(effect, looks=looks)

    async def _move_in(self, effect: MoveParticipant) -> str:
        deadline = self._clock.monotonic() + _TIMEOUT
        room, seat, participant = effect.next_room, effect.next_seat, effect.participant_id
        now = self._clock.now()
        place = await self._rooms.reserve(
            room, seat, wait_if_empty=False, limit=MAX_MEMBERS, now=now, refuse_if_doubted=True
        )
        if isinstance(place, SessionInDoubt):
            raise NotFoundUnconfirmed(is_participant=False)
        if isinstance(place, RoomFull):
            raise JoinRefused("room-full", f"{place.members} members")
        if not isinstance(place, ReservedSeat):
            raise JoinRefused("room-closed")
        session_id = await self._claim_seat(room, seat, participant, place, deadline)
        if old := await self._session(effect.room):
            await self._webrtc.remove_participant(
                old, participant, timeout=self._session_joiner.seconds_left(deadline)
            )
        await self._session_joiner.add_to_session(
            room, session_id=session_id, participant_id=participant, deadline=deadline
        )
        return await self._follow_session(room, session_id, participant, deadline)

    async def _follow_session(self, room: str, session_id: str, participant: str, deadline: float) -> str:
        """The session in which it is, once it has followed the others where theirs was replaced meanwhile."""
        new = await self._session(room)
        if new in {"", session_id}:
            return session_id
        await self._webrtc.remove_participant(
            session_id, participant, timeout=self._session_joiner.seconds_left(deadline)
        )
        await self._session_joiner.add_to_session(
            room, session_id=new, participant_id=participant, deadline=deadline
        )
        return new

    async def _claim_seat(
        self, room: str, seat: str, participant: str, place: ReservedSeat, deadline: float
    ) -> str:
        """The session of the other room, which is a new one if it has none."""
        take = self._session_joiner.claim_seat
        if place.session_id:
            return await take(room, seat, participant, "", pending=(), keep=True)
        with self._session_joiner.creator.create_session(room, deadline=deadline) as making:
            made = await making.wait(self._session_joiner.seconds_left(deadline))
            return await take(room, seat, participant, made, pending=(making,), keep=True)

    async def _move_back(self, effect: MoveParticipant, error: Exception, attempt: int) -> Event:
        """Where it was, or nowhere: then whoever is on the phone has to be told."""
        reason = failure_reason(error)
        log.warning("move.failed", reason=reason, error=str(error), next_room=effect.next_room)
        try:
            # One that found no seat has not been touched; any other may be out already. A room that is closed
            # tells those who are in it.
            if reason not in {"room-full", "room-closed"} and not await self._restore(effect, attempt):
                return ParticipantVanished(self._clock.now(), effect.attempt)
        except NotFoundUnconfirmed as doubt:
            if (looked := self._count_not_found(effect, doubt)) is not None:
                raise RetryLater(self._timeouts.vanished_limit.interval, looked) from doubt
            return ParticipantVanished(self._clock.now(), effect.attempt)
        except (JoinTimeout, BandwidthError):
            if attempt < _MOST_TRIES:
                raise
            return ParticipantVanished(self._clock.now(), effect.attempt)
        return MoveFailed(
            at=self._clock.now(),
            attempt=effect.attempt,
            seat_no=effect.seat_no,
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
                other, effect.participant_id, timeout=self._session_joiner.seconds_left(deadline)
            )
        try:
            await self._session_joiner.add_to_session(
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
