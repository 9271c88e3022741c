"""Holds the rules for the leg into WebRTC: the B leg of a transfer, or a call of ours that is bridged."""

from typing import Final

from msgspec.structs import replace

from service.calls.decision import HANG_UP_DELAY, Decision, ignore
from service.calls.events import (
    BridgeComplete,
    LegAnswer,
    LegBridgeComplete,
    LegDisconnect,
    LegNoted,
    ParticipantVanished,
    Redirected,
    TransferAnswer,
    TransferComplete,
    TransferDisconnect,
)
from service.calls.model import Call, Intent, Leg, Media, Phone
from service.calls.outcomes import failure_of
from service.calls.replies import AcceptLeg, BridgePhone, HangUp, HoldLeg, NoReply, Wait
from service.calls.rules.arriving import (
    BRIDGE_SETTLE_TIME,
    carry_on,
    is_late_copy,
    mark_bridged,
    remember_event_time,
)
from service.calls.rules.parts import (
    HANG_UP_ID,
    abort_attempt,
    detach,
    fail,
    give_up_leg,
    give_up_seats,
    hang_up,
    join,
    redirect_phone,
    reply_for_intent,
    switch_to,
)

_SHORT_LEG: Final = 5.0
"""Seconds; a leg that lasts no longer was not talked on."""
_MAX_SHORT_LEGS: Final = 3


# The B leg of a transfer ------------------------------------------------------------------------------------


def transfer_answer(call: Call, event: TransferAnswer) -> Decision:
    if call.intent is not Intent.BRIDGE:
        return Decision(call, HangUp(), note="the call is meant for something else")
    after = replace(
        call
        if call.answered_attempt == call.attempt
        else remember_event_time(mark_bridged(call, event.at), event),
        phone=Phone.UP,
        media=Media.BRIDGED,
        leg_id=event.leg_id,
    )
    return Decision(after, AcceptLeg(event.tag or call.seat), drops_token=True)


def accept_number_leg(call: Call, event: TransferAnswer) -> Decision:
    """The leg to the number that the caller was sent to, at an address that names no attempt of ours.

    A hang-up would end their talk.
    """
    if event.attempt or call.intent is not Intent.TRANSFER:
        return ignore(call, f"transferAnswer does not fit media {call.media}", event)
    return Decision(call, AcceptLeg(event.tag or call.seat), note="the leg leads elsewhere")


def transfer_disconnect(call: Call, event: TransferDisconnect) -> Decision:
    """The sound has ended. The phone is asked about next, and hung up by request should nobody ask."""
    effects = [*give_up_seats(call, event.at)]
    if call.intent in {Intent.BRIDGE, Intent.HANGUP}:
        effects += hang_up(call, event.at + HANG_UP_DELAY)
    return Decision(_mark_leaving(call), NoReply(), effects=tuple(effects), drops_token=True)


def leg_noted(call: Call, event: LegNoted) -> Decision:
    """The leg is not the phone: what became of it is told by its own webhooks."""
    reply = AcceptLeg(event.tag) if event.tag else NoReply()
    return Decision(call, reply, note=f"{event.event_type} is about the leg {event.leg_id}")


def _mark_leaving(call: Call) -> Call:
    """A phone that is joined anew goes where it was to be moved."""
    return replace(call, media=Media.LEAVING, room=call.next_room or call.room, next_room="")


def transfer_complete(call: Call, event: TransferComplete) -> Decision:
    """The B leg is over and the phone asks what comes next."""
    match call.intent:
        case Intent.BRIDGE if call.media is Media.NONE:
            return Decision(call, Wait())  # it is to be joined anew already
        case Intent.BRIDGE if call.answered_attempt == call.attempt:
            return _leg_lost(call, event) if _is_leg_lost(call, event) else _end_after_talk(call, event.at)
        case Intent.BRIDGE if event.cause == "hangup":
            # The store has missed that the leg was answered.
            return _end_after_talk(call, event.at)
        case Intent.BRIDGE if call.from_pool or (event.cause == "rejected" and not call.skips_pool):
            return _rejoin_on_request(call, event.at)
        case Intent.BRIDGE:
            return fail(call, failure_of(event.cause), event.at)
        case Intent.TRANSFER if call.media is Media.NONE:
            return _number_leg_over(call, event)
        case _:
            return detach(call, event.at)


def _is_leg_lost(call: Call, event: TransferComplete) -> bool:
    """Whether the leg was lost, and not ended by somebody who had talked on it. Its phone is still there."""
    return event.cause not in {"", "hangup"} or _is_short(call, event.at, event.short_leg)


def _leg_lost(call: Call, event: TransferComplete) -> Decision:
    """The phone asks again in a moment, and is joined anew with a new participant; but not for ever."""
    counted = _with_short_leg_count(call, event)
    if counted.short_legs >= _MAX_SHORT_LEGS:
        return fail(counted, failure_of(event.cause), event.at)
    return _rejoin_on_request(counted, event.at)


def _with_short_leg_count(call: Call, event: TransferComplete) -> Call:
    short = _is_short(call, event.at, event.short_leg)
    return replace(call, short_legs=call.short_legs + 1 if short else 0, leg_lost_at=event.at)


def _is_short(call: Call, at: float, seconds: float) -> bool:
    return at - call.leg_answered_at < seconds


def redirected_after_transfer(call: Call, event: Redirected) -> Decision:
    """As `transfer_complete`, for a phone whose transferComplete met a store that was down."""
    if is_late_copy(call, event):
        return carry_on(call, event)
    if call.uses_bridge:
        return _rejoin_now(call, event) if call.intent is Intent.BRIDGE else detach(call, event.at)
    complete = TransferComplete(event.at, call.attempt, cause="")
    answered = call.intent is Intent.BRIDGE and call.answered_attempt == call.attempt
    if (
        answered
        and _is_leg_lost(call, complete)
        and _with_short_leg_count(call, complete).short_legs < _MAX_SHORT_LEGS
    ):
        return join(_with_short_leg_count(call, complete), event)
    return transfer_complete(call, complete)


def _rejoin_on_request(call: Call, at: float) -> Decision:
    """With a participant of the caller's own that is in its session.

    One that was made ahead may have gone meanwhile, and any may just be on its way into the session that
    replaces its room's: its leg is refused then, once.
    """
    refuses = call.skips_pool or call.from_pool or call.answered_attempt != call.attempt
    after = replace(_mark_leaving(call), media=Media.NONE, from_pool=False, skips_pool=refuses)
    return Decision(after, Wait(), effects=give_up_seats(call, at), cancels=(HANG_UP_ID,), drops_token=True)


def _end_after_talk(call: Call, at: float) -> Decision:
    effects = (*give_up_seats(call, at), *hang_up(call, at + HANG_UP_DELAY))
    over = replace(
        call,
        media=Media.NONE,
        intent=Intent.HANGUP,
        next_room="",
        bridged_at=call.bridged_at or at,
        # Also where it is not known that the one after it has answered.
        leg_lost_at=0,
    )
    return Decision(over, HangUp(), effects=effects, drops_token=True)


def _number_leg_over(call: Call, event: TransferComplete) -> Decision:
    """The number that the caller was sent to is done with them, or did not answer."""
    over = replace(call, intent=Intent.HANGUP)
    if event.cause != "hangup":
        over = replace(over, transfer_to="", failure="transfer-failed")
    return Decision(over, reply_for_intent(over), effects=hang_up(call, event.at + HANG_UP_DELAY))


# A call of ours ---------------------------------------------------------------------------------------------


def leg_answer(call: Call, event: LegAnswer) -> Decision:
    """It has answered, or asks again. Whichever of the two is answered second runs the bridge."""
    if call.intent is not Intent.BRIDGE:
        return Decision(call, HangUp(), note="the call is meant for something else")
    if call.leg is Leg.GONE:
        return Decision(call, HangUp(), note="the leg has ended")
    up = remember_event_time(replace(call, leg_id=event.leg_id, uses_bridge=True, leg=Leg.UP), event)
    if call.media is not Media.TRANSFERRING:
        # The phone is not there yet, or has just been told to run the bridge itself.
        return Decision(up, HoldLeg(call.attempt))
    return Decision(mark_bridged(up, event.at), BridgePhone(call.attempt, call.call_id))


def leg_bridge_complete(call: Call, event: LegBridgeComplete) -> Decision:
    """The phone has left it, or could not be bridged with it: then the phone has to be joined anew."""
    if not event.cause or call.media is not Media.BRIDGED:
        return Decision(call, HangUp())
    return Decision(
        _mark_leaving(call),
        HangUp(),
        effects=(*give_up_seats(call, event.at), *redirect_phone(call, event.at)),
    )


def leg_disconnect(call: Call, event: LegDisconnect) -> Decision:
    """The phone outlives it. Bandwidth asks about one that was bridged; a parked one asks by itself."""
    gone = replace(call, leg=Leg.GONE)
    match call.media:
        case Media.BRIDGED:
            ask = redirect_phone(call, event.at + BRIDGE_SETTLE_TIME)
            return Decision(_mark_leaving(gone), NoReply(), effects=(*give_up_seats(call, event.at), *ask))
        case Media.READY:
            return Decision(replace(gone, media=Media.NONE), NoReply(), effects=give_up_seats(call, event.at))
        case Media.TRANSFERRING if _is_refused(call, event):
            # As a transfer that is refused.
            anew = _rejoin_on_request(gone, event.at)
            return replace(anew, reply=NoReply(), effects=(*anew.effects, *redirect_phone(call, event.at)))
        case Media.TRANSFERRING:
            return Decision(gone, NoReply(), effects=redirect_phone(call, event.at))
        case _:
            return Decision(gone, NoReply())


def _is_refused(call: Call, event: LegDisconnect) -> bool:
    """Whether its participant can have been on its way from one session into another just then."""
    return call.intent is Intent.BRIDGE and event.cause == "rejected" and not call.skips_pool


def bridge_complete(call: Call, event: BridgeComplete) -> Decision:
    """The phone is out of the bridge, and goes on as is wanted of it: by default into its room again."""
    if call.intent is not Intent.BRIDGE:
        return detach(call, event.at)
    return _rejoin_now(call, event)


def _rejoin_now(call: Call, event: Redirected | BridgeComplete) -> Decision:
    """A new leg for a phone that has lost its own, but not for ever."""
    short = _is_short(call, event.at, _SHORT_LEG)
    counted = replace(call, short_legs=call.short_legs + 1 if short else 0, leg_lost_at=event.at)
    if counted.short_legs >= _MAX_SHORT_LEGS:
        return fail(counted, "transfer-failed", event.at)
    return join(counted, event)


# The participant is gone ------------------------------------------------------------------------------------


def participant_vanished(call: Call, event: ParticipantVanished) -> Decision:
    """The caller talks to nobody: fetch the phone out of the transfer, tell it, and hang up."""
    if call.media is Media.READY:
        # Nobody listens yet: the phone is joined anew when it asks.
        return Decision(
            replace(call, media=Media.NONE),
            NoReply(),
            effects=(*give_up_seats(call, event.at), *give_up_leg(call, event.at)),
            drops_token=True,
        )
    if call.from_pool and call.intent is Intent.BRIDGE:
        # Made ahead, it had gone by then: the caller gets one of their own.
        room = call.next_room or call.room
        own = replace(abort_attempt(call), room=room, skips_pool=True, leg_lost_at=call.leg_lost_at)
        return switch_to(call, own, event.at)
    over = replace(abort_attempt(call), intent=Intent.HANGUP, failure="participant-vanished")
    return switch_to(call, over, event.at)
