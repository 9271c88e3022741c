"""A call begins, or its phone asks what to do."""

from typing import Final

from msgspec.structs import replace

from service.calls.decision import HANGUP_AFTER, Decision
from service.calls.effects import EndDialing, Owed
from service.calls.events import (
    Answer,
    Arrival,
    BridgeComplete,
    Dial,
    Disconnect,
    Event,
    Gathered,
    Initiate,
    LegAnswer,
    LegBridgeComplete,
    LegNoted,
    Line,
    Redirect,
    TransferAnswer,
    TransferComplete,
    TurnedAway,
)
from service.calls.model import Call, Direction, Intent, Leg, Media, Phone
from service.calls.outcomes import outcome_of, with_our_part
from service.calls.replies import (
    AskDigits,
    BridgeLeg,
    Hangup,
    Hold,
    Join,
    KeepTag,
    Nothing,
    Park,
    Reply,
    Transfer,
    Wait,
)
from service.calls.rules.machines import MACHINES, machine_answered
from service.calls.rules.parts import (
    REDIRECT,
    continuation,
    fail,
    hang_up,
    join,
    let_go,
    time_limit,
    time_to_hear,
)

LEG_RINGS: Final = 40.0
"""Seconds for which a phone is parked while our call into WebRTC, which rings for 30, is not answered."""
SETTLES: Final = 5.0
"""Seconds in which Bandwidth carries out what it has just been told about a bridge."""


# A call that is not known -----------------------------------------------------------------------------------


def begin(event: Event) -> Decision:
    """The first that we hear of a call."""
    match event:
        case Dial():
            return dial(event)
        case Initiate() | Answer() | Redirect() | Gathered() | BridgeComplete() | TurnedAway():
            return _arrive(event)
        case Disconnect():
            # A tombstone: the call's late first event finds it and makes nothing.
            gone = replace(
                _call(event, Phone.GONE),
                intent=Intent.HANGUP,
                ended_at=event.at,
                outcome=outcome_of(None, event),
            )
            return Decision(gone, Nothing())
        case LegNoted(keeps=tag) | TransferAnswer(tag=tag) if tag:
            # A call that the store has lost, or does not find for a moment, may be talking on it.
            return Decision(None, KeepTag(tag), note="call is not known")
        case TransferAnswer():
            return Decision(None, Hangup(), note="call is not known")
        case TransferComplete() | LegAnswer() | LegBridgeComplete():
            # There is a phone, or a leg of one. A phone that comes back is known by then, or begins anew.
            return Decision(None, Wait(), note="call is not known")
        case _:
            return Decision(None, Nothing(), note="call is not known")


def _arrive(event: Arrival) -> Decision:
    decision = _first(event)
    if decision.call is None or decision.call.intent is Intent.HANGUP:
        return decision
    return replace(decision, owed=(*decision.owed, *time_limit(decision.call, event.at)))


def _first(event: Arrival) -> Decision:
    new = replace(
        _call(event, Phone.UP if event.answered else Phone.RINGING),
        announcement=event.announcement,
        fallback=event.fallback,
        waits=event.waits,
        max_duration=event.limit,
        answered_at=event.at if event.answered and event.direction is Direction.OUTBOUND else 0,
        machine=event.machine if isinstance(event, Answer) else "",
    )
    asked = replace(new, intent=Intent.ASK, room="") if event.asks else new
    if event.closed:
        return _turn_away(asked, event)
    if isinstance(event, TurnedAway):
        return Decision(replace(asked, let_go_at=event.let_go_at), _was_told(event))
    if not event.asks:
        return join(new, event)
    if event.guesses.refused and not (isinstance(event, Gathered) and event.named):
        return _let_go_for(asked, event, "pin-guessing")
    return answer_digits(asked, event) if isinstance(event, Gathered) else Decision(asked, AskDigits())


def _turn_away(new: Call, event: Arrival) -> Decision:
    """No new calls are taken: the caller is told so, and let go."""
    over = replace(new, intent=Intent.HANGUP, failure="closed", farewell=event.closed)
    reply = _was_told(event) if isinstance(event, TurnedAway) else continuation(over)
    return Decision(over, reply, owed=hang_up(over, event.at + time_to_hear(over)))


def _call(event: Line, phone: Phone) -> Call:
    return Call(
        ref=event.ref,
        call_id=event.call_id,
        direction=event.direction,
        room=event.room,
        created_at=(event.since if isinstance(event, Arrival) else 0) or event.at,
        rounds=event.rounds if isinstance(event, Arrival) else 0,
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
        media=Media.MAKING if event.prepare_until else Media.READY,
        attempt=1,
        way=event.way,
        prepares=bool(event.prepare_until),
        lease_until=event.prepare_until,
        from_number=event.from_number,
        to_number=event.to_number,
        announcement=event.announcement,
        fallback=event.fallback,
        tag=event.tag,
        placed_by=event.placed_by,
        on_machine=event.on_machine,
        message=event.message,
        max_duration=event.max_duration,
        page_alone=event.page_alone,
    )
    reply = Join(1) if event.prepare_until else Nothing()
    return Decision(call, reply, owed=(Owed(EndDialing(call.ref), event.dial_until),))


def known(call: Call, event: TurnedAway) -> Decision:
    """It has come back by itself, or had been there before; or its end was written down first."""
    after = replace(
        call,
        created_at=min(call.created_at, event.since or event.at),
        rounds=max(call.rounds, event.rounds),
        let_go_at=call.let_go_at or event.let_go_at,
    )
    return Decision(after if call.live else with_our_part(after), _was_told(event))


def _was_told(event: TurnedAway) -> Reply:
    """For the timeline: nobody waits for it any more."""
    return Hangup() if event.let_go_at else Nothing()


# The phone asks what to do ----------------------------------------------------------------------------------


def follow_intent(call: Call, event: Arrival) -> Decision:
    if (decision := _by_machine(call, event)) is not None:
        return decision
    match call.intent:
        case Intent.ASK:
            return Decision(call, AskDigits(again=bool(call.tries)))
        case Intent.WAIT if event.at >= call.wait_until:
            return fail(call, "nobody-came", event.at)
        case Intent.BRIDGE | Intent.WAIT:
            return join(call, event)
        case Intent.HOLD if call.ends_soon:
            return Decision(replace(call, ends_soon=False), Hold(ends_soon=True), cancelled=(REDIRECT,))
        case Intent.HOLD | Intent.ELSEWHERE | Intent.HANGUP:
            return let_go(call, event.at)


def _by_machine(call: Call, event: Arrival) -> Decision | None:
    """What becomes of a call that a machine has answered; None where it is treated like a person."""
    found = isinstance(event, Answer) and event.machine in MACHINES
    return machine_answered(call, event.at) if found and call.intent is Intent.BRIDGE else None


def use_prepared(call: Call, event: Arrival) -> Decision:
    """The phone has answered, and its place in the room is kept."""
    if call.intent is not Intent.BRIDGE:
        return let_go(call, event.at)
    if (decision := _by_machine(call, event)) is not None:
        return decision
    if not call.participant_id:
        return join(call, event, keep_seat=True)
    if call.leg is Leg.GONE if call.own_leg else event.at >= call.token_until:
        return join(call, event)
    return enter(call, event.at)


def enter(call: Call, at: float) -> Decision:
    """By what is there: the participant, and the call into WebRTC if that is the way."""
    words = "" if call.bridged_at or call.announced else call.announcement
    if not call.own_leg:
        there = replace(call, media=Media.TRANSFERRING, transferred_at=at)
        return Decision(there, Transfer(call.attempt, words))
    if call.leg is Leg.UP:
        there = replace(bridged(call, at), phone_bridges=True)
        return Decision(there, BridgeLeg(call.attempt, call.leg_id, words), drops_token=True)
    if words:
        # A leg that answered meanwhile would cut it off: the phone asks again when it has heard it all.
        told = replace(call, announced=True)
        return Decision(told, Park(call.attempt, words), drops_token=True)
    parked = replace(call, media=Media.TRANSFERRING, token_until=at + LEG_RINGS, transferred_at=at)
    return Decision(parked, Park(call.attempt), drops_token=True)


def bridged(call: Call, at: float) -> Call:
    """A leg into WebRTC has answered, and is or will be at once connected with the phone."""
    return replace(
        call,
        media=Media.BRIDGED,
        token_until=0,
        bridged_at=call.bridged_at or at,
        leg_answered_at=at,
        broken_at=0,
        answered_attempt=call.attempt,
    )


def await_join(call: Call, event: Arrival) -> Decision:
    """Another webhook of the call is being worked on; past its lease the work is taken over."""
    if call.intent is not Intent.BRIDGE:
        return Decision(call, continuation(call))
    if (decision := _by_machine(call, event)) is not None:
        return decision
    if event.at < call.lease_until:
        return Decision(call, Wait())
    return join(call, event)


def told(call: Call, event: Event | Arrival) -> Call:
    """What is answered to it is remembered, and what has happened before is late from now on."""
    at = getattr(event, "told", 0)
    return replace(call, told_at=at) if at > call.told_at else call


def is_late(call: Call, event: Redirect) -> bool:
    """A copy of one that was answered before the phone came to its present leg: it has asked for nothing."""
    return 0 < event.told < call.told_at


def transfer_again(call: Call, event: Arrival) -> Decision:
    """The same reply again, as long as the token in it is good; then everything anew.

    A phone that is parked while our call into WebRTC rings asks from time to time.
    """
    if call.intent is not Intent.BRIDGE:
        return let_go(call, event.at)
    if (decision := _by_machine(call, event)) is not None:
        return decision
    if call.own_leg:
        parked = event.at < call.token_until and call.leg is not Leg.GONE
        again = Decision(told(call, event), Park(call.attempt))
        return again if parked else fail(call, "transfer-failed", event.at)
    if event.at < call.token_until:
        words = "" if call.bridged_at else call.announcement
        return Decision(told(call, event), Transfer(call.attempt, words))
    return join(call, event)


def ask_while_bridged(call: Call, event: Redirect) -> Decision:
    """A parked phone that is just being bridged goes on waiting for it; any other has lost its leg.

    One that was told to run the bridge itself has not done so: a copy of its webhook was answered before.
    """
    if call.own_leg and call.intent is Intent.BRIDGE and event.at < call.leg_answered_at + SETTLES:
        asked = told(call, event)
        if not call.phone_bridges or call.leg is not Leg.UP:
            return Decision(asked, Park(call.attempt))
        first = call.bridged_at == call.leg_answered_at and not call.announced
        return Decision(asked, BridgeLeg(call.attempt, call.leg_id, call.announcement if first else ""))
    return carry_on(call, event) if is_late(call, event) else follow_intent(call, event)


def carry_on(call: Call, _event: Arrival) -> Decision:
    """A late copy of a webhook that was answered: nothing begins anew."""
    return Decision(call, continuation(call))


def wait(call: Call, _event: Event) -> Decision:
    return Decision(call, Wait())


# Digits -----------------------------------------------------------------------------------------------------


def answer_digits(call: Call, event: Gathered) -> Decision:
    """Into the room that they name; after so many that name none the caller is let go."""
    if call.intent is not Intent.ASK:
        return follow_intent(call, event)
    if event.named:
        return join(replace(call, room=event.named), event)
    tried = replace(call, tries=call.tries + 1)
    if tried.tries < event.guesses.tries(event.asks):
        return Decision(tried, AskDigits(again=True))
    return _let_go_for(tried, event, "wrong-pin")


def _let_go_for(call: Call, event: Arrival, failure: str) -> Decision:
    over = replace(call, intent=Intent.HANGUP, failure=failure)
    return Decision(over, continuation(over), owed=hang_up(over, event.at + HANGUP_AFTER))
