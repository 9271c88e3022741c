"""Holds the rules for a phone that is gone, and for events after the end or of an older attempt."""

from typing import Final

from msgspec.structs import replace

from service.calls.decision import Decision
from service.calls.events import (
    AskedToRetry,
    DialingTimedOut,
    Disconnect,
    Event,
    FoundEmpty,
    FoundEnded,
    Joined,
    JoinFailed,
    LegAnswer,
    LegBridgeComplete,
    LegNoted,
    Moved,
    MoveFailed,
    NotPlaced,
    OrderHangup,
    OrderHold,
    OrderJoin,
    OrderSubscriptions,
    OrderTransfer,
    PhoneRequest,
    Placed,
    TransferAnswer,
    TransferComplete,
)
from service.calls.looks import CallChecked, Looks
from service.calls.model import Call, Intent, Leg, Media, Outcome, Phone
from service.calls.outcomes import NOT_FOUND, blame_for, is_erased, outcome_of, with_outage_hangup
from service.calls.replies import HangUp, NoReply, Wait
from service.calls.rules import arriving, joining, rooms
from service.calls.rules.orders import refuse
from service.calls.rules.parts import (
    HANG_UP_ID,
    REDIRECT_ID,
    TIMER_IDS,
    give_up_leg,
    give_up_seats,
    reply_for_intent,
)

MIN_CALL_DURATION: Final = 0.001
"""Seconds that a call which had begun has lasted at least: a tombstone ends as it begins."""


def disconnect(call: Call, event: Disconnect) -> Decision:
    """The phone has gone, whatever the call was doing."""
    call = with_outage_hangup(call, event.at)
    return _end(call, event.at, outcome_of(call, event))


def call_checked(call: Call, event: CallChecked) -> Decision:
    """Bandwidth knows a call for days after its end: it takes many looks to believe that it does not."""
    looks = Looks() if event.known else call.not_found.seen(event.at)
    after = replace(call, not_found=looks)
    if not looks.reach(event.threshold):
        return Decision(after, NoReply())
    vanished = FoundEnded(
        at=event.at,
        ref=call.ref,
        call_id=call.call_id,
        direction=call.direction,
        room=call.room,
        cause=NOT_FOUND,
    )
    return disconnect(after, vanished)


def placed(call: Call, _event: Placed) -> Decision:
    """Its id has been learned, and nothing else changes."""
    return Decision(call, NoReply())


def not_placed(call: Call, event: NotPlaced) -> Decision:
    """Nobody was called. Should a webhook have told otherwise by now, that is to be believed."""
    if call.call_id:
        return Decision(call, NoReply(), note="the call exists")
    outcome = Outcome(blame=blame_for(event.reason), reason=event.reason)
    return _end(replace(call, failure=event.reason), event.at, outcome)


def dialing_timed_out(call: Call, event: DialingTimedOut) -> Decision:
    if call.phone is not Phone.DIALING:
        return Decision(call, NoReply(), note="the phone has answered")
    return _end(call, event.at, Outcome(blame=blame_for("never-heard-of"), reason="never-heard-of"))


def _end(call: Call, at: float, outcome: Outcome) -> Decision:
    """The call is over.

    A join under way gives its seat up itself when it is through; should its replica die, the effect that is
    owed for the end of its lease does it.
    """
    gone = replace(
        call,
        phone=Phone.GONE,
        media=Media.JOINING if call.media is Media.JOINING else Media.NONE,
        intent=Intent.HANGUP,
        next_room="",
        ended_at=max(at, call.created_at + MIN_CALL_DURATION),
        outcome=outcome,
        leg=Leg.GONE if call.uses_bridge else call.leg,
    )
    due = max(call.lease_until, at) if call.media is Media.JOINING else at
    return Decision(
        gone,
        NoReply(),
        effects=(*give_up_seats(call, due), *give_up_leg(call, at)),
        cancels=(HANG_UP_ID, REDIRECT_ID, "move-participant", "subscribe", *TIMER_IDS),
        drops_token=True,
    )


def after_the_end(call: Call, event: Event) -> Decision:
    """Nothing is begun for a phone that has gone; what an attempt has made meanwhile is taken down."""
    match event:
        case Joined() | JoinFailed() | FoundEmpty():
            return replace(joining.outdated(call, event), reply=HangUp(), drops_token=True, note="")
        case Moved() | MoveFailed():
            return rooms.outdated(call, event)
        case AskedToRetry() if not is_erased(call):
            return arriving.asked_to_retry(call, event)
        case PhoneRequest() | TransferAnswer() | TransferComplete() | LegAnswer() | LegBridgeComplete():
            return Decision(call, HangUp(), note="call has ended")
        case LegNoted(tag=tag) if tag:
            return Decision(call, HangUp(), note="call has ended")
        case OrderHangup():
            return Decision(call, NoReply())
        case OrderHold() | OrderJoin() | OrderTransfer() | OrderSubscriptions():
            return refuse(call, "the call has ended")
        case Placed():
            return Decision(call, NoReply())
        case _:
            return Decision(call, NoReply(), note="call has ended")


def stale(call: Call, event: Event) -> Decision:
    match event:
        case Joined() | JoinFailed() | FoundEmpty():
            return joining.outdated(call, event)
        case Moved() | MoveFailed():
            return rooms.outdated(call, event)
        case TransferAnswer(accepted_without_call=True):
            talked = replace(call, bridged_at=call.bridged_at or event.at)
            return Decision(talked, NoReply(), note="stale attempt")
        case TransferAnswer() | LegAnswer() | LegBridgeComplete():
            return Decision(call, HangUp(), note="stale attempt")
        case TransferComplete() | PhoneRequest():
            # Having been asked to ask us it does so at once, which would cut off what it is told here.
            silent = isinstance(reply_for_intent(call), HangUp)
            return Decision(call, HangUp() if silent else Wait(), note="stale attempt")
        case _:
            return Decision(call, NoReply(), note="stale attempt")
