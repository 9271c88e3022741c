"""While no new calls are taken, who calls is told so and let go; calls that are known go on."""

import pytest

from service.calls.model import Blame, Intent, Media, Outcome, Status
from service.calls.replies import GatherPin, NoReply, SayAndHangUp
from tests.calls.event_builders import NOW, EventBuilder, asked_to_retry, disconnect, initiate, redirected
from tests.calls.playbook import play

CLOSED = "We are closed."


@pytest.mark.parametrize(
    "cue",
    [
        initiate(closed_message=CLOSED),
        initiate(closed_message=CLOSED, pin_attempts_allowed=3),
        redirected(closed_message=CLOSED),
    ],
)
def test_a_new_caller_is_told_and_let_go(cue: EventBuilder) -> None:
    story = play().on(cue)
    story.replies(SayAndHangUp(CLOSED))
    assert (story.call.media, story.call.intent, story.call.attempt) == (Media.NONE, Intent.HANGUP, 0)
    [owed] = story.decision.effects
    assert owed.effect.id == "hang-up"
    assert owed.due > NOW + 30, "the message is heard to its end"


def test_the_end_has_a_word_of_its_own() -> None:
    story = play().on(initiate(closed_message=CLOSED)).on(disconnect("hangup"))
    assert story.call.status is Status.ENDED
    assert story.call.outcome == Outcome(Blame.LIMIT, "closed", cause="hangup")


def test_who_asks_again_hears_it_again() -> None:
    play().on(initiate(closed_message=CLOSED)).on(redirected()).replies(SayAndHangUp(CLOSED))


def test_one_that_was_turned_away_meanwhile_is_told_when_it_comes_back() -> None:
    story = play().on(asked_to_retry(closed_message=CLOSED))
    story.replies(NoReply())
    story.on(redirected()).replies(SayAndHangUp(CLOSED))


def test_calls_that_are_known_go_on() -> None:
    play().on(initiate(pin_attempts_allowed=3)).on(
        redirected(pin_attempts_allowed=3, closed_message=CLOSED)
    ).replies(GatherPin())
    play().on(asked_to_retry()).on(redirected(closed_message=CLOSED)).joins(1)
