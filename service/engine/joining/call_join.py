"""One attempt to get a call into its room: seat, session and participant, then one into the other."""

from typing import Final, NamedTuple

import structlog

from service.bandwidth.errors import BandwidthError, Misrouted, NotFound
from service.bandwidth.interconnect import Interconnect
from service.bandwidth.request_log import Tally, counting
from service.bandwidth.webrtc import CreatedParticipant
from service.calls.events import FoundEmpty, Joined, JoinFailed
from service.calls.model import Call
from service.calls.room_settings import MEMBERS, Way
from service.calls.rules.joining import rounds
from service.clock import Clock
from service.engine.outbox.wakeup import Alarm
from service.bandwidth.callback_urls import Callbacks
from service.engine.joining.compensated import TooSlow
from service.engine.session_checks import InDoubt
from service.engine.joining.session_join import Entered, Entrance, Refused
from service.engine.joining.webrtc_leg import Legs
from service.logs import bound
from service.metrics import Metrics
from service.store import keys
from service.store.rooms import Doubted, Empty, Gone, Place, RoomFull, Rooms

log = structlog.get_logger()

TOKEN_LIFE: Final = 25 * 60.0
"""Seconds for which a transfer is handed out again; the store forgets the token a little later."""

_REASONS: Final = {
    "timeout": "bandwidth-timeout",
    "unauthorized": "credentials-refused",
    "forbidden": "credentials-refused",
    "no-token": "credentials-refused",
    "rate-limited": "rate-limited",
    "bad-request": "request-refused",
    "conflict": "request-refused",
}

Outcome = Joined | JoinFailed | FoundEmpty


class _Entered(NamedTuple):
    session_id: str
    participant: CreatedParticipant
    leg_id: str
    announcement: str
    stocked: bool


class _NobodyThere(Exception):
    def __init__(self, empty: Empty) -> None:
        super().__init__("nobody is there")
        self.waiting = empty.waiting


class Joiner:
    """`way`: into WebRTC, where neither the call nor the room says another."""

    def __init__(
        self,
        *,
        entrance: Entrance,
        rooms: Rooms,
        interconnect: Interconnect,
        callbacks: Callbacks,
        legs: Legs,
        way: Way,
        clock: Clock,
        alarm: Alarm,
        metrics: Metrics | None = None,
    ) -> None:
        self._entrance = entrance
        self._rooms = rooms
        self._interconnect = interconnect
        self._callbacks = callbacks
        self._legs = legs
        self._way = way
        self._clock = clock
        self._alarm = alarm
        self._metrics = metrics or Metrics()

    async def join(self, call: Call, *, since: float, deadline: float) -> tuple[Outcome, str]:
        """Carry the attempt out; the second value is the device token, empty unless it succeeded.

        `since` (seconds since the epoch) is when the webhook came, `deadline` (monotonic) when its reply is
        due. Whoever is given an outcome with a leg sees to it that it is written down. Raises StoreError;
        whatever was made by then is taken down once the store is back.
        """
        with counting(call.ref) as tally:
            try:
                entered = await self._enter(call, deadline)
            except _NobodyThere as nobody:
                return FoundEmpty(
                    at=self._clock.now(), attempt=call.attempt, room=call.room, waiting=nobody.waiting
                ), ""
            except (Refused, TooSlow, InDoubt, BandwidthError) as error:
                return self._failed(call, error, since, tally), ""
        now = self._clock.now()
        joined = Joined(
            at=now,
            attempt=call.attempt,
            room=call.room,
            session_id=entered.session_id,
            participant_id=entered.participant.id,
            token_until=now + TOKEN_LIFE,
            leg_id=entered.leg_id,
            announcement=entered.announcement,
            stocked=entered.stocked,
            silence_ms=round((now - since) * 1000, 1),
            requests=tally.requests,
            retries=tally.retries,
            sent=tally.told(self._clock),
        )
        # A leg of ours has taken its token with it; nobody else may use that.
        return joined, "" if entered.leg_id else entered.participant.token

    def _failed(self, call: Call, error: Exception, since: float, tally: Tally) -> JoinFailed:
        reason = reason_of(error)
        again = _passes(error) and call.put_off < rounds(reason)
        if again:
            log.warning("join.put_off", reason=reason, error=str(error))
        else:
            log.warning("join.failed", reason=reason, error=str(error))
        now = self._clock.now()
        return JoinFailed(
            at=now,
            attempt=call.attempt,
            room=call.room,
            reason=reason,
            again=again,
            silence_ms=round((now - since) * 1000, 1),
            requests=tally.requests,
            retries=tally.retries,
            sent=tally.told(self._clock),
        )

    async def _enter(self, call: Call, deadline: float) -> _Entered:
        place = await self._reserve(call)
        if place.participant_id:
            session_id, participant = self._stocked(call, place)
        else:
            session_id, participant = await self._entrance.enter(
                call.room,
                call.seat,
                session_id=place.session_id,
                callback_url=self._callbacks.participant(call.seat),
                deadline=deadline,
                check=lambda token: self._check_token(call, token),
            )
        leg_id = ""
        if (call.way or place.settings.interconnect or self._way) is Way.BRIDGE:
            with bound(participant_id=participant.id), self._legs.dial(call, participant.token) as dialing:
                leg_id = await dialing.within(self._entrance.left(deadline))
                dialing.handed_over()  # nothing is awaited until the engine writes the outcome down
        return _Entered(
            session_id, participant, leg_id, place.settings.announcement, bool(place.participant_id)
        )

    def _stocked(self, call: Call, place: Place) -> Entered:
        """It has its seat and is in the session: there is nothing to ask Bandwidth for."""
        self._metrics.stock("taken")
        # For the next one.
        self._alarm.wake(keys.owner_room(call.room))
        self._check_token(call, place.token)
        return Entered(place.session_id, CreatedParticipant(place.participant_id, place.token))

    async def _reserve(self, call: Call) -> Place:
        place = await self._rooms.reserve(
            call.room,
            call.seat,
            waits=call.waits,
            limit=MEMBERS,
            now=self._clock.now(),
            takes=not call.refuses_stock,
            heeds=True,
            broke=call.broken_at,
        )
        match place:
            case RoomFull():
                raise Refused("room-full", f"{place.members} members", passes=place.going > 0)
            case Gone():
                raise Refused("room-closed")
            case Doubted():
                raise InDoubt(participant=False)
            case Empty():
                raise _NobodyThere(place)
            case Place():
                return place

    def _check_token(self, call: Call, token: str) -> None:
        try:
            self._interconnect.check(call.call_id, token)
        except ValueError as error:
            raise Refused("token-unusable", str(error)) from error


def _passes(error: Exception) -> bool:
    """Whether it may be over in a moment: nothing has been said about what is there, or not often enough.

    So may a room be full in which somebody is leaving: perhaps the caller, by the seat of an earlier way in.
    """
    return isinstance(error, InDoubt | Misrouted | NotFound) or (isinstance(error, Refused) and error.passes)


def reason_of(error: Exception) -> str:
    """One of `service.calls.outcomes.FAILURES`."""
    if isinstance(error, InDoubt):
        return "participant-vanished" if error.participant else "bandwidth-error"
    if isinstance(error, Refused):
        return error.reason
    if isinstance(error, BandwidthError):
        return _REASONS.get(error.code, "bandwidth-error")
    return "bandwidth-timeout"
