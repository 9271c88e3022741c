"""A phone that was asked to come back while the store was away is known once the store is back."""

from itertools import permutations

import pytest
from msgspec.structs import replace

from service.calls import events
from service.calls.decide import decide
from service.calls.events import Answer
from service.calls.model import Blame, Direction, Intent, Media, Outcome, Phone
from service.calls.outcomes import ERASED
from service.calls.replies import GatherPin, HangUp, NoReply
from tests.calls.event_builders import (
    FALLBACK,
    NOW,
    EventBuilder,
    answer,
    asked_to_retry,
    disconnect,
    initiate,
    redirected,
    sample_call,
    transfer_answer,
)
from tests.calls.playbook import Playbook, play


def test_all_that_the_phone_has_said_is_known() -> None:
    event = answer("human", fallback_number=FALLBACK)(NOW)
    assert isinstance(event, Answer)
    away = events.asked_to_retry(event)
    shared = set(away.__struct_fields__) - {"outage_hangup_at"}
    assert shared == set(event.__struct_fields__) - {"machine"}
    assert [name for name in shared if getattr(away, name) != getattr(event, name)] == []


def test_when_it_was_let_go_is_known_where_it_was() -> None:
    event = answer()(NOW)
    assert isinstance(event, Answer)
    assert events.asked_to_retry(event).outage_hangup_at == 0
    assert events.asked_to_retry(event, outage_hangup_at=NOW).outage_hangup_at == NOW


def test_it_is_written_down_and_nothing_is_begun() -> None:
    story = play().on(asked_to_retry())
    story.expects().replies(NoReply())
    assert (story.call.phone, story.call.media, story.call.intent) == (
        Phone.RINGING,
        Media.NONE,
        Intent.BRIDGE,
    )


def test_who_comes_back_is_joined() -> None:
    story = play().on(asked_to_retry()).on(redirected())
    story.joins(1)
    assert story.call.media is Media.JOINING


def test_who_has_come_back_before_is_not_touched() -> None:
    before = play().on(initiate())
    after = before.on(asked_to_retry())
    after.expects().replies(NoReply())
    assert after.call.attempt == 1


def test_where_digits_are_asked_for_they_are_asked_for_again() -> None:
    play().on(asked_to_retry(pin_attempts_allowed=3)).on(redirected()).replies(GatherPin())


def test_one_that_is_up_is_up() -> None:
    assert play().on(asked_to_retry(answered=True)).call.phone is Phone.UP


def test_nothing_comes_after_the_end() -> None:
    story = play().on(disconnect()).on(asked_to_retry())
    story.replies(NoReply()).expects().cancels().unchanged()
    assert story.call.phone is Phone.GONE


@pytest.mark.parametrize("direction", list(Direction))
def test_what_was_erased_stays_so(direction: Direction) -> None:
    """The end got through first, and was erased before the rest did."""
    erased = replace(
        sample_call(Media.NONE, Intent.HANGUP, Phone.GONE),
        direction=direction,
        ended_at=NOW + 9,
        outcome=Outcome(Blame.NOBODY, ERASED),
    )
    told = decide(erased, asked_to_retry(answered=True, outage_waits=3, waited=12, is_hung_up=True)(NOW + 5))
    assert told.call == erased
    assert not told.effects


def test_when_it_came_first_is_kept() -> None:
    """The store was away all the time: nobody else could write down that it had come."""
    story = play().on(redirected(outage_waits=3, waited=9)).joins(1)
    story.knows(created_at=story.at - 9, outage_waits=3)


def test_rounds_of_a_call_that_is_known_are_kept() -> None:
    story = play().on(asked_to_retry())
    came = story.at
    story = story.on(redirected(outage_waits=2, waited=1), after=9).knows(created_at=came, outage_waits=2)
    story.on(redirected(outage_waits=1, waited=1)).knows(outage_waits=2)
    story.on(redirected()).knows(outage_waits=2)


# The end, written down before or after ----------------------------------------------------------------------

ABANDONED = Outcome(Blame.CALLER, "abandoned", cause="hangup")
OURS = Outcome(Blame.SERVICE, "internal-error", cause="hangup")


Kept = tuple[EventBuilder, float]
"""What was kept while the store was away, and at how many seconds it happened."""


def told(*kept: Kept) -> Playbook:
    """In the order in which it got through."""
    story = play()
    for cue, at in kept:
        story.on(cue, after=NOW + at - story.at)
    return story


def in_any_order(*kept: Kept) -> list[tuple[Kept, ...]]:
    """Told by the test itself: no mutant is switched on yet while tests are collected."""
    return [*permutations(kept)]


CAME = (asked_to_retry(), 1.0)
LET_GO = (asked_to_retry(answered=True, outage_waits=3, waited=12, is_hung_up=True), 13.0)


@pytest.mark.parametrize("kept", in_any_order(CAME, LET_GO, (disconnect(), 17.0)))
def test_who_was_let_go_was_let_go_by_us(kept: tuple[Kept, ...]) -> None:
    story = told(*kept).becomes(Phone.GONE, Intent.HANGUP)
    story.knows(outcome=OURS, failure="internal-error", created_at=NOW + 1, ended_at=NOW + 17, outage_waits=3)


@pytest.mark.parametrize("kept", in_any_order(LET_GO, (disconnect(), 17.0)))
def test_its_last_round_alone_says_it_all(kept: tuple[Kept, ...]) -> None:
    told(*kept).knows(outcome=OURS, created_at=NOW + 1, outage_waits=3)


@pytest.mark.parametrize("kept", in_any_order(CAME, (disconnect(), 5.0)))
def test_who_hung_up_in_between_has_given_up(kept: tuple[Kept, ...]) -> None:
    told(*kept).knows(outcome=ABANDONED, failure="", created_at=NOW + 1, ended_at=NOW + 5)


@pytest.mark.parametrize("kept", in_any_order(CAME, LET_GO, (disconnect(), 12.9)))
def test_who_hung_up_before_the_apology_has_given_up(kept: tuple[Kept, ...]) -> None:
    told(*kept).knows(outcome=ABANDONED, failure="", created_at=NOW + 1, ended_at=NOW + 12.9, outage_waits=3)


@pytest.mark.parametrize("kept", in_any_order(LET_GO, (disconnect(), 13.0)))
def test_who_is_gone_at_the_apology_was_let_go(kept: tuple[Kept, ...]) -> None:
    told(*kept).knows(outcome=OURS, failure="internal-error", ended_at=NOW + 13)


def test_that_we_hung_up_is_in_the_timeline() -> None:
    told(LET_GO).replies(HangUp()).expects()
    told((disconnect(), 17.0), LET_GO).replies(HangUp()).expects().cancels()


def test_the_same_twice_changes_nothing() -> None:
    told((disconnect(), 17.0), LET_GO, LET_GO).unchanged()


@pytest.mark.parametrize("kept", in_any_order(LET_GO, (disconnect("callback-error"), 17.0)))
def test_the_word_of_bandwidth_is_kept(kept: tuple[Kept, ...]) -> None:
    told(*kept).knows(outcome=Outcome(Blame.SERVICE, "internal-error", cause="callback-error"))


def test_a_failure_of_before_stays_the_reason() -> None:
    failed = replace(sample_call(Media.NONE, Intent.HANGUP, answered=False), failure="room-full")
    for order in permutations([asked_to_retry(is_hung_up=True), disconnect()]):
        story = play(failed)
        for cue in order:
            story.on(cue)
        story.knows(failure="room-full")
        assert story.call.outcome is not None
        assert story.call.outcome.reason == "room-full"


def test_who_was_talking_and_came_out_of_it_in_vain_was_let_go() -> None:
    story = play(sample_call(Media.LEAVING)).on(
        asked_to_retry(answered=True, outage_waits=3, waited=8, is_hung_up=True), after=9
    )
    story.replies(HangUp()).knows(created_at=NOW).on(disconnect()).knows(outcome=OURS)


def test_who_was_connected_after_all_was_not_let_go() -> None:
    """A copy of the webhook went to a replica that had the store."""
    let_go = asked_to_retry(answered=True, is_hung_up=True, seconds_ago=3)
    story = play(sample_call(Media.TRANSFERRING, answered=False)).on(transfer_answer(), after=4)
    story.on(let_go).becomes(Media.BRIDGED)
    story.on(disconnect()).knows(outcome=Outcome(Blame.NOBODY, "completed", cause="hangup"))


def test_who_was_let_go_as_the_leg_answered_was_not_connected_after_it() -> None:
    story = play(sample_call(Media.TRANSFERRING, answered=False)).on(transfer_answer())
    story.on(asked_to_retry(answered=True, is_hung_up=True), after=0).on(disconnect()).knows(outcome=OURS)
