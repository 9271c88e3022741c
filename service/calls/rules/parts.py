"""What rules are made of: what is owed, what is said next, and how a call lets go of what it has."""

from typing import Final

from msgspec.structs import replace

from service.calls.decision import HANGUP_AFTER, Decision
from service.calls.effects import (
    HangUp,
    HangUpLeg,
    LeaveRoom,
    Owed,
    RedirectPhone,
    TellHoldUp,
    TellTimeShort,
    TellTimeUp,
)
from service.calls.events import Arrival
from service.calls.model import Call, Direction, Intent, Leg, Media, Phone
from service.calls.replies import Apologise, Elsewhere, Farewell, Hangup, Hold, Join, Nothing, Reply, Wait

HANG_UP: Final = "hang-up"
REDIRECT: Final = "redirect-phone"
TIMERS: Final = ("end-dialing", "tell-time-up", "tell-time-short", "tell-hold-up", "check-page")
SOON: Final = 30.0
"""Seconds before the end of a call at which the caller is told of it."""
UNSPOKEN: Final = frozenset({"answering-machine"})
"""Reasons for which a phone is hung up without a word."""
LEG_ASKS: Final = 3.0
"""Seconds in which a call of ours that is not wanted any more hears so by itself."""
_SPOKEN: Final = 0.1
"""Seconds that a character takes to be said, with some to spare."""

_SEATED: Final = frozenset({Media.MAKING, Media.READY, Media.TRANSFERRING, Media.BRIDGED})


# What is owed -----------------------------------------------------------------------------------------------


def leave(call: Call, due: float) -> Owed:
    """The seat of the present attempt."""
    return Owed(LeaveRoom(call.room, call.seat), due)


def give_up_seats(call: Call, due: float) -> tuple[Owed, ...]:
    """Owed once: a call that is leaving owes it already. Who waits outside has a seat's name there too."""
    if call.media not in _SEATED:
        return (leave(call, due),) if call.intent is Intent.WAIT and call.media is Media.NONE else ()
    if call.next_room:
        return leave(call, due), Owed(LeaveRoom(call.next_room, call.next_seat), due)
    return (leave(call, due),)


def give_up_leg(call: Call, due: float) -> tuple[Owed, ...]:
    """Our own call into WebRTC, if there is one that has not ended."""
    # With <Transfer> the leg is Bandwidth's, and ends with what the phone does.
    if not call.own_leg or call.leg is Leg.GONE:
        return ()
    # One that is up asks what to do when the phone has left it, and is told.
    return (Owed(HangUpLeg(call.leg_id), due + (LEG_ASKS if call.leg is Leg.UP else 0)),)


def hang_up(call: Call, due: float) -> tuple[Owed, ...]:
    """Nothing while Bandwidth's id is not known: it is owed when that is learned."""
    return (Owed(HangUp(call.call_id), due),) if call.call_id else ()


def ask_phone(call: Call, due: float) -> tuple[Owed, ...]:
    """Have the phone ask us what to do, if there is one that can."""
    if call.phone is Phone.DIALING or not call.call_id:
        return ()
    return (Owed(RedirectPhone(call.call_id, call.ref, call.attempt), due),)


def time_limit(call: Call, at: float) -> tuple[Owed, ...]:
    """Both at once: the end of a call does not wait for what comes before."""
    limit = call.max_duration
    if not limit:
        return ()
    soon = (Owed(TellTimeShort(call.ref), at + limit - SOON),) if limit > SOON else ()
    return (Owed(TellTimeUp(call.ref), at + limit), *soon)


def hold_limit(call: Call, at: float, limit: float) -> tuple[Owed, ...]:
    if not limit:
        return ()
    soon = limit > SOON
    return (Owed(TellHoldUp(call.ref, call.attempt, soon), at + limit - (SOON if soon else 0)),)


# What is said -----------------------------------------------------------------------------------------------


def continuation(call: Call) -> Reply:
    """What the phone hears next when it is not to be joined."""
    match call.intent:
        case Intent.HOLD:
            return Hold()
        case Intent.ELSEWHERE:
            # Only inbound calls carry where they come from (voice API, `diversionTreatment`).
            diverted = bool(call.failure) and call.direction is Direction.INBOUND
            return Elsewhere(call.attempt, call.elsewhere, diverted)
        case Intent.HANGUP if call.farewell:
            return Farewell(call.farewell)
        case Intent.HANGUP:
            # Whom somebody else has talked to instead needs no apology.
            told = call.failure and not call.elsewhere and call.failure not in UNSPOKEN
            return Apologise(call.failure) if told else Hangup()
        case Intent.ASK | Intent.BRIDGE | Intent.WAIT:
            return Wait()


# What becomes of the call -----------------------------------------------------------------------------------


def join(call: Call, event: Arrival, *, keep_seat: bool = False) -> Decision:
    """Begin a new attempt; the seat of the one before is given up. With `keep_seat` it is that attempt."""
    given_up = () if keep_seat else (*give_up_seats(call, event.at), *give_up_leg(call, event.at))
    joining = replace(
        call,
        media=Media.MAKING,
        intent=Intent.BRIDGE,
        attempt=call.attempt if keep_seat else call.attempt + 1,
        # A phone that is out of its call while it is moved goes where it was to go.
        room=call.next_room or call.room,
        place=0,
        places=0,
        next_room="",
        prepares=False,
        lease_until=event.lease_until,
        token_until=0,
        session_id="",
        participant_id="",
        stocked=False,
        leg_id="",
        leg=Leg.NONE,
        phone_bridges=False,
        hears=None,
        own_leg=False,
    )
    return Decision(
        joining, Join(joining.attempt), owed=given_up, cancelled=(HANG_UP, REDIRECT), drops_token=True
    )


def let_go(call: Call, at: float) -> Decision:
    """The phone is in no transfer any more, and goes on as is wanted of it."""
    if call.media is Media.NONE:
        # Told once to go elsewhere: being asked to ask us would cut off a number that rings.
        elsewhere = call.intent is Intent.ELSEWHERE
        return Decision(call, continuation(call), cancelled=(REDIRECT,) if elsewhere else ())
    return Decision(
        replace(call, media=Media.NONE, next_room=""),
        continuation(call),
        owed=(*give_up_seats(call, at), *give_up_leg(call, at)),
        # Owed since the sound ended, in case nobody should ask; a call that goes on must not meet it.
        cancelled=() if call.intent is Intent.HANGUP else (HANG_UP,),
        drops_token=True,
    )


def break_off(call: Call) -> Call:
    """Out of whatever it is doing: from now on its webhooks are of an older attempt."""
    return replace(
        call,
        media=Media.NONE,
        attempt=call.attempt + 1,
        prepares=False,
        place=0,
        places=0,
        next_room="",
        wait_until=0,
        token_until=0,
        session_id="",
        participant_id="",
        stocked=False,
        leg_id="",
        leg=Leg.NONE,
        phone_bridges=False,
        own_leg=False,
        hears=None,
        # Whom another number talks to no more is told again why a call ends.
        elsewhere="",
        # Whoever is meant for something else is not without a leg because the last one broke.
        broken_at=0,
    )


def turn(call: Call, after: Call, at: float, reply: Reply | None = None) -> Decision:
    """From what the call is doing to what `after` wants: by this reply, or by asking the phone to ask us.

    A join under way is answered itself, when it is through.
    """
    making = call.media is Media.MAKING
    ending = after.intent is Intent.HANGUP
    return Decision(
        after,
        reply or Nothing(),
        owed=(
            *give_up_seats(call, max(call.lease_until, at) if making else at),
            *give_up_leg(call, at),
            *(() if making or reply else ask_phone(after, at)),
            *(hang_up(after, at + time_to_hear(after)) if ending else ()),
        ),
        cancelled=() if ending else (HANG_UP,),
        drops_token=True,
    )


def time_to_hear(call: Call) -> float:
    """Seconds until a phone that is told something is hung up by request."""
    return HANGUP_AFTER + len(call.farewell) * _SPOKEN


def fail(call: Call, reason: str, at: float) -> Decision:
    """Tell the caller, or send them to the fallback number where there is one; only once."""
    given_up = (*give_up_seats(call, at), *give_up_leg(call, at))
    failed = replace(call, media=Media.NONE, next_room="", failure=reason, broken_at=0)
    if call.intent in {Intent.BRIDGE, Intent.ELSEWHERE} and call.fallback:
        away = replace(
            failed,
            intent=Intent.ELSEWHERE,
            elsewhere=call.fallback,
            fallback="",
            attempt=call.attempt + 1,
        )
        return Decision(away, continuation(away), owed=given_up, cancelled=(HANG_UP,), drops_token=True)
    over = replace(failed, intent=Intent.HANGUP)
    return Decision(
        over,
        Apologise(reason),
        owed=(*given_up, *hang_up(call, at + HANGUP_AFTER)),
        drops_token=True,
    )
