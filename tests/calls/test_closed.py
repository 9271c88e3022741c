"""While no new calls are taken, who calls is told so and let go; calls that are known go on."""

import pytest

from service.calls.model import Blame, Intent, Media, Outcome, Status
from service.calls.replies import AskDigits, Farewell, Join, Nothing
from tests.calls.event_builders import NOW, Cue, disconnect, initiate, redirect, turned_away
from tests.calls.playbook import play

CLOSED = "We are closed."


@pytest.mark.parametrize(
    "cue", [initiate(closed=CLOSED), initiate(closed=CLOSED, asks=3), redirect(closed=CLOSED)]
)
def test_a_new_caller_is_told_and_let_go(cue: Cue) -> None:
    story = play().on(cue)
    story.replies(Farewell(CLOSED))
    assert (story.call.media, story.call.intent, story.call.attempt) == (Media.NONE, Intent.HANGUP, 0)
    [owed] = story.decision.owed
    assert owed.effect.id == "hang-up"
    assert owed.due > NOW + 30, "the message is heard to its end"


def test_the_end_has_a_word_of_its_own() -> None:
    story = play().on(initiate(closed=CLOSED)).on(disconnect("hangup"))
    assert story.call.status is Status.ENDED
    assert story.call.outcome == Outcome(Blame.LIMIT, "closed", cause="hangup")


def test_who_asks_again_hears_it_again() -> None:
    play().on(initiate(closed=CLOSED)).on(redirect()).replies(Farewell(CLOSED))


def test_one_that_was_turned_away_meanwhile_is_told_when_it_comes_back() -> None:
    story = play().on(turned_away(closed=CLOSED))
    story.replies(Nothing())
    story.on(redirect()).replies(Farewell(CLOSED))


def test_calls_that_are_known_go_on() -> None:
    play().on(initiate(asks=3)).on(redirect(asks=3, closed=CLOSED)).replies(AskDigits())
    play().on(turned_away()).on(redirect(closed=CLOSED)).replies(Join(1))
