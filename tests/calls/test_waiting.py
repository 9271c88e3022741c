"""Who comes first waits outside, who is left alone is seen to, and whose room is closed has to go."""

import pytest
from msgspec.structs import replace

from service.calls.model import Blame, Call, Intent, Leg, Media, Outcome, Status
from service.calls.replies import (
    ErrorAndHangUp,
    HangUp,
    Hold,
    NoReply,
    TransferToWebRtc,
    Wait,
    WaitForOthers,
)
from service.calls.room_settings import AloneAction
from tests.calls.control_event_builders import (
    WAITING_SETTINGS,
    found_empty,
    left_alone,
    order_hold,
    order_join,
    order_transfer,
    room_closed,
    summoned,
)
from tests.calls.event_builders import (
    FALLBACK,
    LEASE,
    NOW,
    OTHER_ROOM,
    EventBuilder,
    disconnect,
    initiate,
    joined,
    redirected,
    sample_call,
    transfer_answer,
    unknown_webhook,
)
from tests.calls.expected_effects import (
    CANCELLED_AT_END,
    hang_up_leg,
    hang_up_phone,
    leave_room,
    redirect_phone,
)
from tests.calls.playbook import Playbook, play


def outside() -> Playbook:
    return play().on(redirected(waits_for_others=True)).on(found_empty())


def a_waiting_call() -> Call:
    return replace(
        sample_call(Media.NONE, Intent.WAIT),
        waiting=WAITING_SETTINGS,
        wait_until=NOW + WAITING_SETTINGS.limit,
        waits_for_others=True,
    )


# Waiting ----------------------------------------------------------------------------------------------------


def test_outside_until_somebody_comes() -> None:
    story = play().on(initiate(waits_for_others=True)).joins(1).knows(waits_for_others=True)
    story.on(found_empty()).replies(WaitForOthers(WAITING_SETTINGS)).expects().becomes(
        Intent.WAIT, Media.NONE
    )
    story.becomes(Status.INITIATED).knows(
        waiting=WAITING_SETTINGS, wait_until=story.at + WAITING_SETTINGS.limit
    )
    story.on(summoned()).replies(NoReply()).expects(leave_room(1), redirect_phone(1)).becomes(Intent.BRIDGE)
    story.on(redirected()).joins(2).expects().on(joined(2)).replies(TransferToWebRtc(2)).knows(wait_until=0)


def test_a_round_of_waiting_looks_again_whether_somebody_is_there() -> None:
    story = outside().on(redirected()).joins(2).expects(leave_room(1)).becomes(Intent.BRIDGE)
    story.on(found_empty(2)).replies(WaitForOthers(WAITING_SETTINGS)).becomes(Intent.WAIT)
    # From the first time on.
    story.knows(wait_until=story.at - 2 + WAITING_SETTINGS.limit)
    story.on(unknown_webhook()).replies(Wait()).unchanged()


def test_nobody_comes() -> None:
    story = (
        outside().on(redirected(), after=WAITING_SETTINGS.limit - 0.1).joins(2).on(found_empty(2), after=0)
    )
    story.on(redirected(), after=0.1).replies(ErrorAndHangUp("nobody-came")).expects(
        leave_room(2), hang_up_phone(after=30)
    )
    story.becomes(Intent.HANGUP)
    story.on(disconnect()).knows(outcome=Outcome(Blame.NOBODY, "nobody-came", cause="hangup"))


def test_nobody_comes_is_no_reason_to_call_the_fallback_number() -> None:
    story = play().on(redirected(waits_for_others=True, fallback_number=FALLBACK)).on(found_empty())
    story.on(redirected(), after=WAITING_SETTINGS.limit).replies(ErrorAndHangUp("nobody-came"))


def test_who_hangs_up_waits_no_more() -> None:
    outside().on(disconnect()).expects(leave_room(1)).cancels(*CANCELLED_AT_END).becomes(Status.ENDED)


def test_somebody_comes_between_the_look_and_the_wait() -> None:
    story = (
        play()
        .on(redirected(waits_for_others=True))
        .on(summoned())
        .replies(NoReply())
        .expects()
        .knows(summoned_attempt=1)
    )
    story.on(found_empty()).replies(Wait()).expects(leave_room(1)).becomes(Intent.BRIDGE, Media.NONE)
    story.on(redirected()).joins(2).on(found_empty(2)).replies(WaitForOthers(WAITING_SETTINGS))


def test_somebody_comes_who_is_gone_again() -> None:
    story = (
        outside().on(summoned()).on(redirected()).on(found_empty(2)).replies(WaitForOthers(WAITING_SETTINGS))
    )
    story.knows(wait_until=story.at - 3 + WAITING_SETTINGS.limit)


def test_a_summons_that_comes_twice_or_late_changes_nothing() -> None:
    outside().on(summoned()).on(summoned()).expects().unchanged().notes("the call does not wait")
    story = outside().on(order_hold()).on(order_transfer()).becomes(Intent.TRANSFER)
    story.on(summoned()).expects().unchanged().notes("the call does not wait")
    story = outside().on(order_join()).on(summoned()).expects().unchanged()
    story.notes("the call is meant for another room")
    outside().on(disconnect()).on(summoned()).expects().unchanged()


def test_an_order_comes_between_the_look_and_the_wait() -> None:
    story = (
        play().on(redirected(waits_for_others=True)).on(order_join()).expects(leave_room(1, after=LEASE - 1))
    )
    story.on(found_empty()).replies(Wait()).expects(leave_room(1)).unchanged()


@pytest.mark.parametrize("intent", [Intent.HOLD, Intent.HANGUP])
def test_who_is_meant_for_something_else_by_now_does_not_wait(intent: Intent) -> None:
    story = (
        play(sample_call(Media.JOINING, intent))
        .on(found_empty())
        .expects(leave_room(1))
        .becomes(Media.NONE, intent)
    )
    story.replies(Hold() if intent is Intent.HOLD else HangUp())


def test_the_phone_goes_between_the_look_and_the_wait() -> None:
    story = (
        play().on(redirected(waits_for_others=True)).on(disconnect()).expects(leave_room(1, after=LEASE - 1))
    )
    story.on(found_empty()).replies(HangUp()).expects(leave_room(1)).becomes(Media.NONE)


def test_a_replica_that_is_taken_over_from_finds_nobody() -> None:
    story = (
        play()
        .on(redirected(waits_for_others=True))
        .on(redirected(), after=LEASE)
        .joins(2)
        .expects(leave_room(1))
    )
    story.on(found_empty(1)).replies(Wait()).expects(leave_room(1)).unchanged()
    story.on(found_empty(2)).replies(WaitForOthers(WAITING_SETTINGS)).expects()


def test_a_wait_that_is_over_leaves_no_old_limit_behind() -> None:
    """Alone again after a talk, the caller waits anew, not for what is left of the first time."""
    story = outside().on(summoned()).on(redirected()).on(joined(2)).on(transfer_answer(2))
    story.on(redirected(), after=600).on(found_empty(3)).knows(wait_until=story.at + WAITING_SETTINGS.limit)


# Left alone -------------------------------------------------------------------------------------------------


def test_who_is_left_alone_is_told_and_hung_up() -> None:
    story = play(sample_call(Media.BRIDGED)).on(left_alone()).replies(NoReply()).drops_token()
    story.expects(leave_room(1), redirect_phone(2), hang_up_phone(after=30)).becomes(
        Intent.HANGUP, Media.NONE
    )
    story.on(redirected()).replies(ErrorAndHangUp("left-alone"))
    story.on(disconnect()).knows(outcome=Outcome(Blame.NOBODY, "left-alone", cause="hangup"))


def test_who_is_left_alone_waits_for_others_again() -> None:
    story = (
        play(sample_call(Media.BRIDGED))
        .on(left_alone(then=AloneAction.WAIT))
        .expects(leave_room(1), redirect_phone(2))
    )
    story.becomes(Intent.BRIDGE, Media.NONE).knows(waits_for_others=True, wait_until=0)
    story.on(redirected()).joins(3).on(found_empty(3)).replies(WaitForOthers(WAITING_SETTINGS))


def test_the_leg_of_who_is_left_alone_is_hung_up() -> None:
    story = play(sample_call(Media.BRIDGED, leg=Leg.UP)).on(left_alone())
    story.expects(leave_room(1), hang_up_leg(), redirect_phone(2), hang_up_phone(after=30))


@pytest.mark.parametrize("media", [one for one in Media if one is not Media.BRIDGED])
def test_who_is_not_in_the_room_is_not_alone_there(media: Media) -> None:
    play(sample_call(media)).on(left_alone()).expects().unchanged()


def test_who_has_left_the_room_is_not_alone_there() -> None:
    play(sample_call(Media.BRIDGED)).on(left_alone(room=OTHER_ROOM)).expects().unchanged()
    play(replace(sample_call(Media.BRIDGED), attempt=2)).on(left_alone(1)).expects().unchanged()


# A room is closed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media", [Media.READY, Media.TRANSFERRING, Media.BRIDGED, Media.LEAVING])
def test_whose_room_is_closed_is_told_and_hung_up(media: Media) -> None:
    story = play(sample_call(media)).on(room_closed()).replies(NoReply()).drops_token()
    story.expects(
        *([] if media is Media.LEAVING else [leave_room(1)]), redirect_phone(2), hang_up_phone(after=30)
    )
    story.becomes(Intent.HANGUP, Media.NONE).knows(failure="room-closed")
    story.on(redirected()).replies(ErrorAndHangUp("room-closed")).on(room_closed()).expects().unchanged()


def test_the_room_is_closed_during_the_join() -> None:
    story = (
        play()
        .on(initiate())
        .on(room_closed())
        .expects(leave_room(1, after=LEASE - 1), hang_up_phone(after=30))
    )
    story.on(joined()).replies(ErrorAndHangUp("room-closed")).expects(leave_room(1))


def test_the_room_is_closed_with_somebody_outside() -> None:
    story = (
        play(a_waiting_call())
        .on(room_closed())
        .expects(leave_room(1), redirect_phone(2), hang_up_phone(after=30))
    )
    story.becomes(Intent.HANGUP).knows(failure="room-closed")


@pytest.mark.parametrize("intent", [Intent.BRIDGE, Intent.HOLD, Intent.TRANSFER])
def test_who_has_left_the_room_hears_nothing_of_its_end(intent: Intent) -> None:
    play(sample_call(Media.NONE, intent)).on(room_closed()).expects().unchanged().notes(
        "the call has left the room"
    )


@pytest.mark.parametrize("intent", [Intent.HOLD, Intent.TRANSFER])
def test_who_is_leaving_the_room_for_something_else_hears_nothing_of_its_end(intent: Intent) -> None:
    story = play(sample_call(Media.LEAVING, intent)).on(room_closed())
    story.expects().unchanged().notes("the call has left the room")


@pytest.mark.parametrize("media", [Media.NONE, Media.LEAVING])
def test_who_would_come_back_since_the_way_in_has_broken_is_told_of_the_end(media: Media) -> None:
    # However long ago: only 0 is no time at all.
    broken = replace(sample_call(media), leg_lost_at=1 if media is Media.NONE else 0)
    play(broken).on(room_closed()).becomes(Intent.HANGUP).knows(failure="room-closed")


def test_who_comes_back_since_the_way_in_has_broken_and_finds_nobody_waits_like_anybody() -> None:
    broken = replace(
        sample_call(Media.NONE), leg_lost_at=NOW - 60, bridged_at=NOW - 90, waits_for_others=True
    )
    story = play(broken).on(redirected()).on(found_empty(2)).becomes(Intent.WAIT).knows(leg_lost_at=0)
    story.on(disconnect()).knows(outcome=Outcome(Blame.NOBODY, "completed", cause="hangup"))


def test_who_comes_back_and_is_let_in_at_once_is_still_without_a_leg() -> None:
    broken = replace(
        sample_call(Media.NONE), leg_lost_at=NOW - 60, bridged_at=NOW - 90, waits_for_others=True
    )
    story = play(broken).on(redirected()).on(summoned()).on(found_empty(2)).replies(Wait())
    story.becomes(Intent.BRIDGE).knows(leg_lost_at=NOW - 60)


def others_end() -> list[EventBuilder]:
    return [room_closed(room=OTHER_ROOM), room_closed(0)]


@pytest.mark.parametrize("end", others_end())
def test_the_end_of_another_room_or_of_an_older_attempt_is_nothing(end: EventBuilder) -> None:
    play(sample_call(Media.BRIDGED)).on(end).expects().unchanged()


def test_who_is_being_hung_up_already_is_not_told_otherwise() -> None:
    story = play(sample_call(Media.BRIDGED)).on(left_alone()).on(room_closed(2)).expects().unchanged()
    story.knows(failure="left-alone")
