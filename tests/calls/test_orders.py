"""Orders of operators to a call that exists: hold, join, transfer, hang up, and whom the phone hears."""

from itertools import product

import pytest
from msgspec.structs import replace

from service.calls.model import Blame, Call, Direction, Intent, Media, Outcome, Phone, Status
from service.calls.replies import (
    AcceptLeg,
    ErrorAndHangUp,
    HangUp,
    Hold,
    NoReply,
    TransferToNumber,
    TransferToWebRtc,
    Wait,
)
from service.calls.room_settings import InterconnectMode
from service.calls.rules.joining import JOIN_RETRY_PAUSE
from service.calls.rules.orders import SAME_NUMBER_REFUSAL
from tests.calls.control_event_builders import (
    WAITING_SETTINGS,
    left_alone,
    order_hangup,
    order_hold,
    order_join,
    order_subscriptions,
    order_transfer,
    room_closed,
    time_up,
)
from tests.calls.event_builders import (
    FALLBACK,
    LEASE,
    NOW,
    OTHER_ROOM,
    ROOM,
    TRANSFER_NUMBER,
    EventBuilder,
    disconnect,
    initiate,
    join_failed,
    joined,
    redirected,
    sample_call,
    transfer_answer,
    transfer_complete,
    transfer_disconnect,
)
from tests.calls.expected_effects import ExpectedEffect, hang_up_phone, leave_room, redirect_phone, subscribe
from tests.calls.playbook import Playbook, play

IN_ANY_STATE = pytest.mark.parametrize("media", list(Media))
SEATED = {Media.JOINING, Media.READY, Media.TRANSFERRING, Media.BRIDGED}


def bridged() -> Playbook:
    return play().on(redirected()).on(joined()).on(transfer_answer())


def given_up(media: Media) -> list[ExpectedEffect]:
    """The seat; of a join under way when its replica must be through."""
    return [leave_room(1, after=LEASE - 1 if media is Media.JOINING else 0)] if media in SEATED else []


def asked(media: Media) -> list[ExpectedEffect]:
    """A join under way answers its own webhook; any other phone is asked to ask us."""
    return [] if media is Media.JOINING else [redirect_phone(2)]


# Hold -------------------------------------------------------------------------------------------------------


def test_out_of_the_room_on_hold_and_back() -> None:
    story = bridged().on(order_hold()).accepted().replies(NoReply()).expects(leave_room(1), redirect_phone(2))
    story.cancels("hang-up").drops_token().becomes(Status.DETACHED, Intent.HOLD, Media.NONE)
    story.knows(participant_id="", session_id="", attempt=2, hears=None)
    story.on(redirected()).replies(Hold()).expects().on(redirected()).replies(Hold()).unchanged()
    story.on(order_join(ROOM)).accepted().expects(redirect_phone(3)).becomes(Intent.BRIDGE, Media.NONE)
    story.on(redirected()).joins(4).expects().on(joined(4)).replies(TransferToWebRtc(4))
    story.on(transfer_answer(4)).becomes(Status.BRIDGED)


def test_what_belongs_to_the_talk_before_the_hold_changes_nothing() -> None:
    story = bridged().on(order_hold())
    story.on(transfer_disconnect()).replies(NoReply()).expects().unchanged().notes("stale attempt")
    story.on(transfer_complete()).replies(Wait()).expects().unchanged()
    story.on(redirected()).replies(Hold())
    story.on(transfer_answer()).replies(HangUp()).unchanged()


@pytest.mark.parametrize("media", [one for one in Media if one is not Media.BRIDGED])
def test_who_is_in_no_room_cannot_be_put_on_hold(media: Media) -> None:
    story = play(sample_call(media))
    story.on(order_hold()).refused(f"the call is not bridged: it is {story.call.status}")


# Join -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media", [one for one in Media if one is not Media.BRIDGED])
def test_into_another_room_out_of_whatever_the_phone_is_doing(media: Media) -> None:
    story = play(sample_call(media)).on(order_join()).accepted().replies(NoReply())
    story.expects(*given_up(media), *asked(media)).cancels("hang-up").drops_token()
    story.becomes(Media.NONE, Intent.BRIDGE).knows(room=OTHER_ROOM, attempt=2)
    story.on(redirected()).joins(3).expects()


@pytest.mark.parametrize("media", sorted(SEATED))
def test_into_the_room_that_it_is_in_or_on_the_way_to(media: Media) -> None:
    play(sample_call(media)).on(order_join(ROOM)).accepted().replies(NoReply()).expects().unchanged()


@pytest.mark.parametrize("media", [Media.NONE, Media.LEAVING])
def test_into_the_room_that_it_has_left(media: Media) -> None:
    play(sample_call(media)).on(order_join(ROOM)).accepted().expects(redirect_phone(2)).becomes(Media.NONE)


@pytest.mark.parametrize("order", [order_join(), order_transfer(), order_hangup()])
def test_a_leg_that_was_lost_before_the_order_is_not_what_the_call_ends_by(order: EventBuilder) -> None:
    story = (
        bridged().on(transfer_complete(cause="error"), after=60).replies(Wait()).knows(leg_lost_at=NOW + 63)
    )
    story.on(order).accepted().knows(leg_lost_at=0).on(disconnect(), after=4)
    story.knows(outcome=Outcome(Blame.NOBODY, "completed", cause="hangup"))


def test_nor_is_it_after_another_number_and_hold() -> None:
    story = bridged().on(transfer_complete(cause="error"), after=60).on(order_transfer()).on(redirected())
    story.replies(TransferToNumber(2, TRANSFER_NUMBER)).on(transfer_complete(2), after=60).replies(HangUp())
    story.on(disconnect()).knows(outcome=Outcome(Blame.NOBODY, "completed", cause="hangup"))
    story = bridged().on(transfer_complete(cause="error"), after=60).on(redirected()).on(joined(2))
    story.on(transfer_answer(2)).on(order_hold()).on(redirected()).replies(Hold()).on(disconnect(), after=60)
    story.knows(outcome=Outcome(Blame.NOBODY, "completed", cause="hangup"))


@pytest.mark.parametrize("intent", [Intent.HOLD, Intent.TRANSFER, Intent.PIN, Intent.WAIT])
def test_out_of_whatever_else_was_wanted(intent: Intent) -> None:
    call = replace(
        sample_call(Media.NONE, intent),
        waiting=WAITING_SETTINGS,
        wait_until=NOW + 60,
        waits_for_others=True,
        failure="old",
    )
    story = play(call).on(order_join()).accepted()
    story.expects(*([leave_room(1)] if intent is Intent.WAIT else []), redirect_phone(2)).becomes(
        Intent.BRIDGE
    )
    # Whoever gives the order knows whether anybody is there.
    story.knows(waits_for_others=False, failure="", wait_until=0, room=OTHER_ROOM)


def test_who_is_ordered_into_another_room_waits_there_as_long_as_anybody() -> None:
    story = (
        play()
        .on(redirected())
        .on(join_failed(is_temporary=True))
        .replies(Wait(JOIN_RETRY_PAUSE))
        .knows(join_retries=1)
    )
    story.on(order_join()).accepted().knows(join_retries=0)


def test_a_join_order_may_name_the_way() -> None:
    story = (
        play(sample_call(Media.NONE))
        .on(order_join(interconnect=InterconnectMode.BRIDGE))
        .knows(interconnect=InterconnectMode.BRIDGE)
    )
    story.on(order_join(ROOM)).knows(interconnect=InterconnectMode.BRIDGE)


def test_a_leg_that_has_ended_is_no_reason_to_hang_up_who_is_ordered_into_a_room() -> None:
    story = bridged().on(transfer_disconnect()).expects(leave_room(1), hang_up_phone(after=30))
    story.on(order_join()).accepted().cancels("hang-up").expects(redirect_phone(2))
    story.on(transfer_complete()).replies(Wait()).expects().unchanged()


# An order while a join is under way -------------------------------------------------------------------------


@pytest.mark.parametrize("result", [joined(), join_failed()])
def test_the_webhook_that_began_the_join_hears_of_the_order(result: EventBuilder) -> None:
    story = play().on(initiate()).on(order_transfer()).accepted().expects(leave_room(1, after=LEASE - 1))
    story.becomes(Media.NONE, Intent.TRANSFER)
    story.on(result).replies(TransferToNumber(2, TRANSFER_NUMBER)).expects(leave_room(1)).unchanged()
    story = (
        play().on(initiate()).on(order_join()).on(result).replies(Wait()).expects(leave_room(1)).unchanged()
    )
    story.on(redirected()).joins(3)
    story = play().on(initiate()).on(order_hangup()).expects(leave_room(1, after=LEASE - 1), hang_up_phone())
    story.on(result).replies(HangUp()).expects(leave_room(1)).unchanged()


def test_a_replica_that_dies_with_an_order_given_holds_nobody_up() -> None:
    story = play().on(initiate()).on(order_join()).on(redirected(), after=LEASE).joins(3).expects()
    story.on(joined(1)).replies(Wait()).expects(leave_room(1)).unchanged()


# To another number ------------------------------------------------------------------------------------------


@IN_ANY_STATE
def test_to_another_number_out_of_whatever_the_phone_is_doing(media: Media) -> None:
    story = (
        play(replace(sample_call(media), fallback_number=FALLBACK))
        .on(order_transfer())
        .accepted()
        .replies(NoReply())
    )
    story.expects(*given_up(media), *asked(media)).cancels("hang-up").drops_token()
    story.becomes(Intent.TRANSFER, Media.NONE).knows(
        transfer_to=TRANSFER_NUMBER, attempt=2, fallback_number=""
    )
    # Being asked to ask us once more would cut off the number that rings by then.
    story.on(redirected()).replies(TransferToNumber(2, TRANSFER_NUMBER)).expects().cancels(
        "redirect-phone"
    ).unchanged()


def test_a_number_that_does_not_answer_is_apologised_for() -> None:
    story = bridged().on(order_transfer()).on(redirected()).on(transfer_complete(2, "busy"))
    story.replies(ErrorAndHangUp("transfer-failed")).expects(hang_up_phone(after=30))


def test_a_talk_with_another_number_ends_the_call() -> None:
    story = bridged().on(order_transfer()).on(redirected()).on(transfer_complete(2))
    story.replies(HangUp()).expects(hang_up_phone(after=30)).becomes(Intent.HANGUP)


def test_the_end_of_the_room_is_not_the_end_of_the_other_number() -> None:
    """What the redirect has cut off says so, late, under the attempt before."""
    story = bridged().on(order_transfer()).on(transfer_complete(1)).replies(Wait()).expects().unchanged()
    story.on(redirected()).replies(TransferToNumber(2, TRANSFER_NUMBER)).on(
        transfer_disconnect(1)
    ).expects().unchanged()


@pytest.mark.parametrize("direction", Direction)
def test_not_to_the_number_that_the_call_is_on(direction: Direction) -> None:
    call = replace(
        sample_call(Media.BRIDGED), direction=direction, to_number="+15550001111", from_number="+15550002222"
    )
    own = "+15550001111" if direction is Direction.INBOUND else "+15550002222"
    play(call).on(order_transfer(own)).refused(SAME_NUMBER_REFUSAL)
    play(call).on(order_transfer(TRANSFER_NUMBER)).accepted()


@pytest.mark.parametrize(
    ("cue", "reason"),
    [(room_closed(4), "room-closed"), (left_alone(4), "left-alone"), (time_up(), "time-limit")],
)
def test_who_has_come_back_from_another_number_is_told_why_the_call_ends(
    cue: EventBuilder, reason: str
) -> None:
    story = bridged().on(order_transfer()).on(redirected()).on(order_join(ROOM))
    story.on(redirected()).joins(4)
    story.on(joined(4)).on(transfer_answer(4)).becomes(Media.BRIDGED)
    story.on(cue).on(redirected()).replies(ErrorAndHangUp(reason))


def test_who_talks_to_another_number_is_told_that_the_time_is_up() -> None:
    story = bridged().on(order_transfer()).on(redirected()).on(time_up())
    story.on(redirected()).replies(ErrorAndHangUp("time-limit"))


def test_who_was_sent_to_another_number_and_is_hung_up_on_has_completed_the_call() -> None:
    story = (
        play(sample_call(Media.NONE))
        .on(order_transfer())
        .on(redirected())
        .on(order_hangup())
        .on(disconnect())
    )
    assert story.call.outcome == Outcome(Blame.NOBODY, "completed", cause="hangup")


def test_another_number_after_another() -> None:
    story = (
        bridged().on(order_transfer(FALLBACK)).on(redirected()).on(order_transfer(TRANSFER_NUMBER)).accepted()
    )
    story.expects(redirect_phone(3)).on(transfer_complete(2)).unchanged()
    story.on(redirected()).replies(TransferToNumber(3, TRANSFER_NUMBER))


# Hang up ----------------------------------------------------------------------------------------------------


@IN_ANY_STATE
def test_at_once_and_without_a_word(media: Media) -> None:
    story = play(sample_call(media)).on(order_hangup()).accepted().replies(NoReply())
    story.expects(*given_up(media), hang_up_phone()).cancels("redirect-phone").drops_token()
    story.becomes(Media.NONE, Intent.HANGUP).knows(failure="", attempt=2)
    story.on(redirected()).replies(HangUp()).expects().unchanged()
    story.on(order_hangup()).accepted().expects(hang_up_phone()).unchanged()


def test_who_waits_outside_waits_no_more() -> None:
    call = replace(sample_call(Media.NONE, Intent.WAIT), waiting=WAITING_SETTINGS, wait_until=NOW + 60)
    play(call).on(order_hangup()).expects(leave_room(1), hang_up_phone())


def test_who_is_being_hung_up_is_sent_nowhere() -> None:
    story = bridged().on(order_hangup())
    story.on(order_join()).refused("the call is being hung up")
    story.on(order_transfer()).refused("the call is being hung up")
    story.on(order_hold()).refused("the call is not bridged: it is detached")


def test_an_apology_is_cut_short_by_an_order_to_hang_up() -> None:
    story = play().on(redirected()).on(join_failed()).expects(leave_room(1), hang_up_phone(after=30))
    story.on(order_hangup()).expects(hang_up_phone()).unchanged()


@pytest.mark.parametrize("order", [order_hold(), order_join(), order_transfer(), order_subscriptions()])
def test_an_ended_call_obeys_nobody(order: EventBuilder) -> None:
    bridged().on(disconnect()).on(order).refused("the call has ended")


def test_an_ended_call_is_hung_up() -> None:
    bridged().on(disconnect()).on(order_hangup()).accepted().replies(NoReply()).expects().unchanged().notes(
        ""
    )


# Whom the phone hears ---------------------------------------------------------------------------------------


def test_whom_the_phone_hears_until_somebody_says_otherwise() -> None:
    story = bridged().on(order_subscriptions("participant-8", "participant-9")).accepted().replies(NoReply())
    story.expects(subscribe("participant-8", "participant-9")).knows(hears=("participant-8", "participant-9"))
    story.on(order_subscriptions()).accepted().expects(subscribe()).knows(hears=None)


def test_a_new_participant_hears_everybody() -> None:
    story = bridged().on(order_subscriptions("participant-9")).on(redirected()).joins(2)
    story.knows(hears=None)
    bridged().on(order_subscriptions("participant-9")).on(order_hold()).knows(hears=None)


@pytest.mark.parametrize("media", [one for one in Media if one is not Media.BRIDGED])
def test_who_is_in_no_room_hears_nobody(media: Media) -> None:
    story = play(sample_call(media))
    story.on(order_subscriptions()).refused(f"the call is not bridged: it is {story.call.status}")


# Two orders -------------------------------------------------------------------------------------------------

ORDERS: dict[str, tuple[EventBuilder, Intent, str]] = {
    "hold": (order_hold(), Intent.HOLD, ROOM),
    "join": (order_join(), Intent.BRIDGE, OTHER_ROOM),
    "rejoin": (order_join(ROOM), Intent.BRIDGE, ROOM),
    "transfer": (order_transfer(), Intent.TRANSFER, ROOM),
    "hangup": (order_hangup(), Intent.HANGUP, ROOM),
}


def wanted(call: Call) -> tuple[Intent, str]:
    """A number that rings or a phone on hold is in no room."""
    return call.intent, (call.next_room or call.room) if call.intent is Intent.BRIDGE else ROOM


@IN_ANY_STATE
@pytest.mark.parametrize(("first", "second"), [*product(ORDERS, repeat=2)])
def test_two_orders_end_in_what_one_of_them_wanted(media: Media, first: str, second: str) -> None:
    """The last one that was obeyed, and nothing of the other one is left."""
    story = play(sample_call(media))
    expected, obeyed = wanted(story.call), False
    for name in (first, second):
        cue, intent, room = ORDERS[name]
        story.on(cue)
        if not story.decision.refusal_reason:
            expected, obeyed = (intent, room), True
        assert wanted(story.call) == expected
    story.on(redirected())
    assert not obeyed or wanted(story.call) == expected
    assert story.call.phone is Phone.UP


def test_a_late_answer_of_the_leg_that_an_order_has_ended_is_refused() -> None:
    story = play().on(redirected()).on(joined()).on(order_join())
    story.on(transfer_answer()).replies(HangUp()).unchanged()
    story.on(redirected()).joins(3).on(joined(3, room=OTHER_ROOM)).replies(TransferToWebRtc(3))
    story.on(transfer_answer(3)).replies(AcceptLeg(story.call.seat))
