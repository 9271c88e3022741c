"""Where the way into WebRTC is a second call of ours that is bridged with the phone's."""

import pytest

from service.calls.model import Blame, Intent, Leg, Media, Outcome, Phone, Status
from service.calls.replies import (
    BridgeLeg,
    BridgePhone,
    ErrorAndHangUp,
    HangUp,
    Hold,
    HoldLeg,
    NoReply,
    PendingJoin,
    RecordedReply,
    RingWhileDialing,
    TransferToNumber,
    Wait,
)
from service.calls.rules.arriving import BRIDGE_SETTLE_TIME, LEG_RING_TIMEOUT
from tests.calls.control_event_builders import (
    dial,
    leg_answer,
    leg_bridge_complete,
    leg_disconnect,
    order_hangup,
    order_hold,
    order_join,
    order_transfer,
    placed,
)
from tests.calls.event_builders import (
    CALL_ID,
    FALLBACK,
    LEASE,
    TOKEN_LIFE,
    answer,
    bridge_complete,
    disconnect,
    initiate,
    join_failed,
    joined,
    leg_id_of,
    participant_vanished,
    redirected,
    sample_call,
)
from tests.calls.expected_effects import (
    CANCELLED_AT_END,
    hang_up_leg,
    hang_up_phone,
    leave_room,
    redirect_phone,
)
from tests.calls.playbook import Playbook, play

LONG = 60.0


def parked(fallback: str = "") -> Playbook:
    """The phone waits for the leg."""
    return play().on(redirected(fallback_number=fallback)).on(joined(has_leg=True))


def bridged(fallback: str = "") -> Playbook:
    return parked(fallback).on(leg_answer())


def dialed() -> Playbook:
    """The leg waits for the phone."""
    return play().on(dial(is_early_join=True)).on(placed()).on(joined(has_leg=True)).on(leg_answer())


# Whichever comes second runs the bridge ---------------------------------------------------------------------


def test_the_leg_comes_second() -> None:
    story = (
        play().on(initiate()).on(joined(has_leg=True)).replies(RingWhileDialing(1)).expects().drops_token()
    )
    story.becomes(Status.TRANSFERRING, Media.TRANSFERRING)
    story.knows(leg_id=leg_id_of(1), uses_bridge=True, leg=Leg.NONE, token_until=story.at + LEG_RING_TIMEOUT)
    story.knows(leg_requested_at=story.at)
    story.on(leg_answer()).replies(BridgePhone(1, CALL_ID)).expects().becomes(Status.BRIDGED)
    story.knows(leg=Leg.UP, bridged_at=story.at, leg_answered_at=story.at, answered_attempt=1)
    story.on(leg_answer()).replies(HoldLeg(1)).expects().unchanged()


def test_the_phone_comes_second() -> None:
    story = play().on(dial(is_early_join=True)).on(placed()).on(joined(has_leg=True)).replies(NoReply())
    story.becomes(Status.DIALING, Media.READY).on(leg_answer()).replies(HoldLeg(1)).expects()
    story.becomes(Media.READY).knows(leg=Leg.UP, bridged_at=0)
    story.on(answer()).replies(BridgeLeg(1, leg_id_of(1))).drops_token().becomes(Status.BRIDGED)
    story.knows(bridged_at=story.at, leg_answered_at=story.at)


def test_the_leg_is_answered_before_the_join_is_through() -> None:
    story = play().on(redirected()).on(leg_answer()).replies(HoldLeg(1)).becomes(Media.JOINING)
    story.knows(leg=Leg.UP, uses_bridge=True, leg_id=leg_id_of(1))
    story.on(joined(has_leg=True)).replies(BridgeLeg(1, leg_id_of(1))).becomes(Status.BRIDGED)


def test_both_are_answered_while_the_participant_is_prepared() -> None:
    story = play().on(dial(is_early_join=True)).on(placed()).on(answer()).replies(Wait()).on(leg_answer())
    story.replies(HoldLeg(1)).on(joined(has_leg=True)).replies(Wait()).becomes(Media.READY)
    story.on(redirected()).replies(BridgeLeg(1, leg_id_of(1)))


def test_a_parked_leg_asks_from_time_to_time() -> None:
    dialed().on(leg_answer(), after=LONG).replies(HoldLeg(1)).expects().unchanged()


def test_a_parked_phone_asks_from_time_to_time() -> None:
    parked().on(redirected(), after=10).replies(RingWhileDialing(1)).expects().unchanged()


def test_a_leg_does_not_ring_for_ever() -> None:
    story = parked().on(redirected(), after=LEG_RING_TIMEOUT - 0.1).replies(RingWhileDialing(1))
    story.on(redirected(), after=0.1).replies(ErrorAndHangUp("transfer-failed"))
    story.expects(leave_room(1), hang_up_leg(after=0), hang_up_phone(after=30))


def test_a_parked_phone_that_asks_while_it_is_being_bridged_goes_on_waiting_for_it() -> None:
    story = (
        bridged()
        .on(redirected(), after=BRIDGE_SETTLE_TIME - 0.1)
        .replies(RingWhileDialing(1))
        .expects()
        .unchanged()
    )
    story.on(redirected(), after=0.1).joins(2).expects(leave_room(1), hang_up_leg())


def test_a_phone_that_was_to_run_the_bridge_and_asks_is_told_once_more() -> None:
    """Its webhook came twice, and the copy that counted was the one that was told to wait."""
    story = dialed().on(answer()).replies(BridgeLeg(1, leg_id_of(1))).knows(phone_runs_bridge=True)
    story.on(redirected(), after=BRIDGE_SETTLE_TIME - 0.1).replies(
        BridgeLeg(1, leg_id_of(1))
    ).expects().unchanged()
    story.on(redirected(), after=0.1).joins(2).knows(phone_runs_bridge=False)
    story = (
        play()
        .on(redirected(announcement="Welcome."))
        .on(leg_answer())
        .on(joined(has_leg=True))
        .on(redirected())
    )
    story.replies(BridgeLeg(1, leg_id_of(1), "Welcome."))
    story.on(bridge_complete(), after=LONG).on(leg_answer(2)).on(joined(2, has_leg=True)).on(redirected())
    story.replies(BridgeLeg(2, leg_id_of(2)))
    dialed().on(answer()).on(order_hold()).knows(phone_runs_bridge=False)


def test_an_announcement_is_not_cut_off_by_the_leg() -> None:
    story = (
        play()
        .on(redirected(announcement="Welcome."))
        .on(joined(has_leg=True))
        .replies(RingWhileDialing(1, "Welcome."))
    )
    story.drops_token().becomes(Media.READY, Status.JOINING).on(leg_answer()).replies(HoldLeg(1))
    story.on(redirected()).replies(BridgeLeg(1, leg_id_of(1))).becomes(Status.BRIDGED)
    story = (
        play()
        .on(redirected(announcement="Welcome."))
        .on(joined(has_leg=True))
        .on(redirected())
        .replies(RingWhileDialing(1))
    )
    story.becomes(Media.TRANSFERRING).on(leg_answer()).replies(BridgePhone(1, CALL_ID))


def test_an_announcement_is_heard_before_a_leg_that_is_there_already() -> None:
    story = play().on(redirected(announcement="Welcome.")).on(leg_answer()).on(joined(has_leg=True))
    story.replies(BridgeLeg(1, leg_id_of(1), "Welcome."))


def test_a_token_that_its_leg_has_taken_does_not_expire() -> None:
    dialed().on(answer(), after=TOKEN_LIFE).replies(BridgeLeg(1, leg_id_of(1)))


# The leg is lost --------------------------------------------------------------------------------------------


def test_a_leg_that_is_refused_earns_one_join_more() -> None:
    """Its participant may just have been on its way into the session that replaces its room's."""
    story = parked().on(leg_disconnect(cause="rejected")).replies(NoReply())
    story.expects(leave_room(1), redirect_phone(1)).becomes(Media.NONE, Intent.BRIDGE).knows(failure="")
    story.on(redirected()).joins(2).on(joined(2, has_leg=True)).replies(RingWhileDialing(2))
    story.on(leg_disconnect(2, "rejected")).expects(redirect_phone(2))
    story.on(redirected()).replies(ErrorAndHangUp("transfer-failed"))


def test_a_leg_that_is_not_answered_is_a_failed_transfer() -> None:
    story = parked().on(leg_disconnect(cause="timeout")).replies(NoReply()).expects(redirect_phone(1))
    story.becomes(Media.TRANSFERRING).knows(leg=Leg.GONE)
    story.on(redirected()).replies(ErrorAndHangUp("transfer-failed")).expects(
        leave_room(1), hang_up_phone(after=30)
    )
    story.on(disconnect()).knows(outcome=Outcome(Blame.BANDWIDTH, "transfer-failed", cause="hangup"))


def test_a_leg_that_is_refused_leads_to_the_fallback_number() -> None:
    story = (
        parked(FALLBACK)
        .on(leg_disconnect())
        .on(redirected())
        .replies(TransferToNumber(2, FALLBACK, diverted=True))
    )
    story.expects(leave_room(1)).cancels("hang-up")


def test_a_leg_that_is_refused_before_the_join_is_through() -> None:
    story = play().on(redirected()).on(leg_disconnect(cause="rejected")).expects().becomes(Media.JOINING)
    story.on(joined(has_leg=True)).replies(ErrorAndHangUp("transfer-failed")).expects(
        leave_room(1), hang_up_phone(after=30)
    )


def test_the_answer_of_a_leg_that_has_ended_is_too_late() -> None:
    story = parked().on(leg_disconnect()).on(leg_answer()).replies(HangUp()).expects().unchanged()
    story.notes("the leg has ended")


def test_a_phone_that_was_bridged_outlives_its_leg_and_is_joined_again() -> None:
    story = (
        bridged().on(leg_disconnect(), after=LONG).replies(NoReply()).becomes(Media.LEAVING, Intent.BRIDGE)
    )
    story.expects(leave_room(1), redirect_phone(1, after=BRIDGE_SETTLE_TIME)).knows(leg=Leg.GONE)
    story.on(bridge_complete()).joins(2).expects().cancels("hang-up", "redirect-phone")
    story.on(joined(2, has_leg=True)).replies(RingWhileDialing(2)).on(leg_answer(2)).replies(
        BridgePhone(2, CALL_ID)
    )
    story.becomes(Status.BRIDGED).knows(short_legs=0)


def test_a_phone_that_bandwidth_does_not_ask_is_asked_by_request() -> None:
    bridged().on(leg_disconnect(), after=LONG).on(redirected()).joins(2).expects()


def test_the_phone_says_first_that_the_bridge_is_over() -> None:
    story = bridged().on(bridge_complete(), after=LONG).joins(2).expects(leave_room(1), hang_up_leg())
    story.on(leg_disconnect(1)).expects().unchanged().notes("stale attempt")
    story.on(leg_bridge_complete(1)).replies(HangUp()).unchanged()
    story.on(bridge_complete(1)).replies(Wait()).unchanged()


def test_short_legs_are_not_tried_for_ever() -> None:
    story = bridged()
    for attempt in (1, 2):
        story.on(leg_disconnect(attempt)).on(bridge_complete(attempt)).joins(attempt + 1)
        story.on(joined(attempt + 1, has_leg=True)).on(leg_answer(attempt + 1)).becomes(Status.BRIDGED)
    story.on(leg_disconnect(3)).on(bridge_complete(3)).replies(ErrorAndHangUp("transfer-failed"))
    story.expects(hang_up_phone(after=30)).becomes(Intent.HANGUP)


@pytest.mark.parametrize(
    ("waits", "outcome"),
    [
        (2.0, Outcome(Blame.NOBODY, "completed", cause="hangup")),
        (2.1, Outcome(Blame.BANDWIDTH, "transfer-failed", cause="hangup")),
    ],
)
def test_who_hangs_up_while_a_new_leg_is_awaited_has_lost_the_one_before(
    waits: float, outcome: Outcome
) -> None:
    story = bridged().on(bridge_complete(), after=LONG).joins(2)
    story.on(disconnect(), after=waits).knows(outcome=outcome)


def test_a_leg_that_was_talked_on_begins_the_count_anew() -> None:
    story = bridged().on(bridge_complete()).knows(short_legs=1).on(joined(2, has_leg=True)).on(leg_answer(2))
    story.on(bridge_complete(2), after=LONG).joins(3).knows(short_legs=0)


@pytest.mark.parametrize(("lasts", "short_legs"), [(4.9, 1), (5.0, 0)])
def test_five_seconds_are_long_enough(lasts: float, short_legs: int) -> None:
    bridged().on(bridge_complete(), after=lasts).joins(2).knows(short_legs=short_legs)


@pytest.mark.parametrize(
    ("media", "reply"),
    [
        (Media.NONE, PendingJoin(2)),
        (Media.JOINING, Wait()),
        (Media.READY, RingWhileDialing(1)),
        (Media.TRANSFERRING, PendingJoin(2)),
    ],
)
def test_a_bridge_is_over_that_was_not_known_to_have_begun(media: Media, reply: RecordedReply) -> None:
    """As any phone that asks, but for one that is parked: its leg has come and gone."""
    play(sample_call(media, leg=Leg.NONE)).on(bridge_complete()).replies(reply)


# Bridging fails ---------------------------------------------------------------------------------------------


def test_the_leg_could_not_be_bridged_with_the_phone() -> None:
    story = bridged().on(leg_bridge_complete(cause="busy")).replies(HangUp()).becomes(Media.LEAVING)
    story.expects(leave_room(1), redirect_phone(1))
    story.on(redirected()).joins(2).expects(hang_up_leg()).knows(short_legs=1)


def test_the_phone_could_not_be_bridged_with_the_leg() -> None:
    story = dialed().on(answer()).on(bridge_complete(cause="rejected")).joins(2)
    story.expects(leave_room(1), hang_up_leg()).knows(short_legs=1)


# The call ends ----------------------------------------------------------------------------------------------


def test_the_phone_hangs_up() -> None:
    story = bridged().on(leg_bridge_complete(), after=LONG).replies(HangUp()).expects().unchanged()
    story.on(disconnect()).expects(leave_room(1), hang_up_leg()).cancels(*CANCELLED_AT_END).becomes(
        Status.ENDED
    )
    story.knows(outcome=Outcome(Blame.NOBODY, "completed", cause="hangup"), leg=Leg.GONE)
    story.on(leg_disconnect()).expects().unchanged()
    story.on(leg_answer()).replies(HangUp()).unchanged().on(bridge_complete()).replies(HangUp()).unchanged()


def test_a_leg_that_ends_with_the_phone_does_not_call_it_back() -> None:
    bridged().on(leg_disconnect(), after=LONG).on(disconnect()).expects().cancels(*CANCELLED_AT_END)


def test_the_phone_hangs_up_while_the_leg_rings() -> None:
    parked().on(disconnect()).expects(leave_room(1), hang_up_leg(after=0))


def test_the_phone_hangs_up_while_the_leg_is_asked_for() -> None:
    story = play().on(redirected()).on(disconnect()).expects(leave_room(1, after=LEASE - 1))
    story.on(leg_answer()).replies(HangUp()).unchanged()
    story.on(joined(has_leg=True)).replies(HangUp()).expects(leave_room(1), hang_up_leg(after=0))


def test_the_phone_hangs_up_with_a_leg_that_was_answered_before_the_join_was_through() -> None:
    story = play().on(redirected()).on(leg_answer()).on(disconnect())
    story.expects(leave_room(1, after=LEASE - 2), hang_up_leg())


def test_the_participant_vanishes() -> None:
    story = (
        bridged()
        .on(participant_vanished())
        .expects(leave_room(1), hang_up_leg(), redirect_phone(2), hang_up_phone(after=30))
    )
    story.on(bridge_complete()).replies(Wait())
    story.on(redirected()).replies(ErrorAndHangUp("participant-vanished"))


# Joins that come to nothing ---------------------------------------------------------------------------------


def test_a_leg_whose_request_was_not_answered_in_time_is_hung_up() -> None:
    story = play().on(redirected()).on(leg_answer()).on(join_failed())
    story.expects(leave_room(1), hang_up_leg(), hang_up_phone(after=30))
    play().on(redirected()).on(join_failed()).on(leg_answer()).replies(HangUp()).expects().unchanged()


def test_a_replica_that_dies_leaves_no_leg_behind() -> None:
    story = play().on(redirected()).on(leg_answer()).on(redirected(), after=LEASE).joins(2)
    story.expects(leave_room(1), hang_up_leg()).on(joined(1, has_leg=True))
    story.expects(leave_room(1), hang_up_leg(after=0))
    story.on(leg_answer(1)).replies(HangUp()).unchanged()


# Prepared while the phone rings -----------------------------------------------------------------------------


def test_a_leg_that_is_lost_while_the_phone_rings_is_made_anew() -> None:
    story = (
        dialed()
        .on(leg_disconnect())
        .replies(NoReply())
        .expects(leave_room(1))
        .becomes(Status.DIALING, Media.NONE)
    )
    story.on(answer()).joins(2).expects()


def test_a_leg_that_was_lost_before_its_preparation_was_through_is_made_anew() -> None:
    story = play().on(dial(is_early_join=True)).on(placed()).on(leg_disconnect()).on(joined(has_leg=True))
    story.becomes(Media.READY).on(answer()).joins(2).expects(leave_room(1))


def test_the_participant_of_a_waiting_leg_vanishes() -> None:
    story = (
        dialed()
        .on(participant_vanished())
        .expects(leave_room(1), hang_up_leg())
        .becomes(Status.DIALING, Media.NONE)
    )
    story.on(answer()).joins(2)


def test_a_preparation_that_fails_leaves_no_leg_behind() -> None:
    play().on(dial(is_early_join=True)).on(leg_answer()).on(join_failed()).expects(
        leave_room(1), hang_up_leg()
    )


def test_a_leg_waits_for_a_phone_that_never_answers() -> None:
    dialed().on(disconnect("timeout")).expects(leave_room(1), hang_up_leg()).becomes(Status.ENDED)


def test_a_leg_that_has_ended_is_not_hung_up() -> None:
    for after in (bridged().on(disconnect()), bridged().on(order_hold())):
        after.expects(
            leave_room(1), hang_up_leg(), *([] if after.call.phone is Phone.GONE else [redirect_phone(2)])
        )
        after.on(leg_disconnect(1)).expects().cancels(f"hang-up-leg:{leg_id_of(1)}")


# Orders -----------------------------------------------------------------------------------------------------


def test_every_order_hangs_up_the_leg_that_it_ends() -> None:
    bridged().on(order_hold()).expects(leave_room(1), hang_up_leg(), redirect_phone(2))
    bridged().on(order_transfer()).expects(leave_room(1), hang_up_leg(), redirect_phone(2))
    bridged().on(order_hangup()).expects(leave_room(1), hang_up_leg(), hang_up_phone())
    parked().on(order_join()).expects(leave_room(1), hang_up_leg(after=0), redirect_phone(2))
    dialed().on(order_join()).expects(leave_room(1), hang_up_leg())


def test_on_hold_the_end_of_the_bridge_is_no_reason_to_join_again() -> None:
    story = bridged().on(order_hold()).on(bridge_complete()).replies(Wait()).unchanged()
    story.on(redirected()).replies(Hold())
    story.on(leg_answer()).replies(HangUp()).unchanged()
    story.on(leg_bridge_complete()).replies(HangUp()).unchanged()


def test_a_leg_for_a_phone_that_is_meant_for_something_else_is_let_go() -> None:
    story = play(sample_call(Media.BRIDGED, Intent.HOLD, leg=Leg.UP)).on(leg_answer()).replies(HangUp())
    story.unchanged().notes("the call is meant for something else")


@pytest.mark.parametrize("intent", [Intent.HOLD, Intent.TRANSFER, Intent.HANGUP])
@pytest.mark.parametrize("media", [Media.BRIDGED, Media.LEAVING])
def test_out_of_the_bridge_the_phone_goes_on_as_is_wanted_of_it(intent: Intent, media: Media) -> None:
    story = play(sample_call(media, intent, leg=Leg.UP)).on(leg_answer())
    story.replies(HangUp()).unchanged().on(bridge_complete()).becomes(Media.NONE, intent, Phone.UP)
    story.expects(*([leave_room(1)] if media is Media.BRIDGED else []), hang_up_leg())
    play(sample_call(Media.LEAVING, intent, leg=Leg.UP)).on(redirected()).becomes(Media.NONE, intent)
