"""A leg into WebRTC that does not answer is told from one that is about to."""

import pytest
from msgspec.structs import replace

from service.calls.events import OrderHold
from service.calls.late import LEG_ANSWER_TIME, leg_result, overdue_seconds
from service.calls.model import Call, Leg, Media, Phone
from tests.calls.control_event_builders import order_transfer
from tests.calls.event_builders import (
    EventBuilder,
    disconnect,
    initiate,
    joined,
    transfer_answer,
    transfer_complete,
)
from tests.calls.playbook import Playbook, play


def transferring() -> Playbook:
    return play().on(initiate()).on(joined())


def what_became(cue: EventBuilder, *, after: float) -> str:
    story = transferring()
    before = story.call
    story.on(cue, after=after)
    return leg_result(before, story.call, cue(story.at))


def test_a_leg_is_late_once_it_should_have_answered() -> None:
    call = transferring().call
    assert call.leg_requested_at
    assert overdue_seconds(call, call.leg_requested_at + LEG_ANSWER_TIME - 0.1) == 0
    assert overdue_seconds(call, call.leg_requested_at + LEG_ANSWER_TIME) == LEG_ANSWER_TIME


def test_what_is_said_first_takes_its_time() -> None:
    call = replace(transferring().call, announcement="a" * 50)
    assert overdue_seconds(call, call.leg_requested_at + LEG_ANSWER_TIME + 4) == 0
    assert overdue_seconds(call, call.leg_requested_at + LEG_ANSWER_TIME + 5) == LEG_ANSWER_TIME + 5
    assert (
        overdue_seconds(replace(call, bridged_at=1.0), call.leg_requested_at + LEG_ANSWER_TIME)
        == LEG_ANSWER_TIME
    ), "it is said once"
    assert (
        overdue_seconds(replace(call, uses_bridge=True), call.leg_requested_at + LEG_ANSWER_TIME)
        == LEG_ANSWER_TIME
    ), "it was said before"


@pytest.mark.parametrize(
    "changes", [{"media": Media.BRIDGED}, {"phone": Phone.GONE}, {"leg_requested_at": 0.0}]
)
def test_of_others_nothing_is_waited_for(changes: dict[str, object]) -> None:
    call: Call = replace(transferring().call, **changes)
    assert overdue_seconds(call, 2e9) == 0


def test_a_copy_of_the_reply_does_not_begin_anew() -> None:
    story = transferring()
    began = story.call.leg_requested_at
    story.on(initiate(), after=3).knows(leg_requested_at=began)


@pytest.mark.parametrize(
    ("cue", "after", "became"),
    [
        (transfer_answer(), 1, "answered"),
        (transfer_answer(), 20, "answered"),
        (transfer_complete(cause="timeout"), 30, "unanswered"),
        (transfer_complete(cause="rejected"), 0.2, "unanswered"),
        (transfer_complete(cause="hangup"), 60, "unanswered"),
        (disconnect(cause="hangup"), 15, "unanswered"),
        (disconnect(cause="hangup"), 2, ""),
        (OrderHold, 2, ""),
        (order_transfer(), 2, ""),
        (order_transfer(), 15, "unanswered"),
        (initiate(), 20, ""),
    ],
)
def test_what_became_of_it(cue: EventBuilder, after: float, became: str) -> None:
    assert what_became(cue, after=after) == became


def test_an_answer_is_counted_once() -> None:
    story = transferring().on(transfer_answer())
    before = story.call
    again = transfer_answer()
    story.on(again)
    assert leg_result(before, story.call, again(story.at)) == ""
    assert leg_result(None, story.call, again(story.at)) == ""


def test_a_leg_of_ours_that_ends_before_it_is_wanted() -> None:
    making = replace(play().on(initiate()).call, leg=Leg.GONE, uses_bridge=True)
    failed = replace(making, media=Media.NONE, failure="transfer-failed")
    event = joined(has_leg=True)(1.0)
    assert leg_result(making, failed, event) == "unanswered"
    assert leg_result(replace(making, leg=Leg.NONE), failed, event) == "", "that is a join that failed"
    assert leg_result(making, replace(making, media=Media.READY), event) == ""
