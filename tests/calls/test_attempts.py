"""What belongs to an attempt ends with it, whichever way the call goes on."""

from typing import Final

import pytest
from msgspec.structs import replace

from service.calls.decide import decide
from service.calls.model import Call, Intent, Leg, Media, Status
from service.calls.replies import Apologise, Hangup, Join, Transfer, Wait
from service.calls.rules.joining import FULL_ROUNDS, ROUND, ROUNDS
from tests.calls.event_builders import (
    LEASE,
    NOW,
    OTHER_ROOM,
    ROOM,
    Cue,
    a_call,
    bridge_complete,
    join_failed,
    joined,
    redirect,
    transfer_answer,
    transfer_complete,
)
from tests.calls.expected_effects import hang_up, hang_up_leg, leave
from tests.calls.playbook import play
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

LONG = 60.0
OF_AN_ATTEMPT: Final = {
    "place": 0,
    "places": 0,
    "next_room": "",
    "prepares": False,
    "token_until": 0.0,
    "session_id": "",
    "participant_id": "",
    "stocked": False,
    "leg_id": "",
    "leg": Leg.NONE,
    "own_leg": False,
    "phone_bridges": False,
    "hears": None,
}
"""What is known of a call that nothing has been made for yet."""


def full() -> Call:
    """With everything that an attempt can have: bridged by a leg of ours, moved once, being moved again."""
    return replace(
        a_call(Media.BRIDGED, leg=Leg.UP),
        place=1,
        places=2,
        next_room=OTHER_ROOM,
        prepares=True,
        stocked=True,
        phone_bridges=True,
        hears=("participant-9",),
    )


def test_a_full_call_differs_from_a_new_one_in_all_of_it() -> None:
    assert all(getattr(full(), name) != value for name, value in OF_AN_ATTEMPT.items())


@pytest.mark.parametrize("order", [order_hold(), order_transfer(), order_hangup(), time_up()])
def test_an_order_leaves_nothing_of_it(order: Cue) -> None:
    play(full()).on(order).knows(**OF_AN_ATTEMPT, attempt=2, room=ROOM)


def test_nor_does_a_phone_that_is_joined_anew() -> None:
    story = play(full()).on(redirect(), after=LONG).replies(Join(2)).knows(**OF_AN_ATTEMPT, room=OTHER_ROOM)
    story.knows(attempt=2, lease_until=story.at + LEASE)


def test_a_phone_that_may_not_be_joined_again_is_being_moved_nowhere() -> None:
    story = play(replace(full(), short_legs=2)).on(bridge_complete()).replies(Apologise("transfer-failed"))
    both = (leave(1, place=1), leave(1, room=OTHER_ROOM, place=2))
    story.expects(*both, hang_up_leg(), hang_up(after=30)).knows(next_room="", short_legs=3)


@pytest.mark.parametrize("intent", [Intent.HOLD, Intent.ELSEWHERE, Intent.HANGUP])
def test_nor_is_one_that_is_let_go(intent: Intent) -> None:
    call = replace(a_call(Media.BRIDGED, intent), places=1, next_room=OTHER_ROOM)
    story = play(call).on(transfer_complete()).becomes(Media.NONE, intent).knows(next_room="")
    story.expects(leave(1), leave(1, room=OTHER_ROOM, place=1))


def test_nor_is_one_that_talked() -> None:
    call = replace(a_call(Media.BRIDGED), places=1, next_room=OTHER_ROOM)
    play(call).on(transfer_complete()).replies(Hangup()).knows(next_room="", bridged_at=NOW)


@pytest.mark.parametrize("intent", [Intent.HOLD, Intent.ELSEWHERE, Intent.HANGUP])
def test_a_place_that_is_not_wanted_any_more_is_given_up_when_the_phone_asks(intent: Intent) -> None:
    play(a_call(Media.READY, intent)).on(redirect()).expects(leave(1)).becomes(Media.NONE, intent)


def test_a_preparation_that_has_failed_is_over() -> None:
    play().on(dial(prepare=True)).on(placed()).on(join_failed()).becomes(Media.NONE).knows(prepares=False)


@pytest.mark.parametrize("media", [Media.NONE, Media.LEAVING])
@pytest.mark.parametrize("result", [joined(), join_failed(), found_empty()])
def test_what_a_join_that_is_over_has_made_is_taken_down(media: Media, result: Cue) -> None:
    story = play(a_call(media)).on(result).replies(Wait()).expects(leave(1)).unchanged()
    story.notes("stale attempt")


def test_a_leg_is_given_up_once() -> None:
    """As it has been already, when somebody orders to hang up whom it has failed."""
    story = play(a_call(Media.TRANSFERRING, leg=Leg.NONE)).on(redirect(), after=LONG * LONG)
    story.replies(Apologise("transfer-failed")).expects(leave(1), hang_up_leg(after=0), hang_up(after=30))
    story.on(order_hangup()).expects(hang_up()).unchanged()


def test_a_transfer_that_answers_again_stays_bridged() -> None:
    """The first answer counts for when the talk began, also where the state has got behind it."""
    story = play(a_call(Media.TRANSFERRING)).on(transfer_answer()).becomes(Status.BRIDGED)
    story.knows(bridged_at=NOW, leg_answered_at=NOW)


def test_what_was_for_the_time_until_an_answer_is_over_with_it() -> None:
    story = play().on(redirect()).on(joined()).knows(lease_until=0).on(transfer_answer())
    story.knows(token_until=0)


@pytest.mark.parametrize("media", [Media.BRIDGED, Media.LEAVING])
@pytest.mark.parametrize(("told", "begins"), [(NOW - 1, False), (NOW, True), (0, True)])
def test_a_redirect_from_before_its_leg_begins_nothing(media: Media, told: float, begins: bool) -> None:
    """A late copy of one that was told to wait, or to hold, finds the phone in a talk."""
    call = replace(a_call(media), told_at=NOW)
    event = replace(redirect()(NOW + LONG), told=told)
    decision = decide(call, event)
    assert (decision.call is not call) is begins
    assert (decision.reply == Wait()) is not begins


@pytest.mark.parametrize(
    ("call", "cue"),
    [
        (a_call(Media.TRANSFERRING), redirect()),
        (a_call(Media.TRANSFERRING, answered=False), transfer_answer()),
        (a_call(Media.TRANSFERRING, leg=Leg.NONE), redirect()),
        (a_call(Media.TRANSFERRING, leg=Leg.NONE), leg_answer()),
        (a_call(Media.BRIDGED, leg=Leg.UP), redirect()),
    ],
)
def test_what_a_leg_follows_from_is_known_by_bandwidths_clock(call: Call, cue: Cue) -> None:
    """Answered, it is remembered: its copy gets the same, and whatever was told before is late."""
    after = decide(call, replace(cue(NOW), told=NOW - 2)).call
    assert after is not None
    assert after.told_at == NOW - 2


# Put off ----------------------------------------------------------------------------------------------------


def test_a_join_that_may_do_in_a_moment_is_tried_again_while_the_caller_waits() -> None:
    """What it has cost is counted. The silence is not: it has not ended yet."""
    story = play().on(redirect())
    for attempt in range(1, ROUNDS + 1):
        story.on(join_failed(attempt, again=True, silence_ms=900)).replies(Wait(ROUND))
        story.expects(leave(attempt)).becomes(Media.NONE, Intent.BRIDGE)
        story.knows(put_off=attempt, silence_ms=0, requests=2 * attempt, retries=attempt, failure="")
        story.on(redirect()).replies(Join(attempt + 1)).expects().cancels("hang-up", "redirect-phone")
    last = ROUNDS + 1
    story.on(join_failed(last, again=True, silence_ms=900)).replies(Apologise("bandwidth-error"))
    story.expects(leave(last), hang_up(after=30)).becomes(Intent.HANGUP)
    story.knows(put_off=ROUNDS, silence_ms=900, failure="bandwidth-error")


def test_a_room_that_stays_full_is_waited_for_twice() -> None:
    story = play().on(redirect())
    for attempt in range(1, FULL_ROUNDS + 1):
        story.on(join_failed(attempt, "room-full", again=True)).replies(Wait(ROUND))
        story.on(redirect()).replies(Join(attempt + 1))
    story.on(join_failed(FULL_ROUNDS + 1, "room-full", again=True)).replies(Apologise("room-full"))
    assert FULL_ROUNDS < ROUNDS


def test_a_join_that_does_begins_the_count_anew() -> None:
    story = play().on(redirect()).on(join_failed(again=True)).on(redirect()).on(joined(2, silence_ms=4000))
    story.replies(Transfer(2)).knows(put_off=0, silence_ms=4000)


def test_a_leg_of_a_join_that_is_put_off_is_hung_up() -> None:
    story = play().on(redirect()).on(leg_answer()).on(join_failed(again=True)).replies(Wait(ROUND))
    story.expects(leave(1), hang_up_leg())
