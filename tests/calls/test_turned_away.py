"""A phone that was asked to come back while the store was away is known once the store is back."""

from service.calls import events
from service.calls.events import Answer
from service.calls.model import Intent, Media, Phone
from service.calls.replies import AskDigits, Join, Nothing
from tests.calls.cues import FALLBACK, NOW, answer, disconnect, initiate, redirect, turned_away
from tests.calls.playbook import play


def test_all_that_the_phone_has_said_is_known() -> None:
    event = answer("human", fallback=FALLBACK)(NOW)
    assert isinstance(event, Answer)
    away = events.turned_away(event)
    shared = set(away.__struct_fields__)
    assert shared == set(event.__struct_fields__) - {"machine"}
    assert [name for name in shared if getattr(away, name) != getattr(event, name)] == []


def test_it_is_written_down_and_nothing_is_begun() -> None:
    story = play().on(turned_away())
    story.expects().replies(Nothing())
    assert (story.call.phone, story.call.media, story.call.intent) == (
        Phone.RINGING,
        Media.NONE,
        Intent.BRIDGE,
    )


def test_who_comes_back_is_joined() -> None:
    story = play().on(turned_away()).on(redirect())
    story.replies(Join(1))
    assert story.call.media is Media.MAKING


def test_who_has_come_back_before_is_not_touched() -> None:
    before = play().on(initiate())
    after = before.on(turned_away())
    after.expects().replies(Nothing())
    assert after.call.attempt == 1


def test_where_digits_are_asked_for_they_are_asked_for_again() -> None:
    play().on(turned_away(asks=3)).on(redirect()).replies(AskDigits())


def test_one_that_is_up_is_up() -> None:
    assert play().on(turned_away(answered=True)).call.phone is Phone.UP


def test_nothing_comes_after_the_end() -> None:
    story = play().on(disconnect()).on(turned_away())
    assert story.call.phone is Phone.GONE


def test_when_it_came_first_is_kept() -> None:
    """The store was away all the time: nobody else could write down that it had come."""
    story = play().on(redirect(rounds=3, came=9)).replies(Join(1))
    story.knows(created_at=story.at - 9, rounds=3)


def test_rounds_of_a_call_that_is_known_are_kept() -> None:
    story = play().on(turned_away())
    came = story.at
    story = story.on(redirect(rounds=2, came=1), after=9).knows(created_at=came, rounds=2)
    story.on(redirect(rounds=1, came=1)).knows(rounds=2)
    story.on(redirect()).knows(rounds=2)
