"""Holds the rules for a call that begins, and for a phone that asks what to do."""

from typing import Final

from msgspec.structs import replace

from service.calls.decision import HANG_UP_DELAY, Decision
from service.calls.effects import EndDialing, Scheduled
from service.calls.events import (
    Answer,
    AskedToRetry,
    BridgeComplete,
    Dial,
    Disconnect,
    Event,
    Gathered,
    Initiate,
    LegAnswer,
    LegBridgeComplete,
    LegNoted,
    PhoneEvent,
    PhoneRequest,
    Redirected,
    TransferAnswer,
    TransferComplete,
)
from service.calls.model import Call, Direction, Intent, Leg, Media, Phone
from service.calls.outcomes import outcome_of, with_corrected_outcome
from service.calls.replies import (
    AcceptLeg,
    BridgeLeg,
    GatherPin,
    HangUp,
    Hold,
    NoReply,
    Reply,
    RingWhileDialing,
    TransferToWebRtc,
    Wait,
)
from service.calls.rules.machines import MACHINES, machine_answered
from service.calls.rules.parts import (
    REDIRECT_ID,
    detach,
    fail,
    hang_up,
    hang_up_delay,
    join,
    reply_for_intent,
    schedule_time_limit,
)

LEG_RING_TIMEOUT: Final = 40.0
"""Seconds for which a phone is parked while our call into WebRTC, which rings for 30, is not answered."""
BRIDGE_SETTLE_TIME: Final = 5.0
"""Seconds in which Bandwidth carries out what it has just been told about a bridge."""


# A call that is not known -----------------------------------------------------------------------------------


def begin(event: Event) -> Decision:
    """The first that we hear of a call."""
    match event:
        case Dial():
            return dial(event)
        case Initiate() | Answer() | Redirected() | Gathered() | BridgeComplete() | AskedToRetry():
            return _begin_by_phone(event)
        case Disconnect():
            # A tombstone: the call's late first event finds it and makes nothing.
            gone = replace(
                _new_call(event, Phone.GONE),
                intent=Intent.HANGUP,
                ended_at=event.at,
                outcome=outcome_of(None, event),
            )
            return Decision(gone, NoReply())
        case LegNoted(tag=tag) | TransferAnswer(tag=tag) if tag:
            # A call that the store has lost, or does not find for a moment, may be talking on it.
            return Decision(None, AcceptLeg(tag), note="call is not known")
        case TransferAnswer():
            return Decision(None, HangUp(), note="call is not known")
        case TransferComplete() | LegAnswer() | LegBridgeComplete():
            # There is a phone, or a leg of one. A phone that comes back is known by then, or begins anew.
            return Decision(None, Wait(), note="call is not known")
        case _:
            return Decision(None, NoReply(), note="call is not known")


def _begin_by_phone(event: PhoneRequest) -> Decision:
    decision = _first_decision(event)
    if decision.call is None or decision.call.intent is Intent.HANGUP:
        return decision
    return replace(decision, effects=(*decision.effects, *schedule_time_limit(decision.call, event.at)))


def _first_decision(event: PhoneRequest) -> Decision:
    new = replace(
        _new_call(event, Phone.UP if event.answered else Phone.RINGING),
        announcement=event.announcement,
        fallback_number=event.fallback_number,
        waits_for_others=event.waits_for_others,
        max_duration=event.max_duration,
        answered_at=event.at if event.answered and event.direction is Direction.OUTBOUND else 0,
        machine=event.machine if isinstance(event, Answer) else "",
    )
    asked = replace(new, intent=Intent.PIN, room="") if event.pin_attempts_allowed else new
    if event.closed_message:
        return _refuse_closed(asked, event)
    if isinstance(event, AskedToRetry):
        return Decision(replace(asked, outage_hangup_at=event.outage_hangup_at), _reply_given(event))
    if not event.pin_attempts_allowed:
        return join(new, event)
    if event.wrong_pins.is_caller_refused and not (isinstance(event, Gathered) and event.pin_room):
        return _hang_up_for(asked, event, "pin-guessing")
    return pin_entered(asked, event) if isinstance(event, Gathered) else Decision(asked, GatherPin())


def _refuse_closed(new: Call, event: PhoneRequest) -> Decision:
    """No new calls are taken: the caller is told so, and let go."""
    over = replace(new, intent=Intent.HANGUP, failure="closed", closing_message=event.closed_message)
    reply = _reply_given(event) if isinstance(event, AskedToRetry) else reply_for_intent(over)
    return Decision(over, reply, effects=hang_up(over, event.at + hang_up_delay(over)))


def _new_call(event: PhoneEvent, phone: Phone) -> Call:
    return Call(
        ref=event.ref,
        call_id=event.call_id,
        direction=event.direction,
        room=event.room,
        created_at=(event.first_at if isinstance(event, PhoneRequest) else 0) or event.at,
        outage_waits=event.outage_waits if isinstance(event, PhoneRequest) else 0,
        phone=phone,
        from_number=event.from_number,
        to_number=event.to_number,
    )


def dial(event: Dial) -> Decision:
    """Written down before anybody is asked to dial; a seat is kept from now on."""
    call = Call(
        ref=event.ref,
        call_id="",
        direction=Direction.OUTBOUND,
        room=event.room,
        created_at=event.at,
        phone=Phone.DIALING,
        media=Media.JOINING if event.early_join_until else Media.READY,
        attempt=1,
        interconnect=event.interconnect,
        is_early_join=bool(event.early_join_until),
        lease_until=event.early_join_until,
        from_number=event.from_number,
        to_number=event.to_number,
        announcement=event.announcement,
        fallback_number=event.fallback_number,
        tag=event.tag,
        placed_by=event.placed_by,
        on_machine=event.on_machine,
        machine_message=event.machine_message,
        max_duration=event.max_duration,
        page_gone_after=event.page_gone_after,
    )
    return Decision(
        call,
        NoReply(),
        effects=(Scheduled(EndDialing(call.ref), event.dial_until),),
        join=bool(event.early_join_until),
    )


def asked_to_retry(call: Call, event: AskedToRetry) -> Decision:
    """It has come back by itself, or had been there before; or its end was written down first."""
    after = replace(
        call,
        created_at=min(call.created_at, event.first_at or event.at),
        outage_waits=max(call.outage_waits, event.outage_waits),
        outage_hangup_at=call.outage_hangup_at or event.outage_hangup_at,
    )
    return Decision(after if call.live else with_corrected_outcome(after), _reply_given(event))


def _reply_given(event: AskedToRetry) -> Reply:
    """For the timeline: nobody waits for it any more."""
    return HangUp() if event.outage_hangup_at else NoReply()


# The phone asks what to do ----------------------------------------------------------------------------------


def follow_intent(call: Call, event: PhoneRequest) -> Decision:
    if (decision := _machine_decision(call, event)) is not None:
        return decision
    match call.intent:
        case Intent.PIN:
            return Decision(call, GatherPin(after_wrong_pin=bool(call.pin_attempts)))
        case Intent.WAIT if event.at >= call.wait_until:
            return fail(call, "nobody-came", event.at)
        case Intent.BRIDGE | Intent.WAIT:
            return join(call, event)
        case Intent.HOLD if call.ends_soon:
            return Decision(replace(call, ends_soon=False), Hold(ends_soon=True), cancels=(REDIRECT_ID,))
        case Intent.HOLD | Intent.TRANSFER | Intent.HANGUP:
            return detach(call, event.at)


def _machine_decision(call: Call, event: PhoneRequest) -> Decision | None:
    """What becomes of a call that a machine has answered; None where it is treated like a person."""
    found = isinstance(event, Answer) and event.machine in MACHINES
    return machine_answered(call, event.at) if found and call.intent is Intent.BRIDGE else None


def use_ready_seat(call: Call, event: PhoneRequest) -> Decision:
    """The phone has answered, and its place in the room is kept."""
    if call.intent is not Intent.BRIDGE:
        return detach(call, event.at)
    if (decision := _machine_decision(call, event)) is not None:
        return decision
    if not call.participant_id:
        return join(call, event, keep_seat=True)
    if call.leg is Leg.GONE if call.uses_bridge else event.at >= call.token_until:
        return join(call, event)
    return connect_to_webrtc(call, event.at)


def connect_to_webrtc(call: Call, at: float) -> Decision:
    """By what is there: the participant, and the call into WebRTC if that is the way."""
    words = "" if call.bridged_at or call.announced else call.announcement
    if not call.uses_bridge:
        there = replace(call, media=Media.TRANSFERRING, leg_requested_at=at)
        return Decision(there, TransferToWebRtc(call.attempt, words))
    if call.leg is Leg.UP:
        there = replace(mark_bridged(call, at), phone_runs_bridge=True)
        return Decision(there, BridgeLeg(call.attempt, call.leg_id, words), drops_token=True)
    if words:
        # A leg that answered meanwhile would cut it off: the phone asks again when it has heard it all.
        told = replace(call, announced=True)
        return Decision(told, RingWhileDialing(call.attempt, words), drops_token=True)
    parked = replace(call, media=Media.TRANSFERRING, token_until=at + LEG_RING_TIMEOUT, leg_requested_at=at)
    return Decision(parked, RingWhileDialing(call.attempt), drops_token=True)


def mark_bridged(call: Call, at: float) -> Call:
    """A leg into WebRTC has answered, and is or will be at once connected with the phone."""
    return replace(
        call,
        media=Media.BRIDGED,
        token_until=0,
        bridged_at=call.bridged_at or at,
        leg_answered_at=at,
        leg_lost_at=0,
        answered_attempt=call.attempt,
    )


def await_join(call: Call, event: PhoneRequest) -> Decision:
    """Another webhook of the call is being worked on; past its lease the work is taken over."""
    if call.intent is not Intent.BRIDGE:
        return Decision(call, reply_for_intent(call))
    if (decision := _machine_decision(call, event)) is not None:
        return decision
    if event.at < call.lease_until:
        return Decision(call, Wait())
    return join(call, event)


def remember_event_time(call: Call, event: Event | PhoneRequest) -> Call:
    """What is answered to it is remembered, and what has happened before is late from now on."""
    at = getattr(event, "event_time", 0)
    return replace(call, leg_event_time=at) if at > call.leg_event_time else call


def is_late_copy(call: Call, event: Redirected) -> bool:
    """A copy of one that was answered before the phone came to its present leg: it has asked for nothing."""
    return 0 < event.event_time < call.leg_event_time


def transfer_again(call: Call, event: PhoneRequest) -> Decision:
    """The same reply again, as long as the token in it is good; then everything anew.

    A phone that is parked while our call into WebRTC rings asks from time to time.
    """
    if call.intent is not Intent.BRIDGE:
        return detach(call, event.at)
    if (decision := _machine_decision(call, event)) is not None:
        return decision
    if call.uses_bridge:
        parked = event.at < call.token_until and call.leg is not Leg.GONE
        again = Decision(remember_event_time(call, event), RingWhileDialing(call.attempt))
        return again if parked else fail(call, "transfer-failed", event.at)
    if event.at < call.token_until:
        words = "" if call.bridged_at else call.announcement
        return Decision(remember_event_time(call, event), TransferToWebRtc(call.attempt, words))
    return join(call, event)


def redirected_while_bridged(call: Call, event: Redirected) -> Decision:
    """A parked phone that is just being bridged goes on waiting for it; any other has lost its leg.

    One that was told to run the bridge itself has not done so: a copy of its webhook was answered before.
    """
    if (
        call.uses_bridge
        and call.intent is Intent.BRIDGE
        and event.at < call.leg_answered_at + BRIDGE_SETTLE_TIME
    ):
        asked = remember_event_time(call, event)
        if not call.phone_runs_bridge or call.leg is not Leg.UP:
            return Decision(asked, RingWhileDialing(call.attempt))
        first = call.bridged_at == call.leg_answered_at and not call.announced
        return Decision(asked, BridgeLeg(call.attempt, call.leg_id, call.announcement if first else ""))
    return carry_on(call, event) if is_late_copy(call, event) else follow_intent(call, event)


def carry_on(call: Call, _event: PhoneRequest) -> Decision:
    """A late copy of a webhook that was answered: nothing begins anew."""
    return Decision(call, reply_for_intent(call))


def wait(call: Call, _event: Event) -> Decision:
    return Decision(call, Wait())


# Digits -----------------------------------------------------------------------------------------------------


def pin_entered(call: Call, event: Gathered) -> Decision:
    """Into the room that they name; after so many that name none the caller is let go."""
    if call.intent is not Intent.PIN:
        return follow_intent(call, event)
    if event.pin_room:
        return join(replace(call, room=event.pin_room), event)
    tried = replace(call, pin_attempts=call.pin_attempts + 1)
    if tried.pin_attempts < event.wrong_pins.attempts_allowed(event.pin_attempts_allowed):
        return Decision(tried, GatherPin(after_wrong_pin=True))
    return _hang_up_for(tried, event, "wrong-pin")


def _hang_up_for(call: Call, event: PhoneRequest, failure: str) -> Decision:
    over = replace(call, intent=Intent.HANGUP, failure=failure)
    return Decision(over, reply_for_intent(over), effects=hang_up(over, event.at + HANG_UP_DELAY))
