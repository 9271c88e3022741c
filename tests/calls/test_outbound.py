"""Calls that somebody has had placed: from the order to dial to whatever becomes of it."""

import pytest

from service.calls.model import Blame, Direction, Intent, Media, Outcome, Phone, Status
from service.calls.replies import Apologise, Elsewhere, Hangup, Join, KeepTag, Nothing, Transfer, Wait
from service.calls.room_settings import Way
from tests.calls.event_builders import (
    CALL_ID,
    CALLER,
    FALLBACK,
    LEASE,
    OURS,
    ROOM,
    TOKEN_LIFE,
    Cue,
    answer,
    disconnect,
    join_failed,
    joined,
    redirect,
    transfer_answer,
    vanished,
)
from tests.calls.expected_effects import (
    AT_THE_END,
    end_dialing,
    hang_up,
    leave,
    name_call,
    redirect_phone,
    tell_time_short,
    tell_time_up,
)
from tests.calls.playbook import Playbook, play
from tests.calls.control_event_builders import (
    DIALING,
    dial,
    dialing_over,
    evicted,
    not_placed,
    order_hangup,
    order_hold,
    order_join,
    order_transfer,
    placed,
    time_up,
)

NO_ID = {"call_id": ""}
GONE_FOR_GOOD = disconnect("timeout", direction=Direction.OUTBOUND)


def ringing() -> Playbook:
    return play().on(dial()).on(placed())


def prepared() -> Playbook:
    return play().on(dial(prepare=True)).on(placed()).on(joined())


# From the order to the talk ---------------------------------------------------------------------------------


def test_a_call_is_written_down_with_a_seat_before_anybody_is_asked_to_dial() -> None:
    story = play().on(dial(max_duration=3600)).replies(Nothing()).expects(end_dialing(after=DIALING))
    story.becomes(Status.DIALING, Phone.DIALING, Media.READY, Intent.BRIDGE)
    story.knows(
        **NO_ID, room=ROOM, attempt=1, from_number=OURS, to_number=CALLER, tag="order-1", placed_by="crm"
    )
    story.on(placed()).replies(Nothing()).expects(name_call()).cancels().notes("")
    story.becomes(Status.DIALING)
    story.on(answer()).replies(Join(1)).expects(tell_time_up(after=3600), tell_time_short(after=3570))
    story.cancels("end-dialing", "hang-up", "redirect-phone").becomes(Status.JOINING, Phone.UP)
    story.knows(call_id=CALL_ID, answered_at=story.at, lease_until=story.at + LEASE)
    story.on(joined()).replies(Transfer(1)).on(transfer_answer()).replies(KeepTag(story.call.seat))
    story.becomes(Status.BRIDGED)


def test_a_call_without_a_limit_is_never_told_that_its_time_is_up() -> None:
    ringing().on(answer()).expects()


@pytest.mark.parametrize("way", [None, *Way])
def test_whoever_has_a_number_dialed_may_name_the_way(way: Way | None) -> None:
    play().on(dial(way=way)).knows(way=way)


def test_dialing_the_same_call_twice_is_one_call() -> None:
    play().on(dial()).on(dial()).replies(Nothing()).expects().unchanged()


def test_the_answer_overtakes_the_response_to_create_call() -> None:
    story = play().on(dial()).on(answer()).replies(Join(1)).expects(name_call()).knows(call_id=CALL_ID)
    story.on(placed()).replies(Nothing()).expects().unchanged()


def test_a_seat_is_kept_for_who_is_joined_at_the_answer() -> None:
    """Reserved before the number was dialed, so that the room is not full by now."""
    story = ringing().on(answer()).replies(Join(1)).expects()
    story.on(disconnect()).expects(leave(1, after=LEASE - 1))


def test_an_answer_that_met_a_store_that_was_down_is_heard_of_later() -> None:
    ringing().on(redirect()).replies(Join(1)).becomes(Phone.UP).knows(answered_at=ringing().at + 1)


# It comes to nothing ----------------------------------------------------------------------------------------


def test_create_call_is_refused() -> None:
    story = play().on(dial()).on(not_placed("rate-limited")).replies(Nothing()).expects(leave(1))
    story.cancels(*AT_THE_END).becomes(Status.ENDED, Media.NONE)
    story.knows(outcome=Outcome(Blame.LIMIT, "rate-limited"), failure="rate-limited")
    story.on(not_placed()).expects().unchanged().notes("call has ended")


def test_create_call_is_refused_while_the_participant_is_made() -> None:
    story = play().on(dial(prepare=True)).on(not_placed()).expects(leave(1, after=LEASE - 1))
    story.becomes(Phone.GONE, Media.MAKING)
    story.on(joined()).replies(Hangup()).expects(leave(1)).becomes(Media.NONE)


@pytest.mark.parametrize("sign", [placed(), answer()])
def test_what_says_that_there_is_a_call_is_believed(sign: Cue) -> None:
    story = play().on(dial()).on(sign).on(not_placed()).replies(Nothing()).expects().unchanged()
    story.notes("the call exists")


@pytest.mark.parametrize(
    ("cause", "blame", "reason"),
    [
        ("busy", Blame.CALLEE, "busy"),
        ("timeout", Blame.CALLEE, "no-answer"),
        ("rejected", Blame.CALLEE, "rejected"),
        ("cancel", Blame.NOBODY, "cancelled"),
    ],
)
def test_nobody_answers(cause: str, blame: Blame, reason: str) -> None:
    story = (
        ringing().on(disconnect(cause, direction=Direction.OUTBOUND)).expects(leave(1)).cancels(*AT_THE_END)
    )
    story.becomes(Status.ENDED).knows(outcome=Outcome(blame, reason, cause=cause))
    story.on(answer()).replies(Hangup()).expects().unchanged()


def test_a_disconnect_overtakes_the_response_to_create_call() -> None:
    story = play().on(dial()).on(GONE_FOR_GOOD).expects(leave(1), name_call()).becomes(Status.ENDED)
    story.knows(call_id=CALL_ID).on(placed()).replies(Nothing()).expects().unchanged().notes("")


def test_nothing_is_heard_of_it_for_longer_than_it_can_ring() -> None:
    story = (
        ringing().on(dialing_over(), after=DIALING).replies(Nothing()).expects(leave(1)).cancels(*AT_THE_END)
    )
    story.becomes(Status.ENDED).knows(outcome=Outcome(Blame.BANDWIDTH, "never-heard-of"))
    story.on(answer()).replies(Hangup()).expects().unchanged()


def test_who_has_answered_is_heard_of() -> None:
    story = ringing().on(answer()).on(dialing_over()).replies(Nothing()).expects().unchanged()
    story.notes("the phone has answered")


# The participant is made in advance -------------------------------------------------------------------------


def test_a_participant_is_made_while_it_rings() -> None:
    story = play().on(dial(prepare=True)).replies(Join(1)).expects(end_dialing(after=DIALING))
    story.becomes(Status.DIALING, Media.MAKING).knows(prepares=True, lease_until=story.at + LEASE)
    story.on(joined()).replies(Nothing()).expects().becomes(Status.DIALING, Media.READY)
    story.knows(participant_id="participant-1", prepares=False)
    story.on(answer()).replies(Transfer(1)).expects(name_call()).cancels("end-dialing").keeps_token()
    story.becomes(Status.TRANSFERRING)


def test_the_answer_comes_before_the_participant_is_there() -> None:
    story = play().on(dial(prepare=True)).on(answer()).replies(Wait()).becomes(Status.JOINING, Media.MAKING)
    story.on(joined()).replies(Wait()).becomes(Media.READY, Phone.UP)
    story.on(redirect()).replies(Transfer(1)).becomes(Status.TRANSFERRING)


def test_a_replica_that_dies_while_it_prepares_is_taken_over_from() -> None:
    story = play().on(dial(prepare=True)).on(answer(), after=LEASE).replies(Join(2))
    story.expects(leave(1), name_call()).knows(prepares=False)
    story.on(joined(1)).replies(Wait()).expects(leave(1)).on(joined(2)).replies(Transfer(2))


def test_a_room_that_is_closed_while_a_place_in_it_is_prepared_ends_the_call() -> None:
    story = play().on(dial(prepare=True)).on(placed()).on(join_failed(reason="room-closed"))
    story.becomes(Intent.HANGUP, Media.NONE).knows(failure="room-closed")
    story.expects(leave(1), hang_up(after=30), hang_up())
    answered = play().on(dial(prepare=True)).on(answer()).on(join_failed(reason="room-closed"))
    answered.expects(leave(1), redirect_phone(2), hang_up(after=30))
    answered.on(redirect()).replies(Apologise("room-closed"))


def test_a_participant_that_could_not_be_made_in_advance_is_made_at_the_answer() -> None:
    story = play().on(dial(prepare=True)).on(join_failed()).replies(Wait()).expects(leave(1))
    story.becomes(Status.DIALING, Media.NONE, Intent.BRIDGE).knows(failure="", requests=2)
    story.on(answer()).replies(Join(2)).on(joined(2)).replies(Transfer(2))


def test_a_preparation_that_fails_with_somebody_on_the_phone_is_tried_again() -> None:
    story = play().on(dial(prepare=True)).on(answer()).on(join_failed()).replies(Wait()).expects(leave(1))
    story.on(redirect()).replies(Join(2)).on(join_failed(2)).replies(Apologise("bandwidth-error"))


def test_a_token_that_has_expired_by_the_answer_is_not_used() -> None:
    prepared().on(answer(), after=TOKEN_LIFE).replies(Join(2)).expects(leave(1)).drops_token()


@pytest.mark.parametrize("up", [False, True])
def test_a_participant_that_has_vanished_before_the_talk_is_made_anew(*, up: bool) -> None:
    story = play().on(dial(prepare=True)).on(placed())
    story = story.on(answer()).on(joined()) if up else story.on(joined())
    story.on(vanished()).replies(Nothing()).expects(leave(1)).drops_token().becomes(Media.NONE, Intent.BRIDGE)
    story.on(redirect()).replies(Join(2))


def test_a_prepared_participant_is_taken_down_with_a_call_that_nobody_answers() -> None:
    prepared().on(GONE_FOR_GOOD).expects(leave(1)).drops_token().becomes(Status.ENDED)


def test_an_outbound_call_has_a_way_out_too() -> None:
    story = play().on(dial(fallback=FALLBACK)).on(answer()).on(join_failed()).replies(Elsewhere(2, FALLBACK))
    story.cancels("hang-up")


# What is said first -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ordered", "of_the_room", "said"),
    [("Hello.", "Welcome.", "Hello."), ("", "Welcome.", "Welcome."), ("Hello.", "", "Hello."), ("", "", "")],
)
def test_the_order_has_the_first_word_then_the_room(ordered: str, of_the_room: str, said: str) -> None:
    story = play().on(dial(announcement=ordered)).on(answer()).on(joined(announcement=of_the_room))
    story.replies(Transfer(1, said))


# Orders while it rings --------------------------------------------------------------------------------------


def test_a_hang_up_is_ordered_before_the_id_is_known() -> None:
    story = (
        play().on(dial()).on(order_hangup()).obeyed().expects(leave(1)).becomes(Intent.HANGUP, Phone.DIALING)
    )
    story.on(placed()).expects(name_call(), hang_up()).on(GONE_FOR_GOOD).cancels(*AT_THE_END)
    story.becomes(Status.ENDED)


def test_a_phone_that_answers_meanwhile_is_hung_up() -> None:
    story = play().on(dial()).on(order_hangup()).on(answer()).replies(Hangup())
    story.expects(name_call(), hang_up(after=30)).becomes(Phone.UP, Media.NONE)


def test_nobody_hangs_up_a_phone_that_has_gone() -> None:
    play().on(dial()).on(order_hangup()).on(GONE_FOR_GOOD).expects(name_call()).becomes(Status.ENDED)


def test_a_hang_up_is_ordered_while_it_rings() -> None:
    story = ringing().on(order_hangup()).expects(leave(1), hang_up()).cancels("redirect-phone")
    story.on(order_hangup()).expects(hang_up()).unchanged()


def test_a_call_that_is_refused_after_its_hang_up_was_ordered_is_over() -> None:
    play().on(dial()).on(order_hangup()).on(not_placed()).expects().becomes(Status.ENDED)


def test_another_room_is_ordered_while_it_rings() -> None:
    story = prepared().on(order_join()).obeyed().expects(leave(1)).becomes(Status.DIALING, Media.NONE)
    story.knows(room="support", participant_id="")
    story.on(answer()).replies(Join(3)).expects()


def test_another_room_is_ordered_while_a_participant_is_made_in_advance() -> None:
    story = play().on(dial(prepare=True)).on(order_join()).expects(leave(1, after=LEASE - 1))
    story.becomes(Media.NONE, Status.DIALING).knows(prepares=False)
    story.on(joined()).expects(leave(1)).unchanged().on(answer()).replies(Join(3))


def test_the_room_that_it_is_dialed_for_is_ordered_again() -> None:
    prepared().on(order_join(ROOM)).obeyed().expects().unchanged()


def test_what_needs_somebody_on_the_phone_is_refused_while_it_rings() -> None:
    ringing().on(order_transfer()).refused("the phone has not answered")
    ringing().on(order_hold()).refused("the call is not bridged: it is dialing")


@pytest.mark.parametrize("known", [False, True])
def test_the_room_is_closed_while_it_rings(*, known: bool) -> None:
    story = ringing() if known else play().on(dial())
    story.on(evicted()).becomes(Status.DIALING, Intent.HANGUP, Media.NONE).knows(failure="room-closed")
    story.expects(leave(1), *([hang_up(after=30), hang_up()] if known else []))
    if not known:
        story.on(placed()).expects(name_call(), hang_up())
    story.on(answer()).replies(Apologise("room-closed"))


# The time limit ---------------------------------------------------------------------------------------------


def test_the_time_is_up() -> None:
    story = play().on(dial(max_duration=600)).on(answer()).on(joined()).on(transfer_answer())
    story.on(time_up(), after=600).expects(leave(1), redirect_phone(2), hang_up(after=30)).drops_token()
    story.becomes(Intent.HANGUP, Media.NONE).knows(failure="time-limit")
    story.on(time_up()).expects().unchanged()
    story.on(redirect()).replies(Apologise("time-limit"))
    story.on(disconnect()).knows(outcome=Outcome(Blame.LIMIT, "time-limit", cause="hangup"))


def test_the_time_is_called_off_with_the_call() -> None:
    play().on(dial(max_duration=600)).on(answer()).on(disconnect()).cancels(*AT_THE_END)
