"""Makes one attempt to get a call into its room: seat, session and participant, then one into the other."""

from typing import Final, NamedTuple

import structlog

from service.bandwidth.callback_urls import CallbackUrls
from service.bandwidth.errors import BandwidthError, Misrouted, NotFound
from service.bandwidth.interconnect import Interconnect
from service.bandwidth.request_log import RequestLog, record_requests
from service.bandwidth.webrtc import CreatedParticipant
from service.calls.events import FoundEmpty, Joined, JoinFailed
from service.calls.model import Call
from service.calls.room_settings import MAX_MEMBERS, InterconnectMode
from service.calls.rules.joining import max_join_retries
from service.clock import Clock
from service.engine.errors import JoinRefused, JoinTimeout, NotFoundUnconfirmed
from service.engine.joining.session_join import JoinedSession, SessionJoiner
from service.engine.joining.webrtc_leg import LegDialer
from service.engine.outbox.wakeup import WorkerSignal
from service.logs import log_context
from service.metrics import Metrics
from service.store import keys
from service.store.room_results import EmptyRoom, ReservedSeat, RoomFull, SeatGone, SessionInDoubt
from service.store.rooms import Rooms

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


class _JoinedCall(NamedTuple):
    session_id: str
    participant: CreatedParticipant
    leg_id: str
    announcement: str
    from_pool: bool


class _RoomEmpty(Exception):
    def __init__(self, empty: EmptyRoom) -> None:
        super().__init__("nobody is there")
        self.waiting = empty.waiting


class CallJoiner:
    """`default_interconnect`: into WebRTC, where neither the call nor the room says another."""

    def __init__(
        self,
        *,
        session_joiner: SessionJoiner,
        rooms: Rooms,
        interconnect: Interconnect,
        callbacks: CallbackUrls,
        leg_dialer: LegDialer,
        default_interconnect: InterconnectMode,
        clock: Clock,
        signal: WorkerSignal,
        metrics: Metrics | None = None,
    ) -> None:
        self._session_joiner = session_joiner
        self._rooms = rooms
        self._interconnect = interconnect
        self._callbacks = callbacks
        self._leg_dialer = leg_dialer
        self._default_interconnect = default_interconnect
        self._clock = clock
        self._signal = signal
        self._metrics = metrics or Metrics()

    async def join(self, call: Call, *, since: float, deadline: float) -> tuple[Outcome, str]:
        """Carry the attempt out; the second value is the device token, empty unless it succeeded.

        `since` (seconds since the epoch) is when the webhook came, `deadline` (monotonic) when its reply is
        due. Whoever is given an outcome with a leg sees to it that it is written down. Raises StoreError;
        whatever was made by then is taken down once the store is back.
        """
        with record_requests(call.ref) as tally:
            try:
                entered = await self._join_session(call, deadline)
            except _RoomEmpty as nobody:
                return FoundEmpty(
                    at=self._clock.now(), attempt=call.attempt, room=call.room, waiting=nobody.waiting
                ), ""
            except (JoinRefused, JoinTimeout, NotFoundUnconfirmed, BandwidthError) as error:
                return self._join_failed(call, error, since, tally), ""
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
            from_pool=entered.from_pool,
            silence_ms=round((now - since) * 1000, 1),
            requests=tally.requests,
            retries=tally.retries,
            request_records=tally.records(self._clock),
        )
        # A leg of ours has taken its token with it; nobody else may use that.
        return joined, "" if entered.leg_id else entered.participant.token

    def _join_failed(self, call: Call, error: Exception, since: float, tally: RequestLog) -> JoinFailed:
        reason = failure_reason(error)
        again = _is_transient(error) and call.join_retries < max_join_retries(reason)
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
            is_temporary=again,
            silence_ms=round((now - since) * 1000, 1),
            requests=tally.requests,
            retries=tally.retries,
            request_records=tally.records(self._clock),
        )

    async def _join_session(self, call: Call, deadline: float) -> _JoinedCall:
        place = await self._reserve(call)
        if place.participant_id:
            session_id, participant = self._take_prepared(call, place)
        else:
            session_id, participant = await self._session_joiner.join(
                call.room,
                call.seat,
                session_id=place.session_id,
                callback_url=self._callbacks.participant_url(call.seat),
                deadline=deadline,
                check_token=lambda token: self._check_token(call, token),
            )
        leg_id = ""
        if (
            call.interconnect or place.settings.interconnect or self._default_interconnect
        ) is InterconnectMode.BRIDGE:
            with (
                log_context(participant_id=participant.id),
                self._leg_dialer.dial(call, participant.token) as dialing,
            ):
                leg_id = await dialing.wait(self._session_joiner.seconds_left(deadline))
                dialing.hand_over()  # nothing is awaited until the engine writes the outcome down
        return _JoinedCall(
            session_id, participant, leg_id, place.settings.announcement, bool(place.participant_id)
        )

    def _take_prepared(self, call: Call, place: ReservedSeat) -> JoinedSession:
        """It has its seat and is in the session: there is nothing to ask Bandwidth for."""
        self._metrics.prepared("taken")
        # For the next one.
        self._signal.notify(keys.owner_room(call.room))
        self._check_token(call, place.token)
        return JoinedSession(place.session_id, CreatedParticipant(place.participant_id, place.token))

    async def _reserve(self, call: Call) -> ReservedSeat:
        place = await self._rooms.reserve(
            call.room,
            call.seat,
            wait_if_empty=call.waits_for_others,
            limit=MAX_MEMBERS,
            now=self._clock.now(),
            use_prepared=not call.skips_pool,
            refuse_if_doubted=True,
            broken_at=call.leg_lost_at,
        )
        match place:
            case RoomFull():
                raise JoinRefused("room-full", f"{place.members} members", is_transient=place.leaving > 0)
            case SeatGone():
                raise JoinRefused("room-closed")
            case SessionInDoubt():
                raise NotFoundUnconfirmed(is_participant=False)
            case EmptyRoom():
                raise _RoomEmpty(place)
            case ReservedSeat():
                return place

    def _check_token(self, call: Call, token: str) -> None:
        try:
            self._interconnect.check_token(call.call_id, token)
        except ValueError as error:
            raise JoinRefused("token-unusable", str(error)) from error


def _is_transient(error: Exception) -> bool:
    """Whether it may be over in a moment: nothing has been said about what is there, or not often enough.

    So may a room be full in which somebody is leaving: perhaps the caller, by the seat of an earlier way in.
    """
    return isinstance(error, NotFoundUnconfirmed | Misrouted | NotFound) or (
        isinstance(error, JoinRefused) and error.is_transient
    )


def failure_reason(error: Exception) -> str:
    """One of `service.calls.outcomes.FAILURES`."""
    if isinstance(error, NotFoundUnconfirmed):
        return "participant-vanished" if error.is_participant else "bandwidth-error"
    if isinstance(error, JoinRefused):
        return error.reason
    if isinstance(error, BandwidthError):
        return _REASONS.get(error.code, "bandwidth-error")
    return "bandwidth-timeout"
