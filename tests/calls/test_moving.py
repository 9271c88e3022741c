"""From one room into another with both legs up, and what can come between."""

import pytest

from service.calls.model import Intent, Leg, Media, Status
from service.calls.replies import HangUp, Hold, NoReply, Wait
from tests.calls.control_event_builders import (
    left_alone,
    leg_disconnect,
    move_failed,
    moved,
    order_hangup,
    order_hold,
    order_join,
    order_subscriptions,
    order_transfer,
    room_closed,
)
from tests.calls.event_builders import (
    OTHER_ROOM,
    ROOM,
    EventBuilder,
    bridge_complete,
    disconnect,
    joined,
    participant_vanished,
    redirected,
    sample_call,
    transfer_answer,
    transfer_complete,
    transfer_disconnect,
)
from tests.calls.expected_effects import (
    CANCELLED_AT_END,
    hang_up_leg,
    hang_up_phone,
    leave_room,
    move_participant,
    redirect_phone,
    subscribe,
)
from tests.calls.playbook import Playbook, play

BOTH = (leave_room(1), leave_room(1, room=OTHER_ROOM, seat_no=1))
"""The seat that the participant has, and the one that it may have by now."""


def bridged() -> Playbook:
    return play().on(redirected()).on(joined()).on(transfer_answer())


def moving() -> Playbook:
    return bridged().on(order_join())


# It arrives, or stays ---------------------------------------------------------------------------------------


def test_from_room_to_room_with_both_legs_up() -> None:
    story = moving().accepted().replies(NoReply()).expects(move_participant()).cancels().keeps_token()
    story.becomes(Status.BRIDGED).knows(room=ROOM, next_room=OTHER_ROOM, attempt=1, seat_no=0, last_seat_no=1)
    # The participant lives on in the other room.
    story.on(moved()).replies(NoReply()).expects(leave_room(1, keeps_participant=True)).becomes(
        Status.BRIDGED
    )
    story.knows(room=OTHER_ROOM, next_room="", seat_no=1, session_id=f"session-of-{OTHER_ROOM}", attempt=1)
    story.on(disconnect()).expects(leave_room(1, room=OTHER_ROOM, seat_no=1))


def test_there_and_back_takes_a_new_seat_each_time() -> None:
    story = moving().on(moved()).on(order_join(ROOM)).accepted()
    story.expects(move_participant(2, room=OTHER_ROOM, current_seat_no=1, next_room=ROOM))
    story.on(moved(seat_no=2, room=ROOM)).expects(
        leave_room(1, room=OTHER_ROOM, seat_no=1, keeps_participant=True)
    )
    story.knows(room=ROOM, seat_no=2, last_seat_no=2)


def test_a_participant_that_could_not_be_moved_stays() -> None:
    story = moving().on(move_failed()).replies(NoReply()).becomes(Status.BRIDGED)
    story.expects(leave_room(1, room=OTHER_ROOM, seat_no=1, keeps_participant=True)).knows(
        room=ROOM, next_room="", seat_no=0
    )
    story.on(order_join()).accepted().expects(move_participant(2))


def test_whom_it_heard_in_the_room_before_is_not_there() -> None:
    story = bridged().on(order_subscriptions("participant-9")).expects(subscribe("participant-9"))
    # Should it have to go back, it hears them again.
    story.on(order_join()).expects(move_participant(hears=("participant-9",))).on(moved()).knows(hears=None)


def test_the_way_is_that_of_the_leg() -> None:
    story = play(sample_call(Media.BRIDGED, leg=Leg.UP)).on(order_join()).expects(move_participant())
    story.on(moved()).becomes(Status.BRIDGED).knows(leg=Leg.UP, uses_bridge=True)


# Told twice -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [moved(), move_failed()])
def test_a_participant_that_is_there_is_not_taken_down(again: EventBuilder) -> None:
    """By a worker that was thought to be dead, or that had not struck its work off."""
    story = moving().on(moved()).on(again).replies(NoReply()).expects().unchanged()
    story.notes("the call is there already")


def test_the_room_has_got_another_session_when_the_move_is_told_again() -> None:
    story = (
        moving().on(moved()).on(moved(session="session-9")).expects().knows(session_id="session-9", seat_no=1)
    )
    story.becomes(Status.BRIDGED).knows(room=OTHER_ROOM)


@pytest.mark.parametrize("again", [moved(), move_failed()])
def test_a_participant_that_has_stayed_is_not_taken_down(again: EventBuilder) -> None:
    story = moving().on(move_failed()).on(again).unchanged().notes("the call is elsewhere by now")
    story.expects(leave_room(1, room=OTHER_ROOM, seat_no=1, keeps_participant=True))


@pytest.mark.parametrize("again", [moved(), move_failed()])
def test_a_participant_that_has_gone_on_is_not_taken_down(again: EventBuilder) -> None:
    story = moving().on(moved()).on(order_join("third")).on(again).expects().unchanged()
    story.on(moved(seat_no=2, room="third")).on(again).unchanged()
    story.expects(leave_room(1, room=OTHER_ROOM, seat_no=1, keeps_participant=True))


# Orders on the way ------------------------------------------------------------------------------------------


def test_one_move_at_a_time() -> None:
    why = f"the call is being moved to room {OTHER_ROOM}; try again when it is there"
    for order in (order_join("third"), order_join(ROOM), order_subscriptions()):
        moving().on(order).refused(why)


@pytest.mark.parametrize(
    ("order", "intent"),
    [(order_hold(), Intent.HOLD), (order_transfer(), Intent.TRANSFER), (order_hangup(), Intent.HANGUP)],
)
@pytest.mark.parametrize("late", [moved(), move_failed()])
def test_both_seats_are_given_up_and_what_comes_late_is_taken_down(
    order: EventBuilder, intent: Intent, late: EventBuilder
) -> None:
    story = moving().on(order).accepted().becomes(intent, Media.NONE).knows(next_room="")
    story.expects(*BOTH, hang_up_phone() if intent is Intent.HANGUP else redirect_phone(2))
    story.on(late).expects(leave_room(1, room=OTHER_ROOM, seat_no=1)).unchanged().notes("stale attempt")


def test_hold_while_moving_and_back() -> None:
    story = moving().on(order_hold()).on(redirected()).replies(Hold()).on(order_join()).on(redirected())
    story.joins(4).expects().knows(room=OTHER_ROOM, seat_no=0, last_seat_no=0)


# The call ends or changes on the way ------------------------------------------------------------------------


@pytest.mark.parametrize("late", [moved(), move_failed()])
def test_the_phone_goes_on_the_way(late: EventBuilder) -> None:
    story = moving().on(disconnect()).expects(*BOTH).cancels(*CANCELLED_AT_END).knows(next_room="")
    story.on(late).expects(leave_room(1, room=OTHER_ROOM, seat_no=1)).unchanged()


@pytest.mark.parametrize("late", [moved(), move_failed()])
def test_the_leg_ends_on_the_way(late: EventBuilder) -> None:
    story = moving().on(transfer_disconnect()).expects(*BOTH, hang_up_phone(after=30)).becomes(Media.LEAVING)
    story.on(late).expects(leave_room(1, room=OTHER_ROOM, seat_no=1)).unchanged().notes("stale attempt")
    story.on(transfer_complete()).replies(HangUp()).expects(hang_up_phone(after=30))


def test_the_transfer_is_over_on_the_way() -> None:
    moving().on(transfer_complete()).replies(HangUp()).expects(*BOTH, hang_up_phone(after=30)).knows(
        next_room=""
    )


def test_a_transfer_that_breaks_on_the_way_is_joined_where_it_was_to_go() -> None:
    """As one does whose end is told by its disconnect first."""
    story = moving().on(transfer_complete(cause="error", short_leg=5)).replies(Wait()).expects(*BOTH)
    story.knows(room=OTHER_ROOM, next_room="").on(redirected()).joins(2).expects()
    story = (
        moving().on(transfer_disconnect()).on(transfer_complete(cause="error", short_leg=5)).on(redirected())
    )
    story.joins(2).knows(room=OTHER_ROOM)


def test_the_participant_is_lost_on_the_way() -> None:
    story = moving().on(participant_vanished()).expects(*BOTH, redirect_phone(2), hang_up_phone(after=30))
    story.becomes(Intent.HANGUP).knows(failure="participant-vanished", next_room="")


def test_a_phone_that_asks_on_the_way_is_joined_where_it_was_to_go() -> None:
    story = moving().on(redirected()).joins(2).expects(*BOTH).knows(room=OTHER_ROOM, next_room="")
    story.on(moved()).expects(leave_room(1, room=OTHER_ROOM, seat_no=1)).unchanged()


@pytest.mark.parametrize("first", [leg_disconnect(), bridge_complete()])
def test_a_phone_that_loses_its_leg_on_the_way_is_joined_where_it_was_to_go(first: EventBuilder) -> None:
    story = (
        play(sample_call(Media.BRIDGED, leg=Leg.UP)).on(order_join(), after=60).on(first).knows(next_room="")
    )
    if story.call.media is Media.LEAVING:
        story.on(bridge_complete())
    story.joins(2).knows(room=OTHER_ROOM)


@pytest.mark.parametrize("room", [ROOM, OTHER_ROOM])
def test_one_of_the_two_rooms_is_closed_on_the_way(room: str) -> None:
    story = moving().on(room_closed(room=room)).expects(*BOTH, redirect_phone(2), hang_up_phone(after=30))
    story.becomes(Intent.HANGUP).knows(failure="room-closed")


def test_the_room_before_says_what_does_not_matter_any_more() -> None:
    for news in (room_closed(), left_alone()):
        moving().on(moved()).on(news).expects().unchanged().notes("the call has left the room")
    moving().on(left_alone()).expects().unchanged().notes("the call has left the room")


def test_own_leg_is_hung_up_with_both_seats() -> None:
    story = play(sample_call(Media.BRIDGED, leg=Leg.UP)).on(order_join()).on(disconnect())
    story.expects(*BOTH, hang_up_leg())
