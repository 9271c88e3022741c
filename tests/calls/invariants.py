"""What has to hold of every single decision, whatever the call, the event and the order they come in."""

from typing import Final

import msgspec

from service.calls.decide import decide
from service.calls.decision import Decision
from service.calls.effects import HangUpLeg, LeaveRoom, RecordCallId, RedirectPhone
from service.calls.events import (
    Dial,
    Disconnect,
    Event,
    FoundEmpty,
    Gathered,
    Joined,
    JoinFailed,
    LegAnswer,
    LegBridgeComplete,
    Order,
    OrderHangup,
    PhoneRequest,
    TransferAnswer,
    TransferComplete,
    UnknownWebhook,
)
from service.calls.model import Call, Intent, Leg, Media, Phone, Status
from service.calls.replies import (
    AcceptLeg,
    BridgeLeg,
    BridgePhone,
    ErrorAndHangUp,
    GatherPin,
    HangUp,
    Hold,
    HoldLeg,
    NoReply,
    Reply,
    RingWhileDialing,
    SayAndHangUp,
    TransferToNumber,
    TransferToWebRtc,
    Wait,
    WaitForOthers,
)
from service.calls.rules.learning import record_facts
from tests.calls.event_builders import REF

ON_A_LEG: Final = (
    PhoneRequest,
    TransferAnswer,
    TransferComplete,
    LegAnswer,
    LegBridgeComplete,
    UnknownWebhook,
)
"""Webhooks whose reply is run; an empty document would hang the leg up."""
JOIN_ENDS: Final = (Joined, JoinFailed, FoundEmpty)
PHONE_IS_ANSWERED: Final = (PhoneRequest, TransferComplete, *JOIN_ENDS)
"""Events whose reply the phone hears; after any other it has to be asked to ask us."""
HANGS_UP: Final = (HangUp, ErrorAndHangUp, SayAndHangUp)
SAME: Final[dict[type[Reply], tuple[type[Reply], ...]]] = {
    **dict.fromkeys(HANGS_UP, HANGS_UP),
    GatherPin: (GatherPin, *HANGS_UP),
    TransferToNumber: (TransferToNumber, Wait),
    # Who is being bridged by this reply goes on waiting for it.
    BridgeLeg: (BridgeLeg, RingWhileDialing, Wait),
    BridgePhone: (HoldLeg,),
}
"""What a duplicate may be answered, where it is not the same."""

IN: Final[dict[type[Reply], set[Media]]] = {
    TransferToWebRtc: {Media.TRANSFERRING},
    AcceptLeg: {Media.BRIDGED},
    RingWhileDialing: {Media.READY, Media.TRANSFERRING, Media.BRIDGED},
    HoldLeg: {Media.JOINING, Media.READY, Media.BRIDGED},
    BridgeLeg: {Media.BRIDGED},
    BridgePhone: {Media.BRIDGED},
}
"""What the media of a call are that is told so."""
MEANT: Final[dict[type[Reply], Intent]] = {
    GatherPin: Intent.PIN,
    WaitForOthers: Intent.WAIT,
    Hold: Intent.HOLD,
    TransferToNumber: Intent.TRANSFER,
    SayAndHangUp: Intent.HANGUP,
}


def check(now: float, before: Call | None, event: Event, decision: Decision) -> None:
    after = decision.call
    if after is None:
        assert before is None
        assert not decision.effects
        # Of a phone or a leg that the store may not find for a moment: it lives on, and asks again.
        assert isinstance(decision.reply, HangUp | NoReply | Wait | AcceptLeg)
        return
    assert msgspec.json.decode(msgspec.json.encode(after), type=Call) == after
    assert isinstance(after.status, Status)
    _check_shape(after)
    _check_reply(now, after, event, decision)
    _check_refusal(before, event, decision)
    _check_attempt(now, before, event, decision)
    _check_fallback(before, decision)
    _check_again(event, decision)
    _check_gone(before, event, decision)


def _check_shape(call: Call) -> None:
    """States that no call may be in."""
    assert call.last_seat_no >= call.seat_no
    if call.next_room:
        assert call.media is Media.BRIDGED, "only who is in a room is moved to another"
        assert call.last_seat_no > call.seat_no
    if not call.live:
        assert call.media in {Media.NONE, Media.JOINING}
        assert call.intent is Intent.HANGUP
        return
    if call.phone is Phone.DIALING:
        assert call.media in {Media.NONE, Media.JOINING, Media.READY}
    if call.leg_lost_at:
        assert call.intent is Intent.BRIDGE, "without a leg by its own will, and blamed on the last one's end"
        assert call.media is not Media.BRIDGED, "joined anew, and still without a leg"
    match call.intent:
        case Intent.BRIDGE:
            assert call.room
        case Intent.WAIT:
            assert call.media is Media.NONE
            assert call.waiting
            assert call.wait_until
        case _:
            assert call.media is Media.NONE, "what is not meant to be in a room has no seat in one"
    if call.uses_bridge:
        assert call.media is not Media.BRIDGED or call.leg is Leg.UP, "bridged with nothing"
        assert call.media is not Media.TRANSFERRING or call.leg is not Leg.UP, "nobody bridges the two"


def _check_reply(now: float, after: Call, event: Event, decision: Decision) -> None:
    reply = decision.reply
    if after.live and isinstance(event, ON_A_LEG):
        assert not isinstance(reply, NoReply), "an empty document hangs up"
    if after.live and after.phone is not Phone.DIALING and isinstance(event, JOIN_ENDS):
        assert not isinstance(reply, NoReply), "the webhook that began the join is answered by this"
    if type(reply) in IN:
        assert after.media in IN[type(reply)]
        assert after.live
        assert after.intent is Intent.BRIDGE
        assert getattr(reply, "attempt", after.attempt) == after.attempt, "into something that was given up"
    if type(reply) in MEANT:
        assert after.intent is MEANT[type(reply)]
    if isinstance(reply, TransferToWebRtc):
        assert now < after.token_until, "a transfer whose token has expired"
    if isinstance(reply, AcceptLeg):
        assert reply.tag, "an empty tag"
    if isinstance(reply, TransferToWebRtc | RingWhileDialing | HoldLeg | BridgeLeg | BridgePhone):
        assert after.uses_bridge != isinstance(reply, TransferToWebRtc)
        assert after.leg is Leg.UP or not isinstance(reply, HoldLeg | BridgeLeg | BridgePhone)


def _check_refusal(before: Call | None, event: Event, decision: Decision) -> None:
    if decision.refusal_reason:
        assert isinstance(event, Order)
        assert decision == Decision(before, NoReply(), refusal_reason=decision.refusal_reason), (
            "refused, and yet obeyed"
        )


def _check_attempt(now: float, before: Call | None, event: Event, decision: Decision) -> None:
    after = decision.call
    assert after is not None
    assert after.ref == REF
    attempt = before.attempt if before else 0
    assert after.attempt in {attempt, attempt + 1}, "attempts only grow"
    if decision.join:
        kept = before is not None and before.media is Media.READY and not before.participant_id
        assert after.attempt == (attempt if kept else attempt + 1), "an old number"
        assert after.media is Media.JOINING
        assert after.live
        assert after.leg is Leg.NONE, "the leg of an attempt that was given up"
        assert after != before, "made without being written down"
    if before is None or not before.live:
        return
    if getattr(event, "attempt", attempt) != attempt:
        assert after == record_facts(before, event)[0], "an older attempt has changed the call"
        assert not decision.drops_token
    if decision.join and before.media is Media.JOINING:
        assert now >= before.lease_until, "two attempts at a time"
    if after.attempt != attempt and not isinstance(event, PHONE_IS_ANSWERED):
        hears = before.media is Media.JOINING or before.phone is Phone.DIALING
        asked = any(isinstance(owed.effect, RedirectPhone) for owed in decision.effects)
        assert hears or asked or isinstance(event, OrderHangup), "the phone does not hear of it"


def _check_fallback(before: Call | None, decision: Decision) -> None:
    """Who was to be in a room, or is sent elsewhere, is sent to the fallback number before an apology."""
    if before is not None and before.intent in {Intent.BRIDGE, Intent.TRANSFER} and before.fallback_number:
        assert not isinstance(decision.reply, ErrorAndHangUp), "there is a fallback number"


def _check_again(event: Event, decision: Decision) -> None:
    """The same event a second time changes nothing, and a webhook is answered to the same effect."""
    after, reply = decision.call, decision.reply
    assert after is not None
    again = decide(after, event)
    assert again.call is not None
    if isinstance(event, Order):
        assert _wants(again.call) == _wants(after), "an order that is given twice is another"
        return
    if isinstance(event, Gathered) and isinstance(reply, GatherPin):
        # Known again by its key before it comes here; otherwise it is another try.
        return
    if isinstance(reply, RingWhileDialing) and reply.announcement:
        # Who asks after the announcement has heard it.
        return
    assert again.call == after, "a duplicate has changed the call"
    if not isinstance(event, (*JOIN_ENDS, Dial)):
        same = SAME.get(type(reply), (type(reply),))
        assert not again.join, "a duplicate begins another join"
        assert isinstance(again.reply, same), f"a duplicate is answered {again.reply} after {reply}"


def _wants(call: Call) -> tuple[object, ...]:
    return call.live, call.intent, call.next_room or call.room, call.transfer_to, call.hears


def _check_gone(before: Call | None, event: Event, decision: Decision) -> None:
    after = decision.call
    assert after is not None
    if isinstance(event, Disconnect):
        assert after.phone is Phone.GONE, "still there after its disconnect"
    if after.live:
        assert before is None or before.live, "back from the dead"
        assert after.outcome is None
        return
    assert after.outcome is not None
    allowed = LeaveRoom | HangUpLeg | RecordCallId
    assert all(isinstance(owed.effect, allowed) for owed in decision.effects), "the phone is gone"
    if before is not None and not before.live:
        assert isinstance(decision.reply, HangUp | NoReply), "told something after the end"
        assert after.outcome == before.outcome
        assert after.attempt == before.attempt, "made for a phone that is gone"
    if before is None:
        assert not decision.effects, "a tombstone has made nothing"
