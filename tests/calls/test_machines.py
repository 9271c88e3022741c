"""An outbound call is answered by a machine, which we hear with the answer or later."""

import pytest

from service.calls.model import Blame, Intent, Media, OnMachine, Outcome, Phone, Status
from service.calls.replies import ErrorAndHangUp, HangUp, NoReply, SayAndHangUp, TransferToWebRtc, Wait
from tests.calls.control_event_builders import (
    dial,
    leg_answer,
    machine_detected,
    order_hangup,
    order_hold,
    order_join,
    order_subscriptions,
    order_transfer,
    placed,
)
from tests.calls.event_builders import (
    LEASE,
    EventBuilder,
    answer,
    disconnect,
    joined,
    redirected,
    sample_call,
    transfer_answer,
)
from tests.calls.expected_effects import (
    CANCELLED_AT_END,
    hang_up_leg,
    hang_up_phone,
    leave_room,
    record_call_id,
    redirect_phone,
)
from tests.calls.playbook import Playbook, play

MACHINES = pytest.mark.parametrize("found", ["answering-machine", "tone-detected"])
NO_MACHINES = pytest.mark.parametrize("found", ["human", "silence", "timeout", "error"])
MESSAGE = "Call us back."
TO_HEAR_IT = 30 + len(MESSAGE) * 0.1
PREPARES = pytest.mark.parametrize("prepare", [False, True])


def dialed(on_machine: OnMachine, *, prepare: bool = False) -> Playbook:
    story = (
        play().on(dial(on_machine=on_machine, machine_message=MESSAGE, is_early_join=prepare)).on(placed())
    )
    return story.on(joined()) if prepare else story


def on_the_line(on_machine: OnMachine) -> Playbook:
    return dialed(on_machine).on(answer()).on(joined()).on(transfer_answer())


# With the answer --------------------------------------------------------------------------------------------


@MACHINES
def test_a_machine_is_joined_like_a_person_unless_somebody_says_otherwise(found: str) -> None:
    dialed(OnMachine.JOIN).on(answer(found)).joins(1).knows(machine=found)
    dialed(OnMachine.JOIN, prepare=True).on(answer(found)).replies(TransferToWebRtc(1)).knows(machine=found)


@NO_MACHINES
@pytest.mark.parametrize("on_machine", OnMachine)
def test_what_is_no_machine_is_joined(found: str, on_machine: OnMachine) -> None:
    dialed(on_machine).on(answer(found)).joins(1).knows(machine=found)


@MACHINES
@PREPARES
def test_a_machine_is_hung_up_without_a_word(found: str, *, prepare: bool) -> None:
    story = dialed(OnMachine.HANGUP, prepare=prepare).on(answer(found)).replies(HangUp())
    story.expects(leave_room(1), hang_up_phone(after=30)).drops_token().becomes(
        Phone.UP, Media.NONE, Intent.HANGUP
    )
    story.knows(machine=found, failure="answering-machine")
    story.on(answer(found)).replies(HangUp()).expects().unchanged()
    story.on(disconnect("hangup")).cancels(*CANCELLED_AT_END)
    story.knows(outcome=Outcome(Blame.NOBODY, "answering-machine", cause="hangup"))


@PREPARES
def test_a_message_is_left(*, prepare: bool) -> None:
    story = dialed(OnMachine.MESSAGE, prepare=prepare).on(answer("answering-machine"))
    story.replies(SayAndHangUp(MESSAGE)).expects(leave_room(1), hang_up_phone(after=TO_HEAR_IT)).becomes(
        Intent.HANGUP
    )
    story.on(redirected()).replies(SayAndHangUp(MESSAGE)).expects().unchanged()


def test_a_machine_answers_while_the_participant_is_made() -> None:
    story = play().on(dial(on_machine=OnMachine.HANGUP, is_early_join=True)).on(placed())
    story.on(answer("answering-machine")).replies(HangUp()).expects(
        leave_room(1, after=LEASE - 2), hang_up_phone(after=30)
    )
    story.becomes(Intent.HANGUP, Media.NONE).on(joined()).expects(leave_room(1)).unchanged()


def test_a_machine_answers_after_the_preparation_has_failed() -> None:
    story = dialed(OnMachine.HANGUP, prepare=True).on(order_join()).on(answer("answering-machine"))
    story.replies(HangUp()).becomes(Intent.HANGUP)


def test_the_answer_of_a_machine_is_the_first_that_is_heard_of_a_call() -> None:
    play().on(answer("answering-machine")).joins(1).knows(machine="answering-machine")


def test_a_machine_whose_answer_comes_after_the_phone_has_asked_is_hung_up() -> None:
    """The webhook met a store that was down, and comes once more by another address."""
    story = dialed(OnMachine.HANGUP).on(redirected()).on(joined()).on(answer("answering-machine"))
    story.replies(HangUp()).expects(leave_room(1), hang_up_phone(after=30)).becomes(Intent.HANGUP)


def test_a_machine_in_a_call_of_which_the_id_is_learned_with_the_answer() -> None:
    story = play().on(dial(on_machine=OnMachine.HANGUP)).on(answer("answering-machine")).replies(HangUp())
    story.expects(leave_room(1), hang_up_phone(after=30), record_call_id())


# While the phone is on the line -----------------------------------------------------------------------------


@MACHINES
def test_a_machine_on_the_line_is_hung_up(found: str) -> None:
    story = on_the_line(OnMachine.HANGUP).on(machine_detected(found)).replies(NoReply())
    story.expects(leave_room(1), redirect_phone(2), hang_up_phone(after=30)).drops_token()
    story.becomes(Intent.HANGUP, Media.NONE, Status.DETACHED).knows(
        machine=found, failure="answering-machine"
    )
    story.on(redirected()).replies(HangUp()).on(machine_detected(found)).expects().unchanged()


def test_a_message_is_left_to_a_machine_on_the_line() -> None:
    story = on_the_line(OnMachine.MESSAGE).on(machine_detected())
    story.expects(leave_room(1), redirect_phone(2), hang_up_phone(after=TO_HEAR_IT))
    story.on(redirected()).replies(SayAndHangUp(MESSAGE))


@pytest.mark.parametrize("found", ["answering-machine", "human", "silence"])
def test_who_is_on_the_line_stays_there(found: str) -> None:
    story = on_the_line(OnMachine.JOIN).on(machine_detected(found)).replies(NoReply()).expects().cancels()
    story.becomes(Status.BRIDGED).knows(machine=found)


@NO_MACHINES
def test_a_person_on_the_line_stays_there(found: str) -> None:
    on_the_line(OnMachine.HANGUP).on(machine_detected(found)).expects().becomes(Status.BRIDGED).knows(
        machine=found
    )


def test_a_machine_is_found_during_the_join() -> None:
    story = dialed(OnMachine.MESSAGE).on(answer()).on(machine_detected())
    story.expects(leave_room(1, after=LEASE - 1), hang_up_phone(after=TO_HEAR_IT)).becomes(Media.NONE)
    story.on(joined()).replies(SayAndHangUp(MESSAGE)).expects(leave_room(1))


def test_a_machine_is_found_before_we_hear_of_the_answer() -> None:
    story = (
        dialed(OnMachine.MESSAGE)
        .on(machine_detected())
        .expects(leave_room(1), hang_up_phone(after=TO_HEAR_IT))
    )
    story.becomes(Phone.DIALING, Intent.HANGUP).on(answer()).replies(SayAndHangUp(MESSAGE)).expects()


def test_a_machine_is_found_before_we_hear_of_anything_else() -> None:
    """Its message is not cut off by the hang-up that is owed as soon as the id is known."""
    story = (
        play()
        .on(dial(on_machine=OnMachine.MESSAGE, machine_message=MESSAGE))
        .on(machine_detected())
        .expects(leave_room(1))
    )
    story.on(answer()).replies(SayAndHangUp(MESSAGE)).expects(
        record_call_id(), hang_up_phone(after=TO_HEAR_IT)
    )


def test_a_machine_whose_call_is_being_hung_up_is_told_nothing() -> None:
    story = (
        on_the_line(OnMachine.MESSAGE).on(order_hangup()).on(machine_detected()).expects().knows(failure="")
    )
    story.on(redirected()).replies(HangUp())


def test_an_inbound_call_is_never_a_machine() -> None:
    play(sample_call(Media.BRIDGED)).on(machine_detected()).expects().becomes(Status.BRIDGED)


def test_our_own_leg_is_hung_up_with_the_machine() -> None:
    story = (
        play().on(dial(on_machine=OnMachine.HANGUP, is_early_join=True)).on(placed()).on(joined(has_leg=True))
    )
    story.on(leg_answer()).on(answer("answering-machine")).replies(HangUp())
    story.expects(leave_room(1), hang_up_leg(), hang_up_phone(after=30))


def test_nothing_is_apologised_for_to_a_machine() -> None:
    story = on_the_line(OnMachine.HANGUP).on(machine_detected()).on(redirected())
    assert not isinstance(story.decision.reply, ErrorAndHangUp | Wait)


# A verdict that is late, or false --------------------------------------------------------------------------

ORDERS = pytest.mark.parametrize(
    "order", [order_hold(), order_join("elsewhere"), order_transfer(), order_subscriptions()]
)


@MACHINES
@ORDERS
@pytest.mark.parametrize("on_machine", [OnMachine.HANGUP, OnMachine.MESSAGE])
def test_a_verdict_after_an_order_is_written_down_only(
    found: str, order: EventBuilder, on_machine: OnMachine
) -> None:
    story = on_the_line(on_machine).on(order)
    before = story.call
    assert before is not None
    story.on(machine_detected(found)).replies(NoReply()).expects().cancels().knows(machine=found, failure="")
    story.becomes(before.phone, before.media, before.intent)
    story.notes("a person or an operator was there first")


@MACHINES
def test_a_verdict_after_a_person_was_heard_is_written_down_only(found: str) -> None:
    story = on_the_line(OnMachine.HANGUP).on(machine_detected("human")).on(machine_detected(found))
    story.expects().becomes(Status.BRIDGED).knows(machine=found)
    story.on(machine_detected(found)).expects().becomes(Status.BRIDGED)
    dialed(OnMachine.HANGUP).on(answer("human")).on(joined()).on(machine_detected(found)).expects()


@MACHINES
@pytest.mark.parametrize("first", ["silence", "timeout", "error"])
def test_a_verdict_after_one_that_says_nothing_still_counts(found: str, first: str) -> None:
    story = (
        on_the_line(OnMachine.HANGUP)
        .on(machine_detected(first))
        .on(machine_detected(found))
        .becomes(Intent.HANGUP)
    )
    story.knows(failure="answering-machine")


@MACHINES
def test_an_order_that_is_refused_settles_nothing(found: str) -> None:
    story = (
        dialed(OnMachine.HANGUP)
        .on(answer())
        .on(order_hold())
        .on(machine_detected(found))
        .becomes(Intent.HANGUP)
    )
    story.knows(failure="answering-machine")
