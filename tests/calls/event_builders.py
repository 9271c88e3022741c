"""What a playbook is made of: events with sensible defaults, here of a phone, its transfer, its joins."""

from collections.abc import Callable
from typing import Any

from service.calls.events import (
    Answer,
    AskedToRetry,
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
    Redirected,
    TransferAnswer,
    TransferComplete,
    TransferDisconnect,
    UnknownWebhook,
)
from service.calls.looks import CallChecked, Threshold
from service.calls.model import Call, Direction, Intent, Leg, Media, Phone, seat_of
from service.calls.pin_guessing import NO_WRONG_PINS, WrongPinCounts

REF = "p03-call"
CALL_ID = "c-1"
ROOM = "sales"
OTHER_ROOM = "support"
CALLER = "+15550100111"
OUR_NUMBER = "+15550100100"
FALLBACK = "+15550100199"
TRANSFER_NUMBER = "+15550100155"
NOW = 1_800_000_000.0
LEASE = 8.0
TOKEN_LIFE = 1500.0

EventBuilder = Callable[[float], Event]
"""An event that is still to be told when it happens."""


def call_fields(at: float, direction: Direction) -> dict[str, Any]:
    inbound = direction is Direction.INBOUND
    return {
        "at": at,
        "ref": REF,
        "call_id": CALL_ID,
        "direction": direction,
        "room": ROOM,
        "from_number": CALLER if inbound else OUR_NUMBER,
        "to_number": OUR_NUMBER if inbound else CALLER,
    }


def webhook_fields(at: float, direction: Direction = Direction.INBOUND) -> dict[str, Any]:
    return {**call_fields(at, direction), "lease_until": at + LEASE}


# The phone --------------------------------------------------------------------------------------------------


def initiate(
    *,
    fallback_number: str = "",
    announcement: str = "",
    waits_for_others: bool = False,
    pin_attempts_allowed: int = 0,
    closed_message: str = "",
    max_duration: float = 0,
    wrong_pins: WrongPinCounts = NO_WRONG_PINS,
) -> EventBuilder:
    return lambda at: Initiate(
        **webhook_fields(at),
        answered=False,
        announcement=announcement,
        fallback_number=fallback_number,
        waits_for_others=waits_for_others,
        pin_attempts_allowed=pin_attempts_allowed,
        closed_message=closed_message,
        max_duration=max_duration,
        wrong_pins=wrong_pins,
    )


def asked_to_retry(
    *,
    answered: bool = False,
    pin_attempts_allowed: int = 0,
    closed_message: str = "",
    seconds_ago: float = 0,
    waited: float = 0,
    outage_waits: int = 0,
    is_hung_up: bool = False,
) -> EventBuilder:
    """`seconds_ago`: how many seconds ago it was, and `waited` how many before that the phone had come."""

    def cue(now: float) -> Event:
        at = now - seconds_ago
        return AskedToRetry(
            **webhook_fields(at),
            answered=answered,
            pin_attempts_allowed=pin_attempts_allowed,
            closed_message=closed_message,
            first_at=at - waited if waited else 0,
            outage_waits=outage_waits,
            outage_hangup_at=at if is_hung_up else 0,
        )

    return cue


def answer(machine: str = "", *, fallback_number: str = "") -> EventBuilder:
    return lambda at: Answer(
        **webhook_fields(at, Direction.OUTBOUND),
        answered=True,
        fallback_number=fallback_number,
        machine=machine,
    )


def redirected(
    *,
    answered: bool = True,
    fallback_number: str = "",
    announcement: str = "",
    waits_for_others: bool = False,
    pin_attempts_allowed: int = 0,
    closed_message: str = "",
    outage_waits: int = 0,
    waited: float = 0,
) -> EventBuilder:
    """`waited`: how many seconds before, where it was told to come back."""
    return lambda at: Redirected(
        **webhook_fields(at),
        outage_waits=outage_waits,
        first_at=at - waited if waited else 0,
        answered=answered,
        announcement=announcement,
        fallback_number=fallback_number,
        waits_for_others=waits_for_others,
        pin_attempts_allowed=pin_attempts_allowed,
        closed_message=closed_message,
    )


def gathered(
    pin_room: str = "", *, pin_attempts_allowed: int = 3, wrong_pins: WrongPinCounts = NO_WRONG_PINS
) -> EventBuilder:
    return lambda at: Gathered(
        **webhook_fields(at),
        answered=True,
        pin_attempts_allowed=pin_attempts_allowed,
        pin_room=pin_room,
        wrong_pins=wrong_pins,
    )


def bridge_complete(attempt: int = 1, cause: str = "") -> EventBuilder:
    return lambda at: BridgeComplete(**webhook_fields(at), answered=True, attempt=attempt, cause=cause)


def disconnect(
    cause: str = "hangup",
    *,
    error_id: str = "",
    sip: int | None = None,
    direction: Direction = Direction.INBOUND,
) -> EventBuilder:
    return lambda at: Disconnect(
        **call_fields(at, direction), cause=cause, error_id=error_id, sip_response_code=sip
    )


def found_ended(cause: str = "hangup", *, error_id: str = "") -> EventBuilder:
    return lambda at: FoundEnded(**call_fields(at, Direction.INBOUND), cause=cause, error_id=error_id)


def unknown_webhook(event_type: str = "somethingNew") -> EventBuilder:
    return lambda at: UnknownWebhook(at, event_type)


# The B leg of its transfer ----------------------------------------------------------------------------------


def transfer_answer(
    attempt: int = 1, *, tag: str | None = None, accepted_without_call: bool = False
) -> EventBuilder:
    repeated = seat_of(REF, attempt) if tag is None else tag
    return lambda at: TransferAnswer(
        at, attempt, leg_id=f"c-b{attempt}", tag=repeated, accepted_without_call=accepted_without_call
    )


def transfer_complete(attempt: int = 1, cause: str = "hangup", *, short_leg: float = 0) -> EventBuilder:
    """`short_leg`: seconds; nobody waits for five in stories of something else."""
    return lambda at: TransferComplete(at, attempt, cause, short_leg=short_leg)


def transfer_disconnect(attempt: int = 1, cause: str = "hangup") -> EventBuilder:
    return lambda at: TransferDisconnect(at, attempt, cause)


def leg_noted(event_type: str = "disconnect", attempt: int = 1, *, tag: str = "") -> EventBuilder:
    """`tag`: its tag, where it wants a reply."""
    return lambda at: LegNoted(at, event_type, leg_id=f"c-b{attempt}", tag=tag)


# Joins ------------------------------------------------------------------------------------------------------


def leg_id_of(attempt: int) -> str:
    """Id of the call of ours into WebRTC that an attempt has made, where that is the way."""
    return f"c-leg{attempt}"


def joined(
    attempt: int = 1,
    *,
    room: str = ROOM,
    has_leg: bool = False,
    from_pool: bool = False,
    announcement: str = "",
    silence_ms: float = 700.0,
    requests: int = 3,
    retries: int = 0,
) -> EventBuilder:
    return lambda at: Joined(
        at=at,
        attempt=attempt,
        room=room,
        session_id=f"session-{attempt}",
        participant_id=f"participant-{attempt}",
        token_until=at + TOKEN_LIFE,
        from_pool=from_pool,
        leg_id=leg_id_of(attempt) if has_leg else "",
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
    is_temporary: bool = False,
    silence_ms: float = 0,
    requests: int = 2,
) -> EventBuilder:
    return lambda at: JoinFailed(
        at=at,
        attempt=attempt,
        room=room,
        reason=reason,
        is_temporary=is_temporary,
        silence_ms=silence_ms,
        requests=requests,
        retries=1,
    )


def participant_vanished(attempt: int = 1) -> EventBuilder:
    return lambda at: ParticipantVanished(at, attempt)


THRESHOLD = Threshold(5, 1800.0)


def call_checked(*, known: bool = False) -> EventBuilder:
    return lambda at: CallChecked(at, known, THRESHOLD)


# A call in the middle of its life ---------------------------------------------------------------------------


def sample_call(
    media: Media,
    intent: Intent = Intent.BRIDGE,
    phone: Phone = Phone.UP,
    *,
    answered: bool = True,
    leg: Leg | None = None,
) -> Call:
    """At its first attempt, for what no short story leads to. `leg`: of our own call into WebRTC, if any."""
    inside = media not in {Media.NONE, Media.JOINING}
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
        leg_id="" if leg is None else leg_id_of(1),
        uses_bridge=leg is not None,
        leg=leg or Leg.NONE,
        from_number=CALLER,
        to_number=OUR_NUMBER,
        transfer_to=TRANSFER_NUMBER if intent is Intent.TRANSFER else "",
        bridged_at=NOW if answered else 0,
        leg_answered_at=NOW if answered else 0,
        answered_attempt=1 if answered else 0,
    )
