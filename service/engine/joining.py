"""One attempt to get a call into its room: seat, session and participant, then one into the other."""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from service.bandwidth.errors import BandwidthError, NotFound
from service.bandwidth.interconnect import Interconnect
from service.bandwidth.tally import counting
from service.bandwidth.webrtc import CreatedParticipant, WebRtcApi
from service.calls.effects import DeleteParticipant, DeleteSession
from service.calls.events import Joined, JoinFailed
from service.calls.model import Call
from service.clock import Clock
from service.engine.alarm import Alarm
from service.engine.callbacks import Callbacks
from service.engine.creation import Creation, TooSlow
from service.engine.persist import persist
from service.logs import bound
from service.store import keys
from service.store.errors import StoreError
from service.store.rooms import Gone, RoomFull, Rooms, Seat
from service.tasks import Tasks

log = structlog.get_logger()

MEMBERS: Final = 20
"""Participants in a session (WebRTC overview)."""
TOKEN_LIFE: Final = 25 * 60.0
"""Seconds for which a transfer is handed out again; the store forgets the token a little later."""
_CREATE_TIMEOUT: Final = 60.0
"""Seconds after which a create is given up for good; its late answer is the only way to its id."""
_TAG: Final = 50

_REASONS: Final = {
    "timeout": "bandwidth-timeout",
    "unauthorized": "credentials-refused",
    "forbidden": "credentials-refused",
    "no-token": "credentials-refused",
    "rate-limited": "rate-limited",
    "bad-request": "request-refused",
    "conflict": "request-refused",
}


class Refused(Exception):
    """The attempt cannot succeed; the reason is one of `service.calls.outcomes.FAILURES`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


class Joiner:
    def __init__(
        self,
        *,
        webrtc: WebRtcApi,
        rooms: Rooms,
        interconnect: Interconnect,
        callbacks: Callbacks,
        clock: Clock,
        tasks: Tasks,
        alarm: Alarm,
    ) -> None:
        self._webrtc = webrtc
        self._rooms = rooms
        self._interconnect = interconnect
        self._callbacks = callbacks
        self._clock = clock
        self._tasks = tasks
        self._alarm = alarm

    async def join(self, call: Call, *, since: float, deadline: float) -> tuple[Joined | JoinFailed, str]:
        """Carry the attempt out; the second value is the device token, empty unless it succeeded.

        `since` (seconds since the epoch) is when the webhook came, `deadline` (monotonic) when its reply is
        due. Raises StoreError; whatever was made by then is taken down once the store is back.
        """
        with counting() as tally:
            try:
                session_id, participant = await self._enter(call, deadline)
            except (Refused, TooSlow, BandwidthError) as error:
                reason = _reason(error)
                log.warning("join.failed", reason=reason, error=str(error))
                now = self._clock.now()
                failed = JoinFailed(
                    at=now,
                    attempt=call.attempt,
                    reason=reason,
                    silence_ms=round((now - since) * 1000, 1),
                    requests=tally.requests,
                    retries=tally.retries,
                )
                return failed, ""
        now = self._clock.now()
        joined = Joined(
            at=now,
            attempt=call.attempt,
            session_id=session_id,
            participant_id=participant.id,
            token_until=now + TOKEN_LIFE,
            silence_ms=round((now - since) * 1000, 1),
            requests=tally.requests,
            retries=tally.retries,
        )
        return joined, participant.token

    async def _enter(self, call: Call, deadline: float) -> tuple[str, CreatedParticipant]:
        place = await self._rooms.reserve(call.room, call.seat, limit=MEMBERS, now=self._clock.now())
        if isinstance(place, RoomFull):
            raise Refused("room-full", f"{place.members} members")
        if isinstance(place, Gone):
            raise Refused("room-closed")
        making_participant = self._create_participant(call)
        making_session = None if place.session_id else self._create_session(call)
        try:
            participant = await making_participant.within(self._left(deadline))
            self._check_token(call, participant)
            made_session = await making_session.within(self._left(deadline)) if making_session else ""
        except BaseException:
            making_participant.abandon()
            if making_session:
                making_session.abandon()
            raise
        with bound(participant_id=participant.id):
            seat = await self._settle(
                call,
                lambda: self._rooms.enter(
                    call.room,
                    call.seat,
                    participant_id=participant.id,
                    made_session=made_session,
                    now=self._clock.now(),
                ),
            )
            return await self._add(call, seat.session_id, participant, deadline), participant

    async def _add(
        self, call: Call, session_id: str, participant: CreatedParticipant, deadline: float
    ) -> str:
        """Into the session; one that has vanished is replaced for everybody in the room."""
        with bound(session_id=session_id):
            try:
                await self._webrtc.add_participant(session_id, participant.id, timeout=self._left(deadline))
            except NotFound:
                log.warning("session.vanished")
            else:
                return session_id
        making = self._create_session(call)
        try:
            made = await making.within(self._left(deadline))
        except BaseException:
            making.abandon()
            raise
        seat = await self._settle(
            call,
            lambda: self._rooms.replace_session(
                call.room, call.seat, vanished=session_id, made_session=made, now=self._clock.now()
            ),
        )
        with bound(session_id=seat.session_id):
            log.info("session.replaced", vanished=session_id)
            try:
                await self._webrtc.add_participant(
                    seat.session_id, participant.id, timeout=self._left(deadline)
                )
            except NotFound as error:
                raise Refused("participant-vanished", str(error)) from error
        return seat.session_id

    async def _settle(self, call: Call, write: Callable[[], Awaitable[Seat | Gone]]) -> Seat:
        """Hand what was made over to the room.

        Should the store fail, it may or may not have taken it: the same write is repeated in the background,
        and once it is through, the seat's leaving takes everything down.
        """
        try:
            seat = await write()
        except StoreError:
            self._tasks.start(persist(write, self._clock, "room seat"), name="room.settle")
            raise
        self._alarm.wake(keys.owner_room(call.room))
        if isinstance(seat, Gone):
            raise Refused("room-closed")
        return seat

    def _create_participant(self, call: Call) -> Creation[CreatedParticipant]:
        return Creation(
            self._tasks,
            self._webrtc.create_participant(
                tag=call.seat, callback_url=self._callbacks.participant(call.seat), timeout=_CREATE_TIMEOUT
            ),
            lambda made: self._owe(call.room, DeleteParticipant(call.seat, made.id)),
            "create.participant",
        )

    def _create_session(self, call: Call) -> Creation[str]:
        return Creation(
            self._tasks,
            self._webrtc.create_session(tag=call.room[:_TAG], timeout=_CREATE_TIMEOUT),
            lambda made: self._owe(call.room, DeleteSession(made)),
            "create.session",
        )

    async def _owe(self, room: str, effect: DeleteParticipant | DeleteSession) -> None:
        await persist(
            lambda: self._rooms.owe(room, effect, now=self._clock.now()), self._clock, "late create"
        )
        self._alarm.wake(keys.owner_room(room))

    def _check_token(self, call: Call, participant: CreatedParticipant) -> None:
        try:
            self._interconnect.check(call.call_id, participant.token)
        except ValueError as error:
            raise Refused("token-unusable", str(error)) from error

    def _left(self, deadline: float) -> float:
        left = deadline - self._clock.monotonic()
        if left <= 0:
            raise TooSlow
        return left


def _reason(error: Exception) -> str:
    if isinstance(error, Refused):
        return error.reason
    if isinstance(error, BandwidthError):
        return _REASONS.get(error.code, "bandwidth-error")
    return "bandwidth-timeout"
