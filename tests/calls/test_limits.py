"""Calls that would go on for ever: they are ended, and who can be told so before is told."""

import pytest
from msgspec.structs import replace

from service.calls.model import Blame, Intent, Media, Outcome, Phone
from service.calls.replies import Apologise, AskDigits, AwaitOthers, Hold, Join, Nothing
from tests.calls.event_builders import (
    OTHER_ROOM,
    ROOM,
    Cue,
    a_call,
    answer,
    disconnect,
    initiate,
    joined,
    redirect,
    transfer_answer,
)
from tests.calls.expected_effects import (
    AT_THE_END,
    check_page,
    hang_up,
    leave,
    redirect_phone,
    tell_hold_up,
    tell_time_short,
    tell_time_up,
)
from tests.calls.playbook import Playbook, play
from tests.calls.control_event_builders import (
    WAITING,
    dial,
    found_empty,
    hold_up,
    order_hold,
    order_join,
    order_transfer,
    page_gone,
    placed,
    time_short,
    time_up,
)

NOT_NOW = "nothing can be said to the call now"

# Any call ---------------------------------------------------------------------------------------------------


def test_an_inbound_call_is_counted_from_its_first_webhook() -> None:
    story = play().on(initiate(limit=600)).replies(Join(1)).knows(max_duration=600)
    story.expects(tell_time_up(after=600), tell_time_short(after=570))
    # Later webhooks of its phone do not prolong it.
    story.on(joined()).on(transfer_answer()).becomes(Phone.UP).expects()
    story.on(time_up()).expects(leave(1), redirect_phone(2), hang_up(after=30)).knows(failure="time-limit")
    story.on(disconnect()).cancels(*AT_THE_END)
    story.knows(outcome=Outcome(Blame.LIMIT, "time-limit", cause="hangup"))


def test_so_is_one_that_is_asked_for_digits() -> None:
    story = play().on(initiate(limit=600, asks=2)).replies(AskDigits())
    story.expects(tell_time_up(after=600), tell_time_short(after=570))


def test_no_limit_and_no_sentence_before_a_short_one() -> None:
    play().on(initiate()).expects().knows(max_duration=0)
    play().on(initiate(limit=30)).expects(tell_time_up(after=30))
    play().on(initiate(limit=600, closed="We are closed.")).expects(hang_up(after=31.4))


def test_who_talks_is_not_interrupted() -> None:
    """Bandwidth would end the transfer before it says anything (voice API, updateCall)."""
    play(a_call(Media.BRIDGED)).on(time_short()).expects().replies(Nothing()).unchanged()
    play(a_call(Media.TRANSFERRING)).on(time_short()).expects().unchanged().notes(NOT_NOW)
    play(a_call(Media.NONE, Intent.ELSEWHERE)).on(time_short()).expects().unchanged()


def test_who_is_on_hold_is_told_that_the_call_ends_soon_once() -> None:
    story = play(a_call(Media.NONE, Intent.HOLD)).on(time_short()).expects(redirect_phone())
    story.on(redirect()).replies(Hold(ends_soon=True)).cancels("redirect-phone").expects()
    story.on(redirect()).replies(Hold())


def test_who_waits_outside_is_told_that_the_call_ends_soon_once() -> None:
    story = play().on(redirect(waits=True)).on(found_empty()).on(time_short()).expects(redirect_phone(1))
    story.on(redirect()).replies(Join(2)).on(found_empty(2)).replies(AwaitOthers(WAITING, ends_soon=True))
    story.on(redirect()).on(found_empty(3)).replies(AwaitOthers(WAITING))


def test_who_just_looks_whether_somebody_has_come_is_told_as_well() -> None:
    story = play().on(redirect(waits=True)).on(time_short()).expects()
    story.on(found_empty()).replies(AwaitOthers(WAITING, ends_soon=True))


# On hold ----------------------------------------------------------------------------------------------------


def on_hold(limit: float) -> Playbook:
    return play().on(redirect()).on(joined()).on(transfer_answer()).on(order_hold(limit))


def test_hold_ends() -> None:
    story = on_hold(600).expects(leave(1), redirect_phone(2), tell_hold_up(after=570))
    story.on(redirect()).replies(Hold())
    story.on(hold_up()).expects(redirect_phone(2), tell_hold_up(soon=False, after=30)).replies(Nothing())
    story.on(redirect()).replies(Hold(ends_soon=True)).on(redirect()).replies(Hold())
    story.on(hold_up(soon=False)).expects(redirect_phone(3), hang_up(after=30))
    story.on(redirect()).replies(Apologise("hold-limit"))
    story.on(disconnect()).knows(outcome=Outcome(Blame.LIMIT, "hold-limit", cause="hangup"))


def test_hold_without_a_limit_and_with_a_short_one() -> None:
    on_hold(0).expects(leave(1), redirect_phone(2))
    on_hold(30).expects(leave(1), redirect_phone(2), tell_hold_up(soon=False, after=30))


@pytest.mark.parametrize("order", [order_join(), order_transfer()])
def test_who_is_taken_off_hold_is_not_ended(order: Cue) -> None:
    story = on_hold(600).on(redirect()).on(order)
    for soon in (True, False):
        story.on(hold_up(soon=soon)).expects().unchanged()


def test_each_hold_has_its_own_time() -> None:
    story = (
        on_hold(600).on(redirect()).on(order_join(ROOM)).on(redirect()).on(joined(4)).on(transfer_answer(4))
    )
    story.on(order_hold(600)).expects(leave(4), redirect_phone(5), tell_hold_up(5, after=570))
    story.on(hold_up(2, soon=False)).expects().unchanged()


@pytest.mark.parametrize("soon", [True, False])
@pytest.mark.parametrize("intent", [one for one in Intent if one is not Intent.HOLD])
def test_who_is_not_on_hold_hears_nothing_of_it(intent: Intent, *, soon: bool) -> None:
    """Whatever has led there within the attempt."""
    story = play(a_call(Media.NONE, intent)).on(hold_up(1, soon=soon)).replies(Nothing()).expects()
    story.unchanged().notes("the call is not on hold")


# Calls of a page --------------------------------------------------------------------------------------------


def of_page(media: Media = Media.BRIDGED, intent: Intent = Intent.BRIDGE) -> Playbook:
    return play(replace(a_call(media, intent), page_alone=60))


def test_its_page_is_looked_for_once_it_has_answered() -> None:
    story = play().on(dial(page_alone=60)).on(placed()).knows(page_alone=60)
    story.on(answer()).expects(check_page(after=60)).on(disconnect()).cancels(*AT_THE_END)


def test_nobody_is_left_on_the_page() -> None:
    story = of_page().on(page_gone()).expects(leave(1), redirect_phone(2), hang_up(after=30)).drops_token()
    story.on(redirect()).replies(Apologise("page-gone"))
    story.on(disconnect()).knows(outcome=Outcome(Blame.NOBODY, "page-gone", cause="hangup"))


def test_a_phone_that_still_rings_is_not_left_ringing() -> None:
    story = play().on(dial(page_alone=60)).on(placed()).on(page_gone())
    story.expects(leave(1), hang_up(after=30), hang_up()).becomes(Intent.HANGUP)


def test_other_calls_miss_no_page() -> None:
    play(a_call(Media.BRIDGED)).on(page_gone()).expects().unchanged().notes("no page is missed")
    of_page().on(page_gone(OTHER_ROOM)).expects().unchanged()
    of_page(Media.NONE, Intent.ELSEWHERE).on(page_gone()).expects().unchanged()
    of_page(Media.NONE, Intent.HOLD).on(page_gone()).expects().unchanged()
    of_page().on(order_join()).on(page_gone()).expects().unchanged()
