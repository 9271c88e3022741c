"""What a call may do: one small function for each thing that can happen to it."""

from msgspec.structs import replace

from service.calls.decision import HANGUP_AFTER, Decision
from service.calls.effects import HangUp, LeaveRoom, Owed, RedirectPhone
from service.calls.events import (
    Answer,
    Arrival,
    Disconnect,
    Event,
    Initiate,
    Joined,
    JoinFailed,
    Line,
    ParticipantVanished,
    Redirect,
    TransferAnswer,
    TransferComplete,
    TransferDisconnect,
)
from service.calls.model import Call, Intent, Media, Phone, seat_of
from service.calls.outcomes import outcome_of
from service.calls.replies import (
    Apologise,
    Elsewhere,
    Hangup,
    Hold,
    Join,
    KeepTag,
    Nothing,
    Reply,
    Transfer,
    Wait,
)

_HANG_UP = "hang-up"


# A call that is not known ---------------------------------------------------------------------------------


def begin(event: Event) -> Decision:
    """The first that we hear of a call."""
    match event:
        case Initiate() | Answer() | Redirect():
            return _join(_call(event, Phone.RINGING), event)
        case Disconnect():
            # A tombstone: the call's late first event finds it and makes nothing.
            gone = replace(
                _call(event, Phone.GONE),
                intent=Intent.HANGUP,
                ended_at=event.at,
                outcome=outcome_of(None, event),
            )
            return Decision(gone, Nothing())
        case TransferAnswer() | TransferComplete():
            return Decision(None, Hangup(), note="call is not known")
        case _:
            return Decision(None, Nothing(), note="call is not known")


def _call(event: Line, phone: Phone) -> Call:
    return Call(
        ref=event.ref,
        call_id=event.call_id,
        direction=event.direction,
        room=event.room,
        created_at=event.at,
        phone=phone,
        from_number=event.from_number,
        to_number=event.to_number,
    )


# A call that is over, or past the attempt that an event belongs to ------------------------------------------


def after_the_end(call: Call, event: Event) -> Decision:
    """Nothing is begun for a phone that has gone; what an attempt has made meanwhile is taken down."""
    match event:
        case Joined() | JoinFailed():
            left = replace(call, media=Media.NONE) if event.attempt == call.attempt else call
            return Decision(left, Hangup(), owed=(_leave(call, event.attempt, event.at),), drops_token=True)
        case Initiate() | Answer() | Redirect() | TransferAnswer() | TransferComplete():
            return Decision(call, Hangup(), note="call has ended")
        case _:
            return Decision(call, Nothing(), note="call has ended")


def stale(call: Call, event: Event) -> Decision:
    match event:
        case Joined() | JoinFailed():
            return Decision(call, Wait(), owed=(_leave(call, event.attempt, event.at),), note="stale attempt")
        case TransferAnswer():
            return Decision(call, Hangup(), note="stale attempt")
        case TransferComplete():
            return Decision(call, _continuation(call), note="stale attempt")
        case _:
            return Decision(call, Nothing(), note="stale attempt")


# The phone asks what to do ----------------------------------------------------------------------------------


def follow_intent(call: Call, event: Arrival) -> Decision:
    if call.intent is Intent.BRIDGE:
        return _join(call, event)
    return _let_go(call, event.at)


def await_join(call: Call, event: Arrival) -> Decision:
    """Another webhook of the call is being worked on; past its lease the work is taken over."""
    if call.intent is not Intent.BRIDGE:
        return Decision(call, _continuation(call))
    if event.at < call.lease_until:
        return Decision(call, Wait())
    return _join(call, event)


def transfer_again(call: Call, event: Arrival) -> Decision:
    """The same reply again, as long as the token in it is good; then everything anew."""
    if call.intent is not Intent.BRIDGE:
        return _let_go(call, event.at)
    if event.at < call.token_until:
        return Decision(call, Transfer(call.attempt, call.announcement))
    return _join(call, event)


def carry_on(call: Call, _event: Arrival) -> Decision:
    """A late copy of a webhook that was answered: nothing begins anew."""
    return Decision(call, _continuation(call))


def wait(call: Call, _event: Event) -> Decision:
    return Decision(call, Wait())


def _join(call: Call, event: Arrival) -> Decision:
    """Begin a new attempt; the seat of the one before is given up."""
    given_up = _give_up_seat(call, event.at)
    joining = replace(
        call,
        phone=Phone.UP if event.answered else call.phone,
        media=Media.MAKING,
        attempt=call.attempt + 1,
        lease_until=event.lease_until,
        token_until=0,
        session_id="",
        participant_id="",
        leg_id="",
        announcement=event.announcement,
        fallback=call.fallback if call.attempt else event.fallback,
    )
    return Decision(joining, Join(joining.attempt), owed=given_up, cancelled=(_HANG_UP,), drops_token=True)


def _let_go(call: Call, at: float) -> Decision:
    """The phone is in no transfer any more, and goes on as is wanted of it."""
    if call.media is Media.NONE:
        return Decision(call, _continuation(call))
    return Decision(
        replace(call, media=Media.NONE),
        _continuation(call),
        owed=_give_up_seat(call, at),
        # Owed since the sound ended, in case nobody should ask; a call that goes on must not meet it.
        cancelled=() if call.intent is Intent.HANGUP else (_HANG_UP,),
        drops_token=True,
    )


def _continuation(call: Call) -> Reply:
    """What the phone hears next when it is not to be joined."""
    match call.intent:
        case Intent.HOLD:
            return Hold()
        case Intent.ELSEWHERE:
            return Elsewhere(call.attempt, call.elsewhere)
        case Intent.HANGUP:
            # Whom somebody else has talked to instead needs no apology.
            return Apologise(call.failure) if call.failure and not call.elsewhere else Hangup()
        case Intent.BRIDGE:
            return Wait()


# The join has an end ----------------------------------------------------------------------------------------


def transfer(call: Call, event: Joined) -> Decision:
    counted = _counted(call, event)
    if call.intent is not Intent.BRIDGE:
        return _not_wanted(counted, event)
    transferring = replace(
        counted,
        media=Media.TRANSFERRING,
        session_id=event.session_id,
        participant_id=event.participant_id,
        token_until=event.token_until,
    )
    return Decision(transferring, Transfer(call.attempt, call.announcement))


def fail_join(call: Call, event: JoinFailed) -> Decision:
    counted = _counted(call, event)
    if call.intent is not Intent.BRIDGE:
        return _not_wanted(counted, event)
    return _fail(counted, event.reason, event.at)


def _counted(call: Call, event: Joined | JoinFailed) -> Call:
    """What the join has cost, and the first one the caller."""
    return replace(
        call,
        requests=call.requests + event.requests,
        retries=call.retries + event.retries,
        silence_ms=call.silence_ms or event.silence_ms,
    )


def _not_wanted(call: Call, event: Joined | JoinFailed) -> Decision:
    """The call was meant for something else while the join was under way."""
    left = replace(call, media=Media.NONE)
    return Decision(left, _continuation(call), owed=(_leave(call, event.attempt, event.at),))


def _fail(call: Call, reason: str, at: float) -> Decision:
    """Tell the caller, or send them to the fallback number where there is one; only once."""
    leave = _give_up_seat(call, at)
    failed = replace(call, media=Media.NONE, failure=reason)
    if call.intent in {Intent.BRIDGE, Intent.ELSEWHERE} and call.fallback:
        away = replace(
            failed,
            intent=Intent.ELSEWHERE,
            elsewhere=call.fallback,
            fallback="",
            attempt=call.attempt + 1,
        )
        return Decision(away, _continuation(away), owed=leave, cancelled=(_HANG_UP,), drops_token=True)
    over = replace(failed, intent=Intent.HANGUP)
    return Decision(
        over, Apologise(reason), owed=(*leave, _hang_up(call, at + HANGUP_AFTER)), drops_token=True
    )


# The B leg --------------------------------------------------------------------------------------------------


def bridge(call: Call, event: TransferAnswer) -> Decision:
    if call.intent is not Intent.BRIDGE:
        return Decision(call, Hangup(), note="the call is meant for something else")
    bridged = replace(
        call,
        phone=Phone.UP,
        media=Media.BRIDGED,
        leg_id=event.leg_id,
        bridged_at=call.bridged_at or event.at,
        answered_attempt=call.attempt,
    )
    return Decision(bridged, KeepTag(event.tag or call.seat), drops_token=True)


def leave(call: Call, event: TransferDisconnect) -> Decision:
    """The sound has ended. The phone is asked about next, and hung up by request should nobody ask."""
    owed = [_leave(call, call.attempt, event.at)]
    if call.intent in {Intent.BRIDGE, Intent.HANGUP}:
        owed.append(_hang_up(call, event.at + HANGUP_AFTER))
    return Decision(replace(call, media=Media.LEAVING), Nothing(), owed=tuple(owed), drops_token=True)


def transfer_over(call: Call, event: TransferComplete) -> Decision:
    """The B leg is over and the phone asks what comes next."""
    match call.intent:
        case Intent.BRIDGE if call.answered_attempt == call.attempt or event.cause == "hangup":
            # Somebody hung up; also where the store has missed that the leg was answered.
            return _talked(call, event.at)
        case Intent.BRIDGE:
            return _fail(call, "transfer-failed", event.at)
        case Intent.ELSEWHERE if call.media is Media.NONE:
            return _elsewhere_over(call, event)
        case Intent.HOLD | Intent.ELSEWHERE | Intent.HANGUP:
            return _let_go(call, event.at)


def ask_after_transfer(call: Call, event: Redirect) -> Decision:
    """As `transfer_over`, for a phone whose transferComplete met a store that was down."""
    cause = "hangup" if call.answered_attempt == call.attempt else ""
    return transfer_over(call, TransferComplete(event.at, call.attempt, cause))


def _talked(call: Call, at: float) -> Decision:
    owed = (*_give_up_seat(call, at), _hang_up(call, at + HANGUP_AFTER))
    over = replace(call, media=Media.NONE, intent=Intent.HANGUP, bridged_at=call.bridged_at or at)
    return Decision(over, Hangup(), owed=owed, drops_token=True)


def _elsewhere_over(call: Call, event: TransferComplete) -> Decision:
    """The number that the caller was sent to is done with them, or did not answer."""
    over = replace(call, intent=Intent.HANGUP)
    if event.cause != "hangup":
        over = replace(over, elsewhere="", failure="transfer-failed")
    return Decision(over, _continuation(over), owed=(_hang_up(call, event.at + HANGUP_AFTER),))


def tell_vanished(call: Call, event: ParticipantVanished) -> Decision:
    """The caller talks to nobody: fetch the phone out of the transfer, tell it, and hang up."""
    over = replace(call, intent=Intent.HANGUP, failure="participant-vanished", media=Media.LEAVING)
    return Decision(
        over,
        Nothing(),
        owed=(
            _leave(call, call.attempt, event.at),
            Owed(RedirectPhone(call.call_id, call.ref, call.attempt), event.at),
            _hang_up(call, event.at + HANGUP_AFTER),
        ),
        drops_token=True,
    )


# The end ----------------------------------------------------------------------------------------------------


def end(call: Call, event: Disconnect) -> Decision:
    """The phone has gone, whatever the call was doing.

    A join under way gives its seat up itself when it is through; should its replica die, the effect that is
    owed for the end of its lease does it.
    """
    gone = replace(
        call,
        phone=Phone.GONE,
        media=Media.MAKING if call.media is Media.MAKING else Media.NONE,
        intent=Intent.HANGUP,
        ended_at=event.at,
        outcome=outcome_of(call, event),
    )
    due = max(call.lease_until, event.at) if call.media is Media.MAKING else event.at
    return Decision(
        gone,
        Nothing(),
        owed=_give_up_seat(call, due),
        cancelled=(_HANG_UP, "redirect-phone"),
        drops_token=True,
    )


def _give_up_seat(call: Call, due: float) -> tuple[Owed, ...]:
    """Owed once: a call that is leaving owes it already."""
    return () if call.media in {Media.NONE, Media.LEAVING} else (_leave(call, call.attempt, due),)


def _leave(call: Call, attempt: int, due: float) -> Owed:
    return Owed(LeaveRoom(call.room, seat_of(call.ref, attempt)), due)


def _hang_up(call: Call, due: float) -> Owed:
    return Owed(HangUp(call.call_id), due)
