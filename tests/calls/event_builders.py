"""What a playbook is made of: events with sensible defaults, here of a phone, its transfer, its joins."""

from collections.abc import Callable
from typing import Any

from service.calls.events import (
    Answer,
    BridgeComplete,
    Disconnect,
    Event,
    FoundEnded,
    Gathered,
    Initiate,
    Joined,
    JoinFailed,
    LegNoted,
    ParticipantVanished,
    Redirect,
    TransferAnswer,
    TransferComplete,
    TransferDisconnect,
    TurnedAway,
    Unknown,
)
from service.calls.pin_guessing import NONE, Guesses
from service.calls.looks import Asked, Enough
from service.calls.model import Call, Direction, Intent, Leg, Media, Phone, seat_of

REF = "p03-call"
CALL_ID = "c-1"
ROOM = "sales"
OTHER_ROOM = "support"
CALLER = "+15550100111"
OURS = "+15550100100"
FALLBACK = "+15550100199"
ELSEWHERE = "+15550100155"
NOW = 1_800_000_000.0
LEASE = 8.0
TOKEN_LIFE = 1500.0

Cue = Callable[[float], Event]
"""An event that is still to be told when it happens."""


def _line(at: float, direction: Direction) -> dict[str, Any]:
    inbound = direction is Direction.INBOUND
    return {
        "at": at,
        "ref": REF,
        "call_id": CALL_ID,
        "direction": direction,
        "room": ROOM,
        "from_number": CALLER if inbound else OURS,
        "to_number": OURS if inbound else CALLER,
    }


def _arrival(at: float, direction: Direction = Direction.INBOUND) -> dict[str, Any]:
    return {**_line(at, direction), "lease_until": at + LEASE}


# The phone --------------------------------------------------------------------------------------------------


def initiate(
    *,
    fallback: str = "",
    announcement: str = "",
    waits: bool = False,
    asks: int = 0,
    closed: str = "",
    limit: float = 0,
    guesses: Guesses = NONE,
) -> Cue:
    return lambda at: Initiate(
        **_arrival(at),
        answered=False,
        announcement=announcement,
        fallback=fallback,
        waits=waits,
        asks=asks,
        closed=closed,
        limit=limit,
        guesses=guesses,
    )


def turned_away(
    *,
    answered: bool = False,
    asks: int = 0,
    closed: str = "",
    earlier: float = 0,
    came: float = 0,
    rounds: int = 0,
    let_go: bool = False,
) -> Cue:
    """`earlier`: how many seconds ago it was, and `came` how many before that the phone had come."""

    def cue(now: float) -> Event:
        at = now - earlier
        return TurnedAway(
            **_arrival(at),
            answered=answered,
            asks=asks,
            closed=closed,
            since=at - came if came else 0,
            rounds=rounds,
            let_go_at=at if let_go else 0,
        )

    return cue


def answer(machine: str = "", *, fallback: str = "") -> Cue:
    return lambda at: Answer(
        **_arrival(at, Direction.OUTBOUND), answered=True, fallback=fallback, machine=machine
    )


def redirect(
    *,
    answered: bool = True,
    fallback: str = "",
    announcement: str = "",
    waits: bool = False,
    asks: int = 0,
    closed: str = "",
    rounds: int = 0,
    came: float = 0,
) -> Cue:
    """`came`: how many seconds before, where it was told to come back."""
    return lambda at: Redirect(
        **_arrival(at),
        rounds=rounds,
        since=at - came if came else 0,
        answered=answered,
        announcement=announcement,
        fallback=fallback,
        waits=waits,
        asks=asks,
        closed=closed,
    )


def gathered(named: str = "", *, asks: int = 3, guesses: Guesses = NONE) -> Cue:
    return lambda at: Gathered(**_arrival(at), answered=True, asks=asks, named=named, guesses=guesses)


def bridge_complete(attempt: int = 1, cause: str = "") -> Cue:
    return lambda at: BridgeComplete(**_arrival(at), answered=True, attempt=attempt, cause=cause)


def disconnect(
    cause: str = "hangup",
    *,
    error_id: str = "",
    sip: int | None = None,
    direction: Direction = Direction.INBOUND,
) -> Cue:
    return lambda at: Disconnect(
        **_line(at, direction), cause=cause, error_id=error_id, sip_response_code=sip
    )


def found_ended(cause: str = "hangup", *, error_id: str = "") -> Cue:
    return lambda at: FoundEnded(**_line(at, Direction.INBOUND), cause=cause, error_id=error_id)


def unknown(event_type: str = "somethingNew") -> Cue:
    return lambda at: Unknown(at, event_type)


# The B leg of its transfer ----------------------------------------------------------------------------------


def transfer_answer(attempt: int = 1, *, tag: str | None = None, let_in: bool = False) -> Cue:
    repeated = seat_of(REF, attempt) if tag is None else tag
    return lambda at: TransferAnswer(at, attempt, leg_id=f"c-b{attempt}", tag=repeated, let_in=let_in)


def transfer_complete(attempt: int = 1, cause: str = "hangup", *, short: float = 0) -> Cue:
    """`short`: seconds; nobody waits for five in stories of something else."""
    return lambda at: TransferComplete(at, attempt, cause, short=short)


def transfer_disconnect(attempt: int = 1, cause: str = "hangup") -> Cue:
    return lambda at: TransferDisconnect(at, attempt, cause)


def leg_noted(event_type: str = "disconnect", attempt: int = 1, *, keeps: str = "") -> Cue:
    """`keeps`: its tag, where it wants a reply."""
    return lambda at: LegNoted(at, event_type, leg_id=f"c-b{attempt}", keeps=keeps)


# Joins ------------------------------------------------------------------------------------------------------


def leg_of(attempt: int) -> str:
    """Id of the call of ours into WebRTC that an attempt has made, where that is the way."""
    return f"c-leg{attempt}"


def joined(
    attempt: int = 1,
    *,
    room: str = ROOM,
    leg: bool = False,
    stocked: bool = False,
    announcement: str = "",
    silence_ms: float = 700.0,
    requests: int = 3,
    retries: int = 0,
) -> Cue:
    return lambda at: Joined(
        at=at,
        attempt=attempt,
        room=room,
        session_id=f"session-{attempt}",
        participant_id=f"participant-{attempt}",
        token_until=at + TOKEN_LIFE,
        stocked=stocked,
        leg_id=leg_of(attempt) if leg else "",
        announcement=announcement,
        silence_ms=silence_ms,
        requests=requests,
        retries=retries,
    )


def join_failed(
    attempt: int = 1,
    reason: str = "bandwidth-error",
    *,
    room: str = ROOM,
    again: bool = False,
    silence_ms: float = 0,
    requests: int = 2,
) -> Cue:
    return lambda at: JoinFailed(
        at=at,
        attempt=attempt,
        room=room,
        reason=reason,
        again=again,
        silence_ms=silence_ms,
        requests=requests,
        retries=1,
    )


def vanished(attempt: int = 1) -> Cue:
    return lambda at: ParticipantVanished(at, attempt)


OVER = Enough(5, 1800.0)


def asked(*, known: bool = False) -> Cue:
    return lambda at: Asked(at, known, OVER)


# A call in the middle of its life ---------------------------------------------------------------------------


def a_call(
    media: Media,
    intent: Intent = Intent.BRIDGE,
    phone: Phone = Phone.UP,
    *,
    answered: bool = True,
    leg: Leg | None = None,
) -> Call:
    """At its first attempt, for what no short story leads to. `leg`: of our own call into WebRTC, if any."""
    inside = media not in {Media.NONE, Media.MAKING}
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
        leg_id="" if leg is None else leg_of(1),
        own_leg=leg is not None,
        leg=leg or Leg.NONE,
        from_number=CALLER,
        to_number=OURS,
        elsewhere=ELSEWHERE if intent is Intent.ELSEWHERE else "",
        bridged_at=NOW if answered else 0,
        leg_answered_at=NOW if answered else 0,
        answered_attempt=1 if answered else 0,
    )
