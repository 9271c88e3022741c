"""What a playbook is made of: events with sensible defaults, effects with the time they are due."""

from collections.abc import Callable
from typing import NamedTuple

from service.calls.effects import CallEffect, HangUp, LeaveRoom, RedirectPhone
from service.calls.events import (
    Answer,
    Disconnect,
    Event,
    Initiate,
    Joined,
    JoinFailed,
    ParticipantVanished,
    Redirect,
    TransferAnswer,
    TransferComplete,
    TransferDisconnect,
    Unknown,
)
from service.calls.model import Call, Direction, Intent, Media, Phone, seat_of

REF = "p03-call"
CALL_ID = "c-1"
ROOM = "sales"
CALLER = "+15550100111"
OURS = "+15550100100"
FALLBACK = "+15550100199"
NOW = 1_800_000_000.0
LEASE = 8.0
TOKEN_LIFE = 1500.0

Cue = Callable[[float], Event]
"""An event that is still to be told when it happens."""


def initiate(*, fallback: str = "", announcement: str = "") -> Cue:
    return lambda at: Initiate(
        at=at,
        ref=REF,
        call_id=CALL_ID,
        direction=Direction.INBOUND,
        room=ROOM,
        from_number=CALLER,
        to_number=OURS,
        answered=False,
        lease_until=at + LEASE,
        announcement=announcement,
        fallback=fallback,
    )


def answer(*, fallback: str = "") -> Cue:
    return lambda at: Answer(
        at=at,
        ref=REF,
        call_id=CALL_ID,
        direction=Direction.OUTBOUND,
        room=ROOM,
        from_number=OURS,
        to_number=CALLER,
        answered=True,
        lease_until=at + LEASE,
        fallback=fallback,
    )


def redirect(*, answered: bool = True, fallback: str = "") -> Cue:
    return lambda at: Redirect(
        at=at,
        ref=REF,
        call_id=CALL_ID,
        direction=Direction.INBOUND,
        room=ROOM,
        from_number=CALLER,
        to_number=OURS,
        answered=answered,
        lease_until=at + LEASE,
        fallback=fallback,
    )


def disconnect(cause: str = "hangup", *, error_id: str = "", sip: int | None = None) -> Cue:
    return lambda at: Disconnect(
        at=at,
        ref=REF,
        call_id=CALL_ID,
        direction=Direction.INBOUND,
        room=ROOM,
        from_number=CALLER,
        to_number=OURS,
        cause=cause,
        error_id=error_id,
        sip_response_code=sip,
    )


def transfer_answer(attempt: int = 1, *, tag: str | None = None) -> Cue:
    repeated = seat_of(REF, attempt) if tag is None else tag
    return lambda at: TransferAnswer(at, attempt, leg_id=f"c-b{attempt}", tag=repeated)


def transfer_complete(attempt: int = 1, cause: str = "hangup") -> Cue:
    return lambda at: TransferComplete(at, attempt, cause)


def transfer_disconnect(attempt: int = 1, cause: str = "hangup") -> Cue:
    return lambda at: TransferDisconnect(at, attempt, cause)


def unknown(event_type: str = "somethingNew") -> Cue:
    return lambda at: Unknown(at, event_type)


def joined(attempt: int = 1, *, silence_ms: float = 700.0, requests: int = 3, retries: int = 0) -> Cue:
    return lambda at: Joined(
        at=at,
        attempt=attempt,
        session_id=f"session-{attempt}",
        participant_id=f"participant-{attempt}",
        token_until=at + TOKEN_LIFE,
        silence_ms=silence_ms,
        requests=requests,
        retries=retries,
    )


def join_failed(attempt: int = 1, reason: str = "bandwidth-error", *, requests: int = 2) -> Cue:
    return lambda at: JoinFailed(at=at, attempt=attempt, reason=reason, requests=requests, retries=1)


def vanished(attempt: int = 1) -> Cue:
    return lambda at: ParticipantVanished(at, attempt)


class Due(NamedTuple):
    """An effect that is expected, due so many seconds after the event."""

    effect: CallEffect
    after: float


def hang_up(*, after: float = 0) -> Due:
    return Due(HangUp(CALL_ID), after)


def leave(attempt: int = 1, *, after: float = 0) -> Due:
    return Due(LeaveRoom(ROOM, seat_of(REF, attempt)), after)


def redirect_phone(attempt: int = 1, *, after: float = 0) -> Due:
    return Due(RedirectPhone(CALL_ID, REF, attempt), after)


def a_call(
    media: Media, intent: Intent = Intent.BRIDGE, phone: Phone = Phone.UP, *, answered: bool = True
) -> Call:
    """A call in the middle of its life, at its first attempt, for what no short story leads to."""
    begun = media is not Media.NONE
    inside = begun and media is not Media.MAKING
    return Call(
        ref=REF,
        call_id=CALL_ID,
        direction=Direction.INBOUND,
        room=ROOM,
        created_at=NOW,
        phone=phone,
        media=media,
        intent=intent,
        attempt=1,
        lease_until=NOW + LEASE,
        token_until=NOW + TOKEN_LIFE if inside else 0,
        session_id="session-1" if inside else "",
        participant_id="participant-1" if inside else "",
        from_number=CALLER,
        to_number=OURS,
        elsewhere=FALLBACK if intent is Intent.ELSEWHERE else "",
        bridged_at=NOW if answered else 0,
        answered_attempt=1 if answered else 0,
    )
