"""Numbers on which digits name the room."""

import pytest

from service.calls.model import Blame, Intent, Media, Outcome, Phone, Status
from service.calls.pin_guessing import WrongPinCounts
from service.calls.replies import (
    ErrorAndHangUp,
    GatherPin,
    HangUp,
    TransferToNumber,
    TransferToWebRtc,
    Wait,
)
from tests.calls.control_event_builders import (
    order_hangup,
    order_hold,
    order_join,
    order_transfer,
    room_closed,
)
from tests.calls.event_builders import (
    FALLBACK,
    LEASE,
    OTHER_ROOM,
    TRANSFER_NUMBER,
    disconnect,
    gathered,
    initiate,
    joined,
    redirected,
    transfer_answer,
)
from tests.calls.expected_effects import CANCELLED_AT_END, hang_up_phone, redirect_phone
from tests.calls.playbook import Playbook, play


def asked() -> Playbook:
    return play().on(initiate(pin_attempts_allowed=3, fallback_number=FALLBACK))


def test_digits_name_the_room() -> None:
    story = asked().replies(GatherPin()).expects().cancels()
    story.becomes(Status.INITIATED, Intent.PIN, Media.NONE).knows(room="", attempt=0, pin_attempts=0)
    story.on(gathered(OTHER_ROOM)).joins(1).becomes(Intent.BRIDGE, Phone.UP).knows(room=OTHER_ROOM)
    story.on(joined(room=OTHER_ROOM)).replies(TransferToWebRtc(1)).on(transfer_answer()).becomes(
        Status.BRIDGED
    )


def test_the_second_try_is_right() -> None:
    story = asked().on(gathered()).replies(GatherPin(after_wrong_pin=True)).expects().knows(pin_attempts=1)
    story.becomes(Intent.PIN).on(gathered(OTHER_ROOM)).joins(1).knows(room=OTHER_ROOM)


def test_three_tries_and_no_more() -> None:
    """Nor is the fallback number for who does not know the way in."""
    story = (
        asked()
        .on(gathered())
        .replies(GatherPin(after_wrong_pin=True))
        .on(gathered())
        .replies(GatherPin(after_wrong_pin=True))
    )
    story.on(gathered()).replies(ErrorAndHangUp("wrong-pin")).expects(hang_up_phone(after=30)).becomes(
        Intent.HANGUP
    )
    story.on(gathered(OTHER_ROOM)).replies(ErrorAndHangUp("wrong-pin")).expects().unchanged()
    story.on(disconnect()).cancels(*CANCELLED_AT_END)
    story.knows(outcome=Outcome(Blame.CALLER, "wrong-pin", cause="hangup"))


def test_one_try_where_no_more_are_allowed() -> None:
    play().on(initiate(pin_attempts_allowed=1)).on(gathered(pin_attempts_allowed=1)).replies(
        ErrorAndHangUp("wrong-pin")
    )


def test_a_caller_that_has_guessed_too_often_is_not_asked() -> None:
    play().on(initiate(pin_attempts_allowed=3, wrong_pins=WrongPinCounts(by_caller=9))).replies(GatherPin())
    story = play().on(
        initiate(pin_attempts_allowed=3, fallback_number=FALLBACK, wrong_pins=WrongPinCounts(by_caller=10))
    )
    story.replies(ErrorAndHangUp("pin-guessing")).expects(hang_up_phone(after=30)).becomes(Intent.HANGUP)
    story.on(disconnect()).knows(outcome=Outcome(Blame.CALLER, "pin-guessing", cause="hangup"))
    play().on(gathered(OTHER_ROOM, wrong_pins=WrongPinCounts(by_caller=10))).joins(1)


def test_the_call_that_guesses_goes_on_to_its_end() -> None:
    asked().on(gathered(wrong_pins=WrongPinCounts(by_caller=10))).replies(GatherPin(after_wrong_pin=True))


def test_one_try_on_a_number_on_which_many_were_wrong() -> None:
    asked().on(gathered(wrong_pins=WrongPinCounts(on_number=99))).replies(GatherPin(after_wrong_pin=True))
    asked().on(gathered(wrong_pins=WrongPinCounts(on_number=100))).replies(ErrorAndHangUp("wrong-pin"))
    many = (
        play()
        .on(initiate(pin_attempts_allowed=3, wrong_pins=WrongPinCounts(on_number=1000)))
        .replies(GatherPin())
    )
    many.on(gathered(OTHER_ROOM)).joins(1)


def test_digits_are_the_first_that_is_heard_of_a_call() -> None:
    play().on(gathered(OTHER_ROOM)).joins(1).becomes(Phone.UP).knows(room=OTHER_ROOM, attempt=1)
    play().on(gathered()).replies(GatherPin(after_wrong_pin=True)).becomes(Intent.PIN).knows(
        pin_attempts=1, room=""
    )


def test_digits_on_a_number_that_asks_for_none_are_a_caller_who_asks() -> None:
    play().on(gathered(pin_attempts_allowed=0)).joins(1).becomes(Intent.BRIDGE)


def test_a_phone_that_asks_is_asked_again() -> None:
    asked().on(initiate(pin_attempts_allowed=3)).replies(GatherPin()).expects().unchanged()
    asked().on(redirected(pin_attempts_allowed=3)).replies(GatherPin()).expects()
    asked().on(gathered()).on(redirected(pin_attempts_allowed=3)).replies(
        GatherPin(after_wrong_pin=True)
    ).unchanged()


def test_digits_that_come_late_begin_nothing_anew() -> None:
    joining = asked().on(gathered(OTHER_ROOM))
    joining.on(gathered(OTHER_ROOM)).replies(Wait()).unchanged()
    joining.on(gathered("third"), after=LEASE).joins(2).knows(room=OTHER_ROOM)
    joining.on(joined(2, room=OTHER_ROOM)).on(gathered()).replies(TransferToWebRtc(2)).unchanged()
    joining.on(transfer_answer(2)).on(gathered()).replies(Wait()).unchanged()


@pytest.mark.parametrize("digits", ["", OTHER_ROOM])
def test_digits_for_somebody_who_was_ordered_elsewhere_meanwhile(digits: str) -> None:
    story = asked().on(order_transfer()).accepted().expects(redirect_phone(1)).becomes(Intent.TRANSFER)
    story.on(gathered(digits)).replies(TransferToNumber(1, TRANSFER_NUMBER)).knows(room="", pin_attempts=0)


def test_an_operator_lets_the_caller_in() -> None:
    story = asked().on(order_join()).accepted().expects(redirect_phone(1)).becomes(Intent.BRIDGE)
    story.on(gathered()).joins(2).knows(room=OTHER_ROOM)


def test_who_is_asked_is_in_no_room() -> None:
    asked().on(order_hold()).refused("the call is not bridged: it is initiated")
    asked().on(room_closed(0)).expects().unchanged()
    asked().on(disconnect()).expects().becomes(Status.ENDED)
    asked().on(order_hangup()).expects(hang_up_phone()).on(gathered()).replies(HangUp())
