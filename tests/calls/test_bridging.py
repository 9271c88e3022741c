"""Where the way into WebRTC is a second call of ours that is bridged with the phone's."""

import pytest

from service.calls.model import Blame, Intent, Leg, Media, Outcome, Phone, Status
from service.calls.replies import (
    Apologise,
    BridgeLeg,
    BridgePhone,
    Elsewhere,
    Hangup,
    Hold,
    Join,
    Nothing,
    Park,
    ParkLeg,
    Reply,
    Wait,
)
from service.calls.rules.arriving import LEG_RINGS, SETTLES
from tests.calls.event_builders import (
    CALL_ID,
    FALLBACK,
    LEASE,
    TOKEN_LIFE,
    a_call,
    answer,
    bridge_complete,
    disconnect,
    initiate,
    join_failed,
    joined,
    leg_of,
    redirect,
    vanished,
)
from tests.calls.expected_effects import AT_THE_END, hang_up, hang_up_leg, leave, redirect_phone
from tests.calls.playbook import Playbook, play
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

LONG = 60.0


def parked(fallback: str = "") -> Playbook:
    """The phone waits for the leg."""
    return play().on(redirect(fallback=fallback)).on(joined(leg=True))


def bridged(fallback: str = "") -> Playbook:
    return parked(fallback).on(leg_answer())


def dialed() -> Playbook:
    """The leg waits for the phone."""
    return play().on(dial(prepare=True)).on(placed()).on(joined(leg=True)).on(leg_answer())


# Whichever comes second runs the bridge ---------------------------------------------------------------------


def test_the_leg_comes_second() -> None:
    story = play().on(initiate()).on(joined(leg=True)).replies(Park(1)).expects().drops_token()
    story.becomes(Status.TRANSFERRING, Media.TRANSFERRING)
    story.knows(leg_id=leg_of(1), own_leg=True, leg=Leg.NONE, token_until=story.at + LEG_RINGS)
    story.knows(transferred_at=story.at)
    story.on(leg_answer()).replies(BridgePhone(1, CALL_ID)).expects().becomes(Status.BRIDGED)
    story.knows(leg=Leg.UP, bridged_at=story.at, leg_answered_at=story.at, answered_attempt=1)
    story.on(leg_answer()).replies(ParkLeg(1)).expects().unchanged()


def test_the_phone_comes_second() -> None:
    story = play().on(dial(prepare=True)).on(placed()).on(joined(leg=True)).replies(Nothing())
    story.becomes(Status.DIALING, Media.READY).on(leg_answer()).replies(ParkLeg(1)).expects()
    story.becomes(Media.READY).knows(leg=Leg.UP, bridged_at=0)
    story.on(answer()).replies(BridgeLeg(1, leg_of(1))).drops_token().becomes(Status.BRIDGED)
    story.knows(bridged_at=story.at, leg_answered_at=story.at)


def test_the_leg_is_answered_before_the_join_is_through() -> None:
    story = play().on(redirect()).on(leg_answer()).replies(ParkLeg(1)).becomes(Media.MAKING)
    story.knows(leg=Leg.UP, own_leg=True, leg_id=leg_of(1))
    story.on(joined(leg=True)).replies(BridgeLeg(1, leg_of(1))).becomes(Status.BRIDGED)


def test_both_are_answered_while_the_participant_is_prepared() -> None:
    story = play().on(dial(prepare=True)).on(placed()).on(answer()).replies(Wait()).on(leg_answer())
    story.replies(ParkLeg(1)).on(joined(leg=True)).replies(Wait()).becomes(Media.READY)
    story.on(redirect()).replies(BridgeLeg(1, leg_of(1)))


def test_a_parked_leg_asks_from_time_to_time() -> None:
    dialed().on(leg_answer(), after=LONG).replies(ParkLeg(1)).expects().unchanged()


def test_a_parked_phone_asks_from_time_to_time() -> None:
    parked().on(redirect(), after=10).replies(Park(1)).expects().unchanged()


def test_a_leg_does_not_ring_for_ever() -> None:
    story = parked().on(redirect(), after=LEG_RINGS - 0.1).replies(Park(1))
    story.on(redirect(), after=0.1).replies(Apologise("transfer-failed"))
    story.expects(leave(1), hang_up_leg(after=0), hang_up(after=30))


def test_a_parked_phone_that_asks_while_it_is_being_bridged_goes_on_waiting_for_it() -> None:
    story = bridged().on(redirect(), after=SETTLES - 0.1).replies(Park(1)).expects().unchanged()
    story.on(redirect(), after=0.1).replies(Join(2)).expects(leave(1), hang_up_leg())


def test_a_phone_that_was_to_run_the_bridge_and_asks_is_told_once_more() -> None:
    """Its webhook came twice, and the copy that counted was the one that was told to wait."""
    story = dialed().on(answer()).replies(BridgeLeg(1, leg_of(1))).knows(phone_bridges=True)
    story.on(redirect(), after=SETTLES - 0.1).replies(BridgeLeg(1, leg_of(1))).expects().unchanged()
    story.on(redirect(), after=0.1).replies(Join(2)).knows(phone_bridges=False)
    story = play().on(redirect(announcement="Welcome.")).on(leg_answer()).on(joined(leg=True)).on(redirect())
    story.replies(BridgeLeg(1, leg_of(1), "Welcome."))
    story.on(bridge_complete(), after=LONG).on(leg_answer(2)).on(joined(2, leg=True)).on(redirect())
    story.replies(BridgeLeg(2, leg_of(2)))
    dialed().on(answer()).on(order_hold()).knows(phone_bridges=False)


def test_an_announcement_is_not_cut_off_by_the_leg() -> None:
    story = play().on(redirect(announcement="Welcome.")).on(joined(leg=True)).replies(Park(1, "Welcome."))
    story.drops_token().becomes(Media.READY, Status.JOINING).on(leg_answer()).replies(ParkLeg(1))
    story.on(redirect()).replies(BridgeLeg(1, leg_of(1))).becomes(Status.BRIDGED)
    story = play().on(redirect(announcement="Welcome.")).on(joined(leg=True)).on(redirect()).replies(Park(1))
    story.becomes(Media.TRANSFERRING).on(leg_answer()).replies(BridgePhone(1, CALL_ID))


def test_an_announcement_is_heard_before_a_leg_that_is_there_already() -> None:
    story = play().on(redirect(announcement="Welcome.")).on(leg_answer()).on(joined(leg=True))
    story.replies(BridgeLeg(1, leg_of(1), "Welcome."))


def test_a_token_that_its_leg_has_taken_does_not_expire() -> None:
    dialed().on(answer(), after=TOKEN_LIFE).replies(BridgeLeg(1, leg_of(1)))


# The leg is lost --------------------------------------------------------------------------------------------


def test_a_leg_that_is_refused_earns_one_join_more() -> None:
    """Its participant may just have been on its way into the session that replaces its room's."""
    story = parked().on(leg_disconnect(cause="rejected")).replies(Nothing())
    story.expects(leave(1), redirect_phone(1)).becomes(Media.NONE, Intent.BRIDGE).knows(failure="")
    story.on(redirect()).replies(Join(2)).on(joined(2, leg=True)).replies(Park(2))
    story.on(leg_disconnect(2, "rejected")).expects(redirect_phone(2))
    story.on(redirect()).replies(Apologise("transfer-failed"))


def test_a_leg_that_is_not_answered_is_a_failed_transfer() -> None:
    story = parked().on(leg_disconnect(cause="timeout")).replies(Nothing()).expects(redirect_phone(1))
    story.becomes(Media.TRANSFERRING).knows(leg=Leg.GONE)
    story.on(redirect()).replies(Apologise("transfer-failed")).expects(leave(1), hang_up(after=30))
    story.on(disconnect()).knows(outcome=Outcome(Blame.BANDWIDTH, "transfer-failed", cause="hangup"))


def test_a_leg_that_is_refused_leads_to_the_fallback_number() -> None:
    story = (
        parked(FALLBACK).on(leg_disconnect()).on(redirect()).replies(Elsewhere(2, FALLBACK, diverted=True))
    )
    story.expects(leave(1)).cancels("hang-up")


def test_a_leg_that_is_refused_before_the_join_is_through() -> None:
    story = play().on(redirect()).on(leg_disconnect(cause="rejected")).expects().becomes(Media.MAKING)
    story.on(joined(leg=True)).replies(Apologise("transfer-failed")).expects(leave(1), hang_up(after=30))


def test_the_answer_of_a_leg_that_has_ended_is_too_late() -> None:
    story = parked().on(leg_disconnect()).on(leg_answer()).replies(Hangup()).expects().unchanged()
    story.notes("the leg has ended")


def test_a_phone_that_was_bridged_outlives_its_leg_and_is_joined_again() -> None:
    story = (
        bridged().on(leg_disconnect(), after=LONG).replies(Nothing()).becomes(Media.LEAVING, Intent.BRIDGE)
    )
    story.expects(leave(1), redirect_phone(1, after=SETTLES)).knows(leg=Leg.GONE)
    story.on(bridge_complete()).replies(Join(2)).expects().cancels("hang-up", "redirect-phone")
    story.on(joined(2, leg=True)).replies(Park(2)).on(leg_answer(2)).replies(BridgePhone(2, CALL_ID))
    story.becomes(Status.BRIDGED).knows(short_legs=0)


def test_a_phone_that_bandwidth_does_not_ask_is_asked_by_request() -> None:
    bridged().on(leg_disconnect(), after=LONG).on(redirect()).replies(Join(2)).expects()


def test_the_phone_says_first_that_the_bridge_is_over() -> None:
    story = bridged().on(bridge_complete(), after=LONG).replies(Join(2)).expects(leave(1), hang_up_leg())
    story.on(leg_disconnect(1)).expects().unchanged().notes("stale attempt")
    story.on(leg_bridge_complete(1)).replies(Hangup()).unchanged()
    story.on(bridge_complete(1)).replies(Wait()).unchanged()


def test_short_legs_are_not_tried_for_ever() -> None:
    story = bridged()
    for attempt in (1, 2):
        story.on(leg_disconnect(attempt)).on(bridge_complete(attempt)).replies(Join(attempt + 1))
        story.on(joined(attempt + 1, leg=True)).on(leg_answer(attempt + 1)).becomes(Status.BRIDGED)
    story.on(leg_disconnect(3)).on(bridge_complete(3)).replies(Apologise("transfer-failed"))
    story.expects(hang_up(after=30)).becomes(Intent.HANGUP)


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
    story = bridged().on(bridge_complete(), after=LONG).replies(Join(2))
    story.on(disconnect(), after=waits).knows(outcome=outcome)


def test_a_leg_that_was_talked_on_begins_the_count_anew() -> None:
    story = bridged().on(bridge_complete()).knows(short_legs=1).on(joined(2, leg=True)).on(leg_answer(2))
    story.on(bridge_complete(2), after=LONG).replies(Join(3)).knows(short_legs=0)


@pytest.mark.parametrize(("lasts", "short_legs"), [(4.9, 1), (5.0, 0)])
def test_five_seconds_are_long_enough(lasts: float, short_legs: int) -> None:
    bridged().on(bridge_complete(), after=lasts).replies(Join(2)).knows(short_legs=short_legs)


@pytest.mark.parametrize(
    ("media", "reply"),
    [(Media.NONE, Join(2)), (Media.MAKING, Wait()), (Media.READY, Park(1)), (Media.TRANSFERRING, Join(2))],
)
def test_a_bridge_is_over_that_was_not_known_to_have_begun(media: Media, reply: Reply) -> None:
    """As any phone that asks, but for one that is parked: its leg has come and gone."""
    play(a_call(media, leg=Leg.NONE)).on(bridge_complete()).replies(reply)


# Bridging fails ---------------------------------------------------------------------------------------------


def test_the_leg_could_not_be_bridged_with_the_phone() -> None:
    story = bridged().on(leg_bridge_complete(cause="busy")).replies(Hangup()).becomes(Media.LEAVING)
    story.expects(leave(1), redirect_phone(1))
    story.on(redirect()).replies(Join(2)).expects(hang_up_leg()).knows(short_legs=1)


def test_the_phone_could_not_be_bridged_with_the_leg() -> None:
    story = dialed().on(answer()).on(bridge_complete(cause="rejected")).replies(Join(2))
    story.expects(leave(1), hang_up_leg()).knows(short_legs=1)


# The call ends ----------------------------------------------------------------------------------------------


def test_the_phone_hangs_up() -> None:
    story = bridged().on(leg_bridge_complete(), after=LONG).replies(Hangup()).expects().unchanged()
    story.on(disconnect()).expects(leave(1), hang_up_leg()).cancels(*AT_THE_END).becomes(Status.ENDED)
    story.knows(outcome=Outcome(Blame.NOBODY, "completed", cause="hangup"), leg=Leg.GONE)
    story.on(leg_disconnect()).expects().unchanged()
    story.on(leg_answer()).replies(Hangup()).unchanged().on(bridge_complete()).replies(Hangup()).unchanged()


def test_a_leg_that_ends_with_the_phone_does_not_call_it_back() -> None:
    bridged().on(leg_disconnect(), after=LONG).on(disconnect()).expects().cancels(*AT_THE_END)


def test_the_phone_hangs_up_while_the_leg_rings() -> None:
    parked().on(disconnect()).expects(leave(1), hang_up_leg(after=0))


def test_the_phone_hangs_up_while_the_leg_is_asked_for() -> None:
    story = play().on(redirect()).on(disconnect()).expects(leave(1, after=LEASE - 1))
    story.on(leg_answer()).replies(Hangup()).unchanged()
    story.on(joined(leg=True)).replies(Hangup()).expects(leave(1), hang_up_leg(after=0))


def test_the_phone_hangs_up_with_a_leg_that_was_answered_before_the_join_was_through() -> None:
    story = play().on(redirect()).on(leg_answer()).on(disconnect())
    story.expects(leave(1, after=LEASE - 2), hang_up_leg())


def test_the_participant_vanishes() -> None:
    story = bridged().on(vanished()).expects(leave(1), hang_up_leg(), redirect_phone(2), hang_up(after=30))
    story.on(bridge_complete()).replies(Wait())
    story.on(redirect()).replies(Apologise("participant-vanished"))


# Joins that come to nothing ---------------------------------------------------------------------------------


def test_a_leg_whose_request_was_not_answered_in_time_is_hung_up() -> None:
    story = play().on(redirect()).on(leg_answer()).on(join_failed())
    story.expects(leave(1), hang_up_leg(), hang_up(after=30))
    play().on(redirect()).on(join_failed()).on(leg_answer()).replies(Hangup()).expects().unchanged()


def test_a_replica_that_dies_leaves_no_leg_behind() -> None:
    story = play().on(redirect()).on(leg_answer()).on(redirect(), after=LEASE).replies(Join(2))
    story.expects(leave(1), hang_up_leg()).on(joined(1, leg=True))
    story.expects(leave(1), hang_up_leg(after=0))
    story.on(leg_answer(1)).replies(Hangup()).unchanged()


# Prepared while the phone rings -----------------------------------------------------------------------------


def test_a_leg_that_is_lost_while_the_phone_rings_is_made_anew() -> None:
    story = (
        dialed().on(leg_disconnect()).replies(Nothing()).expects(leave(1)).becomes(Status.DIALING, Media.NONE)
    )
    story.on(answer()).replies(Join(2)).expects()


def test_a_leg_that_was_lost_before_its_preparation_was_through_is_made_anew() -> None:
    story = play().on(dial(prepare=True)).on(placed()).on(leg_disconnect()).on(joined(leg=True))
    story.becomes(Media.READY).on(answer()).replies(Join(2)).expects(leave(1))


def test_the_participant_of_a_waiting_leg_vanishes() -> None:
    story = dialed().on(vanished()).expects(leave(1), hang_up_leg()).becomes(Status.DIALING, Media.NONE)
    story.on(answer()).replies(Join(2))


def test_a_preparation_that_fails_leaves_no_leg_behind() -> None:
    play().on(dial(prepare=True)).on(leg_answer()).on(join_failed()).expects(leave(1), hang_up_leg())


def test_a_leg_waits_for_a_phone_that_never_answers() -> None:
    dialed().on(disconnect("timeout")).expects(leave(1), hang_up_leg()).becomes(Status.ENDED)


def test_a_leg_that_has_ended_is_not_hung_up() -> None:
    for after in (bridged().on(disconnect()), bridged().on(order_hold())):
        after.expects(
            leave(1), hang_up_leg(), *([] if after.call.phone is Phone.GONE else [redirect_phone(2)])
        )
        after.on(leg_disconnect(1)).expects().cancels(f"hang-up-leg:{leg_of(1)}")


# Orders -----------------------------------------------------------------------------------------------------


def test_every_order_hangs_up_the_leg_that_it_ends() -> None:
    bridged().on(order_hold()).expects(leave(1), hang_up_leg(), redirect_phone(2))
    bridged().on(order_transfer()).expects(leave(1), hang_up_leg(), redirect_phone(2))
    bridged().on(order_hangup()).expects(leave(1), hang_up_leg(), hang_up())
    parked().on(order_join()).expects(leave(1), hang_up_leg(after=0), redirect_phone(2))
    dialed().on(order_join()).expects(leave(1), hang_up_leg())


def test_on_hold_the_end_of_the_bridge_is_no_reason_to_join_again() -> None:
    story = bridged().on(order_hold()).on(bridge_complete()).replies(Wait()).unchanged()
    story.on(redirect()).replies(Hold())
    story.on(leg_answer()).replies(Hangup()).unchanged()
    story.on(leg_bridge_complete()).replies(Hangup()).unchanged()


def test_a_leg_for_a_phone_that_is_meant_for_something_else_is_let_go() -> None:
    story = play(a_call(Media.BRIDGED, Intent.HOLD, leg=Leg.UP)).on(leg_answer()).replies(Hangup())
    story.unchanged().notes("the call is meant for something else")


@pytest.mark.parametrize("intent", [Intent.HOLD, Intent.ELSEWHERE, Intent.HANGUP])
@pytest.mark.parametrize("media", [Media.BRIDGED, Media.LEAVING])
def test_out_of_the_bridge_the_phone_goes_on_as_is_wanted_of_it(intent: Intent, media: Media) -> None:
    story = play(a_call(media, intent, leg=Leg.UP)).on(leg_answer())
    story.replies(Hangup()).unchanged().on(bridge_complete()).becomes(Media.NONE, intent, Phone.UP)
    story.expects(*([leave(1)] if media is Media.BRIDGED else []), hang_up_leg())
    play(a_call(Media.LEAVING, intent, leg=Leg.UP)).on(redirect()).becomes(Media.NONE, intent)
