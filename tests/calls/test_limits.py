"""Calls that would go on for ever: they are ended, and who can be told so before is told."""

import pytest
from msgspec.structs import replace

from service.calls.model import Blame, Intent, Media, Outcome, Phone
from service.calls.replies import ErrorAndHangUp, GatherPin, Hold, NoReply, WaitForOthers
from tests.calls.control_event_builders import (
    WAITING_SETTINGS,
    dial,
    found_empty,
    hold_time_up,
    order_hold,
    order_join,
    order_transfer,
    page_gone,
    placed,
    time_nearly_up,
    time_up,
)
from tests.calls.event_builders import (
    OTHER_ROOM,
    ROOM,
    EventBuilder,
    answer,
    disconnect,
    initiate,
    joined,
    redirected,
    sample_call,
    transfer_answer,
)
from tests.calls.expected_effects import (
    CANCELLED_AT_END,
    check_page,
    hang_up_phone,
    leave_room,
    redirect_phone,
    tell_hold_time_up,
    tell_time_nearly_up,
    tell_time_up,
)
from tests.calls.playbook import Playbook, play

NOT_NOW = "nothing can be said to the call now"

# Any call ---------------------------------------------------------------------------------------------------


def test_an_inbound_call_is_counted_from_its_first_webhook() -> None:
    story = play().on(initiate(max_duration=600)).joins(1).knows(max_duration=600)
    story.expects(tell_time_up(after=600), tell_time_nearly_up(after=570))
    # Later webhooks of its phone do not prolong it.
    story.on(joined()).on(transfer_answer()).becomes(Phone.UP).expects()
    story.on(time_up()).expects(leave_room(1), redirect_phone(2), hang_up_phone(after=30)).knows(
        failure="time-limit"
    )
    story.on(disconnect()).cancels(*CANCELLED_AT_END)
    story.knows(outcome=Outcome(Blame.LIMIT, "time-limit", cause="hangup"))


def test_so_is_one_that_is_asked_for_digits() -> None:
    story = play().on(initiate(max_duration=600, pin_attempts_allowed=2)).replies(GatherPin())
    story.expects(tell_time_up(after=600), tell_time_nearly_up(after=570))


def test_no_limit_and_no_sentence_before_a_short_one() -> None:
    play().on(initiate()).expects().knows(max_duration=0)
    play().on(initiate(max_duration=30)).expects(tell_time_up(after=30))
    play().on(initiate(max_duration=600, closed_message="We are closed.")).expects(hang_up_phone(after=31.4))


def test_who_talks_is_not_interrupted() -> None:
    """Bandwidth would end the transfer before it says anything (voice API, updateCall)."""
    play(sample_call(Media.BRIDGED)).on(time_nearly_up()).expects().replies(NoReply()).unchanged()
    play(sample_call(Media.TRANSFERRING)).on(time_nearly_up()).expects().unchanged().notes(NOT_NOW)
    play(sample_call(Media.NONE, Intent.TRANSFER)).on(time_nearly_up()).expects().unchanged()


def test_who_is_on_hold_is_told_that_the_call_ends_soon_once() -> None:
    story = play(sample_call(Media.NONE, Intent.HOLD)).on(time_nearly_up()).expects(redirect_phone())
    story.on(redirected()).replies(Hold(ends_soon=True)).cancels("redirect-phone").expects()
    story.on(redirected()).replies(Hold())


def test_who_waits_outside_is_told_that_the_call_ends_soon_once() -> None:
    story = (
        play()
        .on(redirected(waits_for_others=True))
        .on(found_empty())
        .on(time_nearly_up())
        .expects(redirect_phone(1))
    )
    story.on(redirected()).joins(2).on(found_empty(2)).replies(
        WaitForOthers(WAITING_SETTINGS, ends_soon=True)
    )
    story.on(redirected()).on(found_empty(3)).replies(WaitForOthers(WAITING_SETTINGS))


def test_who_just_looks_whether_somebody_has_come_is_told_as_well() -> None:
    story = play().on(redirected(waits_for_others=True)).on(time_nearly_up()).expects()
    story.on(found_empty()).replies(WaitForOthers(WAITING_SETTINGS, ends_soon=True))


# On hold ----------------------------------------------------------------------------------------------------


def on_hold(limit: float) -> Playbook:
    return play().on(redirected()).on(joined()).on(transfer_answer()).on(order_hold(limit))


def test_hold_ends() -> None:
    story = on_hold(600).expects(leave_room(1), redirect_phone(2), tell_hold_time_up(after=570))
    story.on(redirected()).replies(Hold())
    story.on(hold_time_up()).expects(
        redirect_phone(2), tell_hold_time_up(is_warning=False, after=30)
    ).replies(NoReply())
    story.on(redirected()).replies(Hold(ends_soon=True)).on(redirected()).replies(Hold())
    story.on(hold_time_up(is_warning=False)).expects(redirect_phone(3), hang_up_phone(after=30))
    story.on(redirected()).replies(ErrorAndHangUp("hold-limit"))
    story.on(disconnect()).knows(outcome=Outcome(Blame.LIMIT, "hold-limit", cause="hangup"))


def test_hold_without_a_limit_and_with_a_short_one() -> None:
    on_hold(0).expects(leave_room(1), redirect_phone(2))
    on_hold(30).expects(leave_room(1), redirect_phone(2), tell_hold_time_up(is_warning=False, after=30))


@pytest.mark.parametrize("order", [order_join(), order_transfer()])
def test_who_is_taken_off_hold_is_not_ended(order: EventBuilder) -> None:
    story = on_hold(600).on(redirected()).on(order)
    for soon in (True, False):
        story.on(hold_time_up(is_warning=soon)).expects().unchanged()


def test_each_hold_has_its_own_time() -> None:
    story = (
        on_hold(600)
        .on(redirected())
        .on(order_join(ROOM))
        .on(redirected())
        .on(joined(4))
        .on(transfer_answer(4))
    )
    story.on(order_hold(600)).expects(leave_room(4), redirect_phone(5), tell_hold_time_up(5, after=570))
    story.on(hold_time_up(2, is_warning=False)).expects().unchanged()


@pytest.mark.parametrize("soon", [True, False])
@pytest.mark.parametrize("intent", [one for one in Intent if one is not Intent.HOLD])
def test_who_is_not_on_hold_hears_nothing_of_it(intent: Intent, *, soon: bool) -> None:
    """Whatever has led there within the attempt."""
    story = (
        play(sample_call(Media.NONE, intent))
        .on(hold_time_up(1, is_warning=soon))
        .replies(NoReply())
        .expects()
    )
    story.unchanged().notes("the call is not on hold")


# Calls of a page --------------------------------------------------------------------------------------------


def of_page(media: Media = Media.BRIDGED, intent: Intent = Intent.BRIDGE) -> Playbook:
    return play(replace(sample_call(media, intent), page_gone_after=60))


def test_its_page_is_looked_for_once_it_has_answered() -> None:
    story = play().on(dial(page_gone_after=60)).on(placed()).knows(page_gone_after=60)
    story.on(answer()).expects(check_page(after=60)).on(disconnect()).cancels(*CANCELLED_AT_END)


def test_nobody_is_left_on_the_page() -> None:
    story = (
        of_page()
        .on(page_gone())
        .expects(leave_room(1), redirect_phone(2), hang_up_phone(after=30))
        .drops_token()
    )
    story.on(redirected()).replies(ErrorAndHangUp("page-gone"))
    story.on(disconnect()).knows(outcome=Outcome(Blame.NOBODY, "page-gone", cause="hangup"))


def test_a_phone_that_still_rings_is_not_left_ringing() -> None:
    story = play().on(dial(page_gone_after=60)).on(placed()).on(page_gone())
    story.expects(leave_room(1), hang_up_phone(after=30), hang_up_phone()).becomes(Intent.HANGUP)


def test_other_calls_miss_no_page() -> None:
    play(sample_call(Media.BRIDGED)).on(page_gone()).expects().unchanged().notes("no page is missed")
    of_page().on(page_gone(OTHER_ROOM)).expects().unchanged()
    of_page(Media.NONE, Intent.TRANSFER).on(page_gone()).expects().unchanged()
    of_page(Media.NONE, Intent.HOLD).on(page_gone()).expects().unchanged()
    of_page().on(order_join()).on(page_gone()).expects().unchanged()
