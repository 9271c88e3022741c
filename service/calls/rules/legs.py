"""The leg into WebRTC: the B leg of a transfer, or a call of ours that is bridged with the phone."""

from typing import Final

from msgspec.structs import replace

from service.calls.decision import HANGUP_AFTER, Decision, ignored
from service.calls.events import (
    BridgeComplete,
    LegAnswer,
    LegBridgeComplete,
    LegDisconnect,
    LegNoted,
    ParticipantVanished,
    Redirect,
    TransferAnswer,
    TransferComplete,
    TransferDisconnect,
)
from service.calls.model import Call, Intent, Leg, Media, Phone
from service.calls.outcomes import failure_of
from service.calls.replies import BridgePhone, Hangup, KeepTag, Nothing, ParkLeg, Wait
from service.calls.rules.arriving import SETTLES, bridged, carry_on, is_late, told
from service.calls.rules.parts import (
    HANG_UP,
    ask_phone,
    break_off,
    continuation,
    fail,
    give_up_leg,
    give_up_seats,
    hang_up,
    join,
    let_go,
    turn,
)

_SHORT: Final = 5.0
"""Seconds; a leg that lasts no longer was not talked on."""
_SHORT_LEGS: Final = 3


# The B leg of a transfer ------------------------------------------------------------------------------------


def transfer_answer(call: Call, event: TransferAnswer) -> Decision:
    if call.intent is not Intent.BRIDGE:
        return Decision(call, Hangup(), note="the call is meant for something else")
    after = replace(
        call if call.answered_attempt == call.attempt else told(bridged(call, event.at), event),
        phone=Phone.UP,
        media=Media.BRIDGED,
        leg_id=event.leg_id,
    )
    return Decision(after, KeepTag(event.tag or call.seat), drops_token=True)


def leg_asks_elsewhere(call: Call, event: TransferAnswer) -> Decision:
    """The leg to the number that the caller was sent to, at an address that names no attempt of ours.

    A hang-up would end their talk.
    """
    if event.attempt or call.intent is not Intent.ELSEWHERE:
        return ignored(call, f"transferAnswer does not fit media {call.media}", event)
    return Decision(call, KeepTag(event.tag or call.seat), note="the leg leads elsewhere")


def transfer_disconnect(call: Call, event: TransferDisconnect) -> Decision:
    """The sound has ended. The phone is asked about next, and hung up by request should nobody ask."""
    owed = [*give_up_seats(call, event.at)]
    if call.intent in {Intent.BRIDGE, Intent.HANGUP}:
        owed += hang_up(call, event.at + HANGUP_AFTER)
    return Decision(_left(call), Nothing(), owed=tuple(owed), drops_token=True)


def noted(call: Call, event: LegNoted) -> Decision:
    """The leg is not the phone: what became of it is told by its own webhooks."""
    reply = KeepTag(event.keeps) if event.keeps else Nothing()
    return Decision(call, reply, note=f"{event.event_type} is about the leg {event.leg_id}")


def _left(call: Call) -> Call:
    """A phone that is joined anew goes where it was to be moved."""
    return replace(call, media=Media.LEAVING, room=call.next_room or call.room, next_room="")


def transfer_complete(call: Call, event: TransferComplete) -> Decision:
    """The B leg is over and the phone asks what comes next."""
    match call.intent:
        case Intent.BRIDGE if call.media is Media.NONE:
            return Decision(call, Wait())  # it is to be joined anew already
        case Intent.BRIDGE if call.answered_attempt == call.attempt:
            return _broken(call, event) if _broke(call, event) else _talked(call, event.at)
        case Intent.BRIDGE if event.cause == "hangup":
            # The store has missed that the leg was answered.
            return _talked(call, event.at)
        case Intent.BRIDGE if call.stocked or (event.cause == "rejected" and not call.refuses_stock):
            return _anew(call, event.at)
        case Intent.BRIDGE:
            return fail(call, failure_of(event.cause), event.at)
        case Intent.ELSEWHERE if call.media is Media.NONE:
            return _elsewhere_over(call, event)
        case _:
            return let_go(call, event.at)


def _broke(call: Call, event: TransferComplete) -> bool:
    """Whether the leg was lost, and not ended by somebody who had talked on it. Its phone is still there."""
    return event.cause not in {"", "hangup"} or _is_short(call, event.at, event.short)


def _broken(call: Call, event: TransferComplete) -> Decision:
    """The phone asks again in a moment, and is joined anew with a new participant; but not for ever."""
    counted = _counted(call, event)
    if counted.short_legs >= _SHORT_LEGS:
        return fail(counted, failure_of(event.cause), event.at)
    return _anew(counted, event.at)


def _counted(call: Call, event: TransferComplete) -> Call:
    short = _is_short(call, event.at, event.short)
    return replace(call, short_legs=call.short_legs + 1 if short else 0, broken_at=event.at)


def _is_short(call: Call, at: float, seconds: float) -> bool:
    return at - call.leg_answered_at < seconds


def ask_after_transfer(call: Call, event: Redirect) -> Decision:
    """As `transfer_complete`, for a phone whose transferComplete met a store that was down."""
    if is_late(call, event):
        return carry_on(call, event)
    if call.own_leg:
        return _again(call, event) if call.intent is Intent.BRIDGE else let_go(call, event.at)
    complete = TransferComplete(event.at, call.attempt, cause="")
    answered = call.intent is Intent.BRIDGE and call.answered_attempt == call.attempt
    if answered and _broke(call, complete) and _counted(call, complete).short_legs < _SHORT_LEGS:
        return join(_counted(call, complete), event)
    return transfer_complete(call, complete)


def _anew(call: Call, at: float) -> Decision:
    """With a participant of the caller's own that is in its session.

    One that was made ahead may have gone meanwhile, and any may just be on its way into the session that
    replaces its room's: its leg is refused then, once.
    """
    refuses = call.refuses_stock or call.stocked or call.answered_attempt != call.attempt
    after = replace(_left(call), media=Media.NONE, stocked=False, refuses_stock=refuses)
    return Decision(after, Wait(), owed=give_up_seats(call, at), cancelled=(HANG_UP,), drops_token=True)


def _talked(call: Call, at: float) -> Decision:
    owed = (*give_up_seats(call, at), *hang_up(call, at + HANGUP_AFTER))
    over = replace(
        call,
        media=Media.NONE,
        intent=Intent.HANGUP,
        next_room="",
        bridged_at=call.bridged_at or at,
        # Also where it is not known that the one after it has answered.
        broken_at=0,
    )
    return Decision(over, Hangup(), owed=owed, drops_token=True)


def _elsewhere_over(call: Call, event: TransferComplete) -> Decision:
    """The number that the caller was sent to is done with them, or did not answer."""
    over = replace(call, intent=Intent.HANGUP)
    if event.cause != "hangup":
        over = replace(over, elsewhere="", failure="transfer-failed")
    return Decision(over, continuation(over), owed=hang_up(call, event.at + HANGUP_AFTER))


# A call of ours ---------------------------------------------------------------------------------------------


def leg_answer(call: Call, event: LegAnswer) -> Decision:
    """It has answered, or asks again. Whichever of the two is answered second runs the bridge."""
    if call.intent is not Intent.BRIDGE:
        return Decision(call, Hangup(), note="the call is meant for something else")
    if call.leg is Leg.GONE:
        return Decision(call, Hangup(), note="the leg has ended")
    up = told(replace(call, leg_id=event.leg_id, own_leg=True, leg=Leg.UP), event)
    if call.media is not Media.TRANSFERRING:
        # The phone is not there yet, or has just been told to run the bridge itself.
        return Decision(up, ParkLeg(call.attempt))
    return Decision(bridged(up, event.at), BridgePhone(call.attempt, call.call_id))


def leg_bridge_complete(call: Call, event: LegBridgeComplete) -> Decision:
    """The phone has left it, or could not be bridged with it: then the phone has to be joined anew."""
    if not event.cause or call.media is not Media.BRIDGED:
        return Decision(call, Hangup())
    return Decision(_left(call), Hangup(), owed=(*give_up_seats(call, event.at), *ask_phone(call, event.at)))


def leg_disconnect(call: Call, event: LegDisconnect) -> Decision:
    """The phone outlives it. Bandwidth asks about one that was bridged; a parked one asks by itself."""
    gone = replace(call, leg=Leg.GONE)
    match call.media:
        case Media.BRIDGED:
            ask = ask_phone(call, event.at + SETTLES)
            return Decision(_left(gone), Nothing(), owed=(*give_up_seats(call, event.at), *ask))
        case Media.READY:
            return Decision(replace(gone, media=Media.NONE), Nothing(), owed=give_up_seats(call, event.at))
        case Media.TRANSFERRING if _is_refused(call, event):
            # As a transfer that is refused.
            anew = _anew(gone, event.at)
            return replace(anew, reply=Nothing(), owed=(*anew.owed, *ask_phone(call, event.at)))
        case Media.TRANSFERRING:
            return Decision(gone, Nothing(), owed=ask_phone(call, event.at))
        case _:
            return Decision(gone, Nothing())


def _is_refused(call: Call, event: LegDisconnect) -> bool:
    """Whether its participant can have been on its way from one session into another just then."""
    return call.intent is Intent.BRIDGE and event.cause == "rejected" and not call.refuses_stock


def bridge_complete(call: Call, event: BridgeComplete) -> Decision:
    """The phone is out of the bridge, and goes on as is wanted of it: by default into its room again."""
    if call.intent is not Intent.BRIDGE:
        return let_go(call, event.at)
    return _again(call, event)


def _again(call: Call, event: Redirect | BridgeComplete) -> Decision:
    """A new leg for a phone that has lost its own, but not for ever."""
    short = _is_short(call, event.at, _SHORT)
    counted = replace(call, short_legs=call.short_legs + 1 if short else 0, broken_at=event.at)
    if counted.short_legs >= _SHORT_LEGS:
        return fail(counted, "transfer-failed", event.at)
    return join(counted, event)


# The participant is gone ------------------------------------------------------------------------------------


def participant_vanished(call: Call, event: ParticipantVanished) -> Decision:
    """The caller talks to nobody: fetch the phone out of the transfer, tell it, and hang up."""
    if call.media is Media.READY:
        # Nobody listens yet: the phone is joined anew when it asks.
        return Decision(
            replace(call, media=Media.NONE),
            Nothing(),
            owed=(*give_up_seats(call, event.at), *give_up_leg(call, event.at)),
            drops_token=True,
        )
    if call.stocked and call.intent is Intent.BRIDGE:
        # Made ahead, it had gone by then: the caller gets one of their own.
        room = call.next_room or call.room
        own = replace(break_off(call), room=room, refuses_stock=True, broken_at=call.broken_at)
        return turn(call, own, event.at)
    over = replace(break_off(call), intent=Intent.HANGUP, failure="participant-vanished")
    return turn(call, over, event.at)
