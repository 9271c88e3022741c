"""Provides what several rules share: effects, the next reply, and how a call gives up what it has."""

from typing import Final

from msgspec.structs import replace

from service.calls.decision import HANG_UP_DELAY, Decision
from service.calls.effects import (
    HangUpLeg,
    HangUpPhone,
    LeaveRoom,
    RedirectPhone,
    Scheduled,
    TellHoldTimeUp,
    TellTimeNearlyUp,
    TellTimeUp,
)
from service.calls.events import PhoneRequest
from service.calls.model import Call, Direction, Intent, Leg, Media, Phone, begin_attempt
from service.calls.replies import (
    ErrorAndHangUp,
    HangUp,
    Hold,
    NoReply,
    Reply,
    SayAndHangUp,
    TransferToNumber,
    Wait,
)

HANG_UP_ID: Final = "hang-up"
REDIRECT_ID: Final = "redirect-phone"
TIMER_IDS: Final = ("end-dialing", "tell-time-up", "tell-time-short", "tell-hold-up", "check-page")
WARN_BEFORE_END: Final = 30.0
"""Seconds before the end of a call at which the caller is told of it."""
SILENT_FAILURES: Final = frozenset({"answering-machine"})
"""Reasons for which a phone is hung up without a word."""
LEG_REQUEST_GRACE: Final = 3.0
"""Seconds in which a call of ours that is not wanted any more hears so by itself."""
_SECONDS_PER_CHARACTER: Final = 0.1
"""Seconds that a character takes to be said, with some to spare."""

_HAS_SEAT: Final = frozenset({Media.JOINING, Media.READY, Media.TRANSFERRING, Media.BRIDGED})


# What is owed -----------------------------------------------------------------------------------------------


def leave_seat(call: Call, due: float) -> Scheduled:
    """The seat of the present attempt."""
    return Scheduled(LeaveRoom(call.room, call.seat), due)


def give_up_seats(call: Call, due: float) -> tuple[Scheduled, ...]:
    """Owed once: a call that is leaving owes it already. Who waits outside has a seat's name there too."""
    if call.media not in _HAS_SEAT:
        return (leave_seat(call, due),) if call.intent is Intent.WAIT and call.media is Media.NONE else ()
    if call.next_room:
        return leave_seat(call, due), Scheduled(LeaveRoom(call.next_room, call.next_seat), due)
    return (leave_seat(call, due),)


def give_up_leg(call: Call, due: float) -> tuple[Scheduled, ...]:
    """Our own call into WebRTC, if there is one that has not ended."""
    # With <Transfer> the leg is Bandwidth's, and ends with what the phone does.
    if not call.uses_bridge or call.leg is Leg.GONE:
        return ()
    # One that is up asks what to do when the phone has left it, and is told.
    return (Scheduled(HangUpLeg(call.leg_id), due + (LEG_REQUEST_GRACE if call.leg is Leg.UP else 0)),)


def hang_up(call: Call, due: float) -> tuple[Scheduled, ...]:
    """Nothing while Bandwidth's id is not known: it is owed when that is learned."""
    return (Scheduled(HangUpPhone(call.call_id), due),) if call.call_id else ()


def redirect_phone(call: Call, due: float) -> tuple[Scheduled, ...]:
    """Have the phone ask us what to do, if there is one that can."""
    if call.phone is Phone.DIALING or not call.call_id:
        return ()
    return (Scheduled(RedirectPhone(call.call_id, call.ref, call.attempt), due),)


def schedule_time_limit(call: Call, at: float) -> tuple[Scheduled, ...]:
    """Both at once: the end of a call does not wait for what comes before."""
    limit = call.max_duration
    if not limit:
        return ()
    soon = (
        (Scheduled(TellTimeNearlyUp(call.ref), at + limit - WARN_BEFORE_END),)
        if limit > WARN_BEFORE_END
        else ()
    )
    return (Scheduled(TellTimeUp(call.ref), at + limit), *soon)


def schedule_hold_limit(call: Call, at: float, limit: float) -> tuple[Scheduled, ...]:
    if not limit:
        return ()
    soon = limit > WARN_BEFORE_END
    return (
        Scheduled(
            TellHoldTimeUp(call.ref, call.attempt, soon), at + limit - (WARN_BEFORE_END if soon else 0)
        ),
    )


# What is said -----------------------------------------------------------------------------------------------


def reply_for_intent(call: Call) -> Reply:
    """What the phone hears next when it is not to be joined."""
    match call.intent:
        case Intent.HOLD:
            return Hold()
        case Intent.TRANSFER:
            # Only inbound calls carry where they come from (voice API, `diversionTreatment`).
            diverted = bool(call.failure) and call.direction is Direction.INBOUND
            return TransferToNumber(call.attempt, call.transfer_to, diverted)
        case Intent.HANGUP if call.closing_message:
            return SayAndHangUp(call.closing_message)
        case Intent.HANGUP:
            # Whom somebody else has talked to instead needs no apology.
            told = call.failure and not call.transfer_to and call.failure not in SILENT_FAILURES
            return ErrorAndHangUp(call.failure) if told else HangUp()
        case Intent.PIN | Intent.BRIDGE | Intent.WAIT:
            return Wait()


# What becomes of the call -----------------------------------------------------------------------------------


def join(call: Call, event: PhoneRequest, *, keep_seat: bool = False) -> Decision:
    """Begin a new attempt; the seat of the one before is given up. With `keep_seat` it is that attempt."""
    given_up = () if keep_seat else (*give_up_seats(call, event.at), *give_up_leg(call, event.at))
    joining = begin_attempt(
        call,
        number=call.attempt if keep_seat else call.attempt + 1,
        media=Media.JOINING,
        intent=Intent.BRIDGE,
        # A phone that is out of its call while it is moved goes where it was to go.
        room=call.next_room or call.room,
        lease_until=event.lease_until,
    )
    return Decision(
        joining,
        Wait(),
        effects=given_up,
        cancels=(HANG_UP_ID, REDIRECT_ID),
        join=True,
        drops_token=True,
    )


def detach(call: Call, at: float) -> Decision:
    """The phone is in no transfer any more, and goes on as is wanted of it."""
    if call.media is Media.NONE:
        # Told once to go elsewhere: being asked to ask us would cut off a number that rings.
        elsewhere = call.intent is Intent.TRANSFER
        return Decision(call, reply_for_intent(call), cancels=(REDIRECT_ID,) if elsewhere else ())
    return Decision(
        replace(call, media=Media.NONE, next_room=""),
        reply_for_intent(call),
        effects=(*give_up_seats(call, at), *give_up_leg(call, at)),
        # Owed since the sound ended, in case nobody should ask; a call that goes on must not meet it.
        cancels=() if call.intent is Intent.HANGUP else (HANG_UP_ID,),
        drops_token=True,
    )


def abort_attempt(call: Call) -> Call:
    """Out of whatever it is doing: from now on its webhooks are of an older attempt."""
    return begin_attempt(
        call,
        number=call.attempt + 1,
        media=Media.NONE,
        # A join that is given up runs on until then.
        lease_until=call.lease_until,
        wait_until=0,
        # A caller whom another number does not talk to any more is told again why a call ends.
        transfer_to="",
        # A call that is meant for something else does not lack a leg because its last one broke.
        leg_lost_at=0,
    )


def switch_to(call: Call, after: Call, at: float, reply: Reply | None = None) -> Decision:
    """From what the call is doing to what `after` wants: by this reply, or by asking the phone to ask us.

    A join under way is answered itself, when it is through.
    """
    making = call.media is Media.JOINING
    ending = after.intent is Intent.HANGUP
    return Decision(
        after,
        reply or NoReply(),
        effects=(
            *give_up_seats(call, max(call.lease_until, at) if making else at),
            *give_up_leg(call, at),
            *(() if making or reply else redirect_phone(after, at)),
            *(hang_up(after, at + hang_up_delay(after)) if ending else ()),
        ),
        cancels=() if ending else (HANG_UP_ID,),
        drops_token=True,
    )


def hang_up_delay(call: Call) -> float:
    """Seconds until a phone that is told something is hung up by request."""
    return HANG_UP_DELAY + len(call.closing_message) * _SECONDS_PER_CHARACTER


def fail(call: Call, reason: str, at: float) -> Decision:
    """Tell the caller, or send them to the fallback number where there is one; only once."""
    given_up = (*give_up_seats(call, at), *give_up_leg(call, at))
    failed = replace(call, media=Media.NONE, next_room="", failure=reason, leg_lost_at=0)
    if call.intent in {Intent.BRIDGE, Intent.TRANSFER} and call.fallback_number:
        away = replace(
            failed,
            intent=Intent.TRANSFER,
            transfer_to=call.fallback_number,
            fallback_number="",
            attempt=call.attempt + 1,
        )
        return Decision(
            away, reply_for_intent(away), effects=given_up, cancels=(HANG_UP_ID,), drops_token=True
        )
    over = replace(failed, intent=Intent.HANGUP)
    return Decision(
        over,
        ErrorAndHangUp(reason),
        effects=(*given_up, *hang_up(call, at + HANG_UP_DELAY)),
        drops_token=True,
    )
