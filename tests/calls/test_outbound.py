"""Calls that somebody has had placed: from the order to dial to whatever becomes of it."""

import pytest

from service.calls.model import Blame, Direction, Intent, Media, Outcome, Phone, Status
from service.calls.replies import (
    AcceptLeg,
    ErrorAndHangUp,
    HangUp,
    NoReply,
    TransferToNumber,
    TransferToWebRtc,
    Wait,
)
from service.calls.room_settings import InterconnectMode
from tests.calls.control_event_builders import (
    DIALING_SECONDS,
    dial,
    dialing_timed_out,
    not_placed,
    order_hangup,
    order_hold,
    order_join,
    order_transfer,
    placed,
    room_closed,
    time_up,
)
from tests.calls.event_builders import (
    CALL_ID,
    CALLER,
    FALLBACK,
    LEASE,
    OUR_NUMBER,
    ROOM,
    TOKEN_LIFE,
    EventBuilder,
    answer,
    disconnect,
    join_failed,
    joined,
    participant_vanished,
    redirected,
    transfer_answer,
)
from tests.calls.expected_effects import (
    CANCELLED_AT_END,
    end_dialing,
    hang_up_phone,
    leave_room,
    record_call_id,
    redirect_phone,
    tell_time_nearly_up,
    tell_time_up,
)
from tests.calls.playbook import Playbook, play

NO_ID = {"call_id": ""}
GONE_FOR_GOOD = disconnect("timeout", direction=Direction.OUTBOUND)


def ringing() -> Playbook:
    return play().on(dial()).on(placed())


def prepared() -> Playbook:
    return play().on(dial(is_early_join=True)).on(placed()).on(joined())


# From the order to the talk ---------------------------------------------------------------------------------


def test_a_call_is_written_down_with_a_seat_before_anybody_is_asked_to_dial() -> None:
    story = play().on(dial(max_duration=3600)).replies(NoReply()).expects(end_dialing(after=DIALING_SECONDS))
    story.becomes(Status.DIALING, Phone.DIALING, Media.READY, Intent.BRIDGE)
    story.knows(
        **NO_ID,
        room=ROOM,
        attempt=1,
        from_number=OUR_NUMBER,
        to_number=CALLER,
        tag="order-1",
        placed_by="crm",
    )
    story.on(placed()).replies(NoReply()).expects(record_call_id()).cancels().notes("")
    story.becomes(Status.DIALING)
    story.on(answer()).joins(1).expects(tell_time_up(after=3600), tell_time_nearly_up(after=3570))
    story.cancels("end-dialing", "hang-up", "redirect-phone").becomes(Status.JOINING, Phone.UP)
    story.knows(call_id=CALL_ID, answered_at=story.at, lease_until=story.at + LEASE)
    story.on(joined()).replies(TransferToWebRtc(1)).on(transfer_answer()).replies(AcceptLeg(story.call.seat))
    story.becomes(Status.BRIDGED)


def test_a_call_without_a_limit_is_never_told_that_its_time_is_up() -> None:
    ringing().on(answer()).expects()


@pytest.mark.parametrize("way", [None, *InterconnectMode])
def test_whoever_has_a_number_dialed_may_name_the_way(way: InterconnectMode | None) -> None:
    play().on(dial(interconnect=way)).knows(interconnect=way)


def test_dialing_the_same_call_twice_is_one_call() -> None:
    play().on(dial()).on(dial()).replies(NoReply()).expects().unchanged()


def test_the_answer_overtakes_the_response_to_create_call() -> None:
    story = play().on(dial()).on(answer()).joins(1).expects(record_call_id()).knows(call_id=CALL_ID)
    story.on(placed()).replies(NoReply()).expects().unchanged()


def test_a_seat_is_kept_for_who_is_joined_at_the_answer() -> None:
    """Reserved before the number was dialed, so that the room is not full by now."""
    story = ringing().on(answer()).joins(1).expects()
    story.on(disconnect()).expects(leave_room(1, after=LEASE - 1))


def test_an_answer_that_met_a_store_that_was_down_is_heard_of_later() -> None:
    ringing().on(redirected()).joins(1).becomes(Phone.UP).knows(answered_at=ringing().at + 1)


# It comes to nothing ----------------------------------------------------------------------------------------


def test_create_call_is_refused() -> None:
    story = play().on(dial()).on(not_placed("rate-limited")).replies(NoReply()).expects(leave_room(1))
    story.cancels(*CANCELLED_AT_END).becomes(Status.ENDED, Media.NONE)
    story.knows(outcome=Outcome(Blame.LIMIT, "rate-limited"), failure="rate-limited")
    story.on(not_placed()).expects().unchanged().notes("call has ended")


def test_create_call_is_refused_while_the_participant_is_made() -> None:
    story = play().on(dial(is_early_join=True)).on(not_placed()).expects(leave_room(1, after=LEASE - 1))
    story.becomes(Phone.GONE, Media.JOINING)
    story.on(joined()).replies(HangUp()).expects(leave_room(1)).becomes(Media.NONE)


@pytest.mark.parametrize("sign", [placed(), answer()])
def test_what_says_that_there_is_a_call_is_believed(sign: EventBuilder) -> None:
    story = play().on(dial()).on(sign).on(not_placed()).replies(NoReply()).expects().unchanged()
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
        ringing()
        .on(disconnect(cause, direction=Direction.OUTBOUND))
        .expects(leave_room(1))
        .cancels(*CANCELLED_AT_END)
    )
    story.becomes(Status.ENDED).knows(outcome=Outcome(blame, reason, cause=cause))
    story.on(answer()).replies(HangUp()).expects().unchanged()


def test_a_disconnect_overtakes_the_response_to_create_call() -> None:
    story = play().on(dial()).on(GONE_FOR_GOOD).expects(leave_room(1), record_call_id()).becomes(Status.ENDED)
    story.knows(call_id=CALL_ID).on(placed()).replies(NoReply()).expects().unchanged().notes("")


def test_nothing_is_heard_of_it_for_longer_than_it_can_ring() -> None:
    story = (
        ringing()
        .on(dialing_timed_out(), after=DIALING_SECONDS)
        .replies(NoReply())
        .expects(leave_room(1))
        .cancels(*CANCELLED_AT_END)
    )
    story.becomes(Status.ENDED).knows(outcome=Outcome(Blame.BANDWIDTH, "never-heard-of"))
    story.on(answer()).replies(HangUp()).expects().unchanged()


def test_who_has_answered_is_heard_of() -> None:
    story = ringing().on(answer()).on(dialing_timed_out()).replies(NoReply()).expects().unchanged()
    story.notes("the phone has answered")


# The participant is made in advance -------------------------------------------------------------------------


def test_a_participant_is_made_while_it_rings() -> None:
    story = play().on(dial(is_early_join=True)).joins(1).expects(end_dialing(after=DIALING_SECONDS))
    story.becomes(Status.DIALING, Media.JOINING).knows(is_early_join=True, lease_until=story.at + LEASE)
    story.on(joined()).replies(NoReply()).expects().becomes(Status.DIALING, Media.READY)
    story.knows(participant_id="participant-1", is_early_join=False)
    story.on(answer()).replies(TransferToWebRtc(1)).expects(record_call_id()).cancels(
        "end-dialing"
    ).keeps_token()
    story.becomes(Status.TRANSFERRING)


def test_the_answer_comes_before_the_participant_is_there() -> None:
    story = (
        play()
        .on(dial(is_early_join=True))
        .on(answer())
        .replies(Wait())
        .becomes(Status.JOINING, Media.JOINING)
    )
    story.on(joined()).replies(Wait()).becomes(Media.READY, Phone.UP)
    story.on(redirected()).replies(TransferToWebRtc(1)).becomes(Status.TRANSFERRING)


def test_a_replica_that_dies_while_it_prepares_is_taken_over_from() -> None:
    story = play().on(dial(is_early_join=True)).on(answer(), after=LEASE).joins(2)
    story.expects(leave_room(1), record_call_id()).knows(is_early_join=False)
    story.on(joined(1)).replies(Wait()).expects(leave_room(1)).on(joined(2)).replies(TransferToWebRtc(2))


def test_a_room_that_is_closed_while_a_place_in_it_is_prepared_ends_the_call() -> None:
    story = play().on(dial(is_early_join=True)).on(placed()).on(join_failed(reason="room-closed"))
    story.becomes(Intent.HANGUP, Media.NONE).knows(failure="room-closed")
    story.expects(leave_room(1), hang_up_phone(after=30), hang_up_phone())
    answered = play().on(dial(is_early_join=True)).on(answer()).on(join_failed(reason="room-closed"))
    answered.expects(leave_room(1), redirect_phone(2), hang_up_phone(after=30))
    answered.on(redirected()).replies(ErrorAndHangUp("room-closed"))


def test_a_participant_that_could_not_be_made_in_advance_is_made_at_the_answer() -> None:
    story = play().on(dial(is_early_join=True)).on(join_failed()).replies(Wait()).expects(leave_room(1))
    story.becomes(Status.DIALING, Media.NONE, Intent.BRIDGE).knows(failure="", requests=2)
    story.on(answer()).joins(2).on(joined(2)).replies(TransferToWebRtc(2))


def test_a_preparation_that_fails_with_somebody_on_the_phone_is_tried_again() -> None:
    story = (
        play()
        .on(dial(is_early_join=True))
        .on(answer())
        .on(join_failed())
        .replies(Wait())
        .expects(leave_room(1))
    )
    story.on(redirected()).joins(2).on(join_failed(2)).replies(ErrorAndHangUp("bandwidth-error"))


def test_a_token_that_has_expired_by_the_answer_is_not_used() -> None:
    prepared().on(answer(), after=TOKEN_LIFE).joins(2).expects(leave_room(1)).drops_token()


@pytest.mark.parametrize("up", [False, True])
def test_a_participant_that_has_vanished_before_the_talk_is_made_anew(*, up: bool) -> None:
    story = play().on(dial(is_early_join=True)).on(placed())
    story = story.on(answer()).on(joined()) if up else story.on(joined())
    story.on(participant_vanished()).replies(NoReply()).expects(leave_room(1)).drops_token().becomes(
        Media.NONE, Intent.BRIDGE
    )
    story.on(redirected()).joins(2)


def test_a_prepared_participant_is_taken_down_with_a_call_that_nobody_answers() -> None:
    prepared().on(GONE_FOR_GOOD).expects(leave_room(1)).drops_token().becomes(Status.ENDED)


def test_an_outbound_call_has_a_way_out_too() -> None:
    story = (
        play()
        .on(dial(fallback_number=FALLBACK))
        .on(answer())
        .on(join_failed())
        .replies(TransferToNumber(2, FALLBACK))
    )
    story.cancels("hang-up")


# What is said first -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ordered", "of_the_room", "said"),
    [("Hello.", "Welcome.", "Hello."), ("", "Welcome.", "Welcome."), ("Hello.", "", "Hello."), ("", "", "")],
)
def test_the_order_has_the_first_word_then_the_room(ordered: str, of_the_room: str, said: str) -> None:
    story = play().on(dial(announcement=ordered)).on(answer()).on(joined(announcement=of_the_room))
    story.replies(TransferToWebRtc(1, said))


# Orders while it rings --------------------------------------------------------------------------------------


def test_a_hang_up_is_ordered_before_the_id_is_known() -> None:
    story = (
        play()
        .on(dial())
        .on(order_hangup())
        .accepted()
        .expects(leave_room(1))
        .becomes(Intent.HANGUP, Phone.DIALING)
    )
    story.on(placed()).expects(record_call_id(), hang_up_phone()).on(GONE_FOR_GOOD).cancels(*CANCELLED_AT_END)
    story.becomes(Status.ENDED)


def test_a_phone_that_answers_meanwhile_is_hung_up() -> None:
    story = play().on(dial()).on(order_hangup()).on(answer()).replies(HangUp())
    story.expects(record_call_id(), hang_up_phone(after=30)).becomes(Phone.UP, Media.NONE)


def test_nobody_hangs_up_a_phone_that_has_gone() -> None:
    play().on(dial()).on(order_hangup()).on(GONE_FOR_GOOD).expects(record_call_id()).becomes(Status.ENDED)


def test_a_hang_up_is_ordered_while_it_rings() -> None:
    story = ringing().on(order_hangup()).expects(leave_room(1), hang_up_phone()).cancels("redirect-phone")
    story.on(order_hangup()).expects(hang_up_phone()).unchanged()


def test_a_call_that_is_refused_after_its_hang_up_was_ordered_is_over() -> None:
    play().on(dial()).on(order_hangup()).on(not_placed()).expects().becomes(Status.ENDED)


def test_another_room_is_ordered_while_it_rings() -> None:
    story = prepared().on(order_join()).accepted().expects(leave_room(1)).becomes(Status.DIALING, Media.NONE)
    story.knows(room="support", participant_id="")
    story.on(answer()).joins(3).expects()


def test_another_room_is_ordered_while_a_participant_is_made_in_advance() -> None:
    story = play().on(dial(is_early_join=True)).on(order_join()).expects(leave_room(1, after=LEASE - 1))
    story.becomes(Media.NONE, Status.DIALING).knows(is_early_join=False)
    story.on(joined()).expects(leave_room(1)).unchanged().on(answer()).joins(3)


def test_the_room_that_it_is_dialed_for_is_ordered_again() -> None:
    prepared().on(order_join(ROOM)).accepted().expects().unchanged()


def test_what_needs_somebody_on_the_phone_is_refused_while_it_rings() -> None:
    ringing().on(order_transfer()).refused("the phone has not answered")
    ringing().on(order_hold()).refused("the call is not bridged: it is dialing")


@pytest.mark.parametrize("known", [False, True])
def test_the_room_is_closed_while_it_rings(*, known: bool) -> None:
    story = ringing() if known else play().on(dial())
    story.on(room_closed()).becomes(Status.DIALING, Intent.HANGUP, Media.NONE).knows(failure="room-closed")
    story.expects(leave_room(1), *([hang_up_phone(after=30), hang_up_phone()] if known else []))
    if not known:
        story.on(placed()).expects(record_call_id(), hang_up_phone())
    story.on(answer()).replies(ErrorAndHangUp("room-closed"))


# The time limit ---------------------------------------------------------------------------------------------


def test_the_time_is_up() -> None:
    story = play().on(dial(max_duration=600)).on(answer()).on(joined()).on(transfer_answer())
    story.on(time_up(), after=600).expects(
        leave_room(1), redirect_phone(2), hang_up_phone(after=30)
    ).drops_token()
    story.becomes(Intent.HANGUP, Media.NONE).knows(failure="time-limit")
    story.on(time_up()).expects().unchanged()
    story.on(redirected()).replies(ErrorAndHangUp("time-limit"))
    story.on(disconnect()).knows(outcome=Outcome(Blame.LIMIT, "time-limit", cause="hangup"))


def test_the_time_is_called_off_with_the_call() -> None:
    play().on(dial(max_duration=600)).on(answer()).on(disconnect()).cancels(*CANCELLED_AT_END)
