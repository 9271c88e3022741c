"""What belongs to an attempt ends with it, whichever way the call goes on."""

from typing import Final

import pytest
from msgspec.structs import fields, replace

from service.calls.decide import decide
from service.calls.model import Attempt, Call, Intent, Leg, Media, Status
from service.calls.replies import ErrorAndHangUp, HangUp, TransferToWebRtc, Wait
from service.calls.rules.joining import JOIN_RETRY_PAUSE, MAX_JOIN_RETRIES, MAX_ROOM_FULL_RETRIES
from tests.calls.control_event_builders import (
    dial,
    found_empty,
    leg_answer,
    order_hangup,
    order_hold,
    order_transfer,
    placed,
    time_up,
)
from tests.calls.event_builders import (
    LEASE,
    NOW,
    OTHER_ROOM,
    ROOM,
    EventBuilder,
    bridge_complete,
    join_failed,
    joined,
    redirected,
    sample_call,
    transfer_answer,
    transfer_complete,
)
from tests.calls.expected_effects import hang_up_leg, hang_up_phone, leave_room
from tests.calls.playbook import play

LONG = 60.0
OF_AN_ATTEMPT: Final = {
    "seat_no": 0,
    "last_seat_no": 0,
    "next_room": "",
    "is_early_join": False,
    "token_until": 0.0,
    "session_id": "",
    "participant_id": "",
    "from_pool": False,
    "leg_id": "",
    "leg": Leg.NONE,
    "uses_bridge": False,
    "phone_runs_bridge": False,
    "hears": None,
}
"""What is known of a call that nothing has been made for yet."""


def full() -> Call:
    """With everything that an attempt can have: bridged by a leg of ours, moved once, being moved again."""
    return replace(
        sample_call(Media.BRIDGED, leg=Leg.UP),
        seat_no=1,
        last_seat_no=2,
        next_room=OTHER_ROOM,
        is_early_join=True,
        from_pool=True,
        phone_runs_bridge=True,
        hears=("participant-9",),
    )


def test_a_full_call_differs_from_a_new_one_in_all_of_it() -> None:
    assert all(getattr(full(), name) != value for name, value in OF_AN_ATTEMPT.items())
    own = {"attempt", "lease_until"}
    assert {one.name for one in fields(Attempt)} == OF_AN_ATTEMPT.keys() | own, "what else ends with it?"


@pytest.mark.parametrize("order", [order_hold(), order_transfer(), order_hangup(), time_up()])
def test_an_order_leaves_nothing_of_it(order: EventBuilder) -> None:
    play(full()).on(order).knows(**OF_AN_ATTEMPT, attempt=2, room=ROOM)


def test_nor_does_a_phone_that_is_joined_anew() -> None:
    story = play(full()).on(redirected(), after=LONG).joins(2).knows(**OF_AN_ATTEMPT, room=OTHER_ROOM)
    story.knows(attempt=2, lease_until=story.at + LEASE)


def test_a_phone_that_may_not_be_joined_again_is_being_moved_nowhere() -> None:
    story = (
        play(replace(full(), short_legs=2)).on(bridge_complete()).replies(ErrorAndHangUp("transfer-failed"))
    )
    both = (leave_room(1, seat_no=1), leave_room(1, room=OTHER_ROOM, seat_no=2))
    story.expects(*both, hang_up_leg(), hang_up_phone(after=30)).knows(next_room="", short_legs=3)


@pytest.mark.parametrize("intent", [Intent.HOLD, Intent.TRANSFER, Intent.HANGUP])
def test_nor_is_one_that_is_let_go(intent: Intent) -> None:
    call = replace(sample_call(Media.BRIDGED, intent), last_seat_no=1, next_room=OTHER_ROOM)
    story = play(call).on(transfer_complete()).becomes(Media.NONE, intent).knows(next_room="")
    story.expects(leave_room(1), leave_room(1, room=OTHER_ROOM, seat_no=1))


def test_nor_is_one_that_talked() -> None:
    call = replace(sample_call(Media.BRIDGED), last_seat_no=1, next_room=OTHER_ROOM)
    play(call).on(transfer_complete()).replies(HangUp()).knows(next_room="", bridged_at=NOW)


@pytest.mark.parametrize("intent", [Intent.HOLD, Intent.TRANSFER, Intent.HANGUP])
def test_a_place_that_is_not_wanted_any_more_is_given_up_when_the_phone_asks(intent: Intent) -> None:
    play(sample_call(Media.READY, intent)).on(redirected()).expects(leave_room(1)).becomes(Media.NONE, intent)


def test_a_preparation_that_has_failed_is_over() -> None:
    play().on(dial(is_early_join=True)).on(placed()).on(join_failed()).becomes(Media.NONE).knows(
        is_early_join=False
    )


@pytest.mark.parametrize("media", [Media.NONE, Media.LEAVING])
@pytest.mark.parametrize("result", [joined(), join_failed(), found_empty()])
def test_what_a_join_that_is_over_has_made_is_taken_down(media: Media, result: EventBuilder) -> None:
    story = play(sample_call(media)).on(result).replies(Wait()).expects(leave_room(1)).unchanged()
    story.notes("stale attempt")


def test_a_leg_is_given_up_once() -> None:
    """As it has been already, when somebody orders to hang up whom it has failed."""
    story = play(sample_call(Media.TRANSFERRING, leg=Leg.NONE)).on(redirected(), after=LONG * LONG)
    story.replies(ErrorAndHangUp("transfer-failed")).expects(
        leave_room(1), hang_up_leg(after=0), hang_up_phone(after=30)
    )
    story.on(order_hangup()).expects(hang_up_phone()).unchanged()


def test_a_transfer_that_answers_again_stays_bridged() -> None:
    """The first answer counts for when the talk began, also where the state has got behind it."""
    story = play(sample_call(Media.TRANSFERRING)).on(transfer_answer()).becomes(Status.BRIDGED)
    story.knows(bridged_at=NOW, leg_answered_at=NOW)


def test_what_was_for_the_time_until_an_answer_is_over_with_it() -> None:
    story = play().on(redirected()).on(joined()).knows(lease_until=0).on(transfer_answer())
    story.knows(token_until=0)


@pytest.mark.parametrize("media", [Media.BRIDGED, Media.LEAVING])
@pytest.mark.parametrize(("told", "begins"), [(NOW - 1, False), (NOW, True), (0, True)])
def test_a_redirect_from_before_its_leg_begins_nothing(media: Media, told: float, begins: bool) -> None:
    """A late copy of one that was told to wait, or to hold, finds the phone in a talk."""
    call = replace(sample_call(media), leg_event_time=NOW)
    event = replace(redirected()(NOW + LONG), event_time=told)
    decision = decide(call, event)
    assert (decision.call is not call) is begins
    assert (decision.recorded_reply == Wait()) is not begins


@pytest.mark.parametrize(
    ("call", "cue"),
    [
        (sample_call(Media.TRANSFERRING), redirected()),
        (sample_call(Media.TRANSFERRING, answered=False), transfer_answer()),
        (sample_call(Media.TRANSFERRING, leg=Leg.NONE), redirected()),
        (sample_call(Media.TRANSFERRING, leg=Leg.NONE), leg_answer()),
        (sample_call(Media.BRIDGED, leg=Leg.UP), redirected()),
    ],
)
def test_what_a_leg_follows_from_is_known_by_bandwidths_clock(call: Call, cue: EventBuilder) -> None:
    """Answered, it is remembered: its copy gets the same, and whatever was told before is late."""
    after = decide(call, replace(cue(NOW), event_time=NOW - 2)).call
    assert after is not None
    assert after.leg_event_time == NOW - 2


# Put off ----------------------------------------------------------------------------------------------------


def test_a_join_that_may_do_in_a_moment_is_tried_again_while_the_caller_waits() -> None:
    """What it has cost is counted. The silence is not: it has not ended yet."""
    story = play().on(redirected())
    for attempt in range(1, MAX_JOIN_RETRIES + 1):
        story.on(join_failed(attempt, is_temporary=True, silence_ms=900)).replies(Wait(JOIN_RETRY_PAUSE))
        story.expects(leave_room(attempt)).becomes(Media.NONE, Intent.BRIDGE)
        story.knows(join_retries=attempt, silence_ms=0, requests=2 * attempt, retries=attempt, failure="")
        story.on(redirected()).joins(attempt + 1).expects().cancels("hang-up", "redirect-phone")
    last = MAX_JOIN_RETRIES + 1
    story.on(join_failed(last, is_temporary=True, silence_ms=900)).replies(ErrorAndHangUp("bandwidth-error"))
    story.expects(leave_room(last), hang_up_phone(after=30)).becomes(Intent.HANGUP)
    story.knows(join_retries=MAX_JOIN_RETRIES, silence_ms=900, failure="bandwidth-error")


def test_a_room_that_stays_full_is_waited_for_twice() -> None:
    story = play().on(redirected())
    for attempt in range(1, MAX_ROOM_FULL_RETRIES + 1):
        story.on(join_failed(attempt, "room-full", is_temporary=True)).replies(Wait(JOIN_RETRY_PAUSE))
        story.on(redirected()).joins(attempt + 1)
    story.on(join_failed(MAX_ROOM_FULL_RETRIES + 1, "room-full", is_temporary=True)).replies(
        ErrorAndHangUp("room-full")
    )
    assert MAX_ROOM_FULL_RETRIES < MAX_JOIN_RETRIES


def test_a_join_that_does_begins_the_count_anew() -> None:
    story = (
        play()
        .on(redirected())
        .on(join_failed(is_temporary=True))
        .on(redirected())
        .on(joined(2, silence_ms=4000))
    )
    story.replies(TransferToWebRtc(2)).knows(join_retries=0, silence_ms=4000)


def test_a_leg_of_a_join_that_is_put_off_is_hung_up() -> None:
    story = (
        play()
        .on(redirected())
        .on(leg_answer())
        .on(join_failed(is_temporary=True))
        .replies(Wait(JOIN_RETRY_PAUSE))
    )
    story.expects(leave_room(1), hang_up_leg())
