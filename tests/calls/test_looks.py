"""How often something has to be said before it is believed."""

from itertools import accumulate, product

import msgspec
import pytest

from service.calls.effects import CheckSession, DeleteParticipant, HangUpPhone
from service.calls.events import Event
from service.calls.looks import CallChecked, Looks, Threshold
from service.calls.model import Blame, Intent, Leg, Media, Outcome
from service.calls.outcomes import NOT_FOUND
from service.calls.replies import NoReply
from tests.calls.control_event_builders import (
    leg_answer,
    leg_bridge_complete,
    leg_disconnect,
    machine_detected,
    order_subscriptions,
    placed,
    summoned,
)
from tests.calls.event_builders import (
    NOW,
    THRESHOLD,
    EventBuilder,
    answer,
    asked_to_retry,
    bridge_complete,
    call_checked,
    disconnect,
    gathered,
    initiate,
    joined,
    participant_vanished,
    redirected,
    sample_call,
    transfer_answer,
    transfer_complete,
    transfer_disconnect,
    unknown_webhook,
)
from tests.calls.expected_effects import CANCELLED_AT_END, leave_room
from tests.calls.playbook import play

EVERY = 450.0
"""Seconds between two looks: the fifth is half an hour after the first."""


@pytest.mark.parametrize(("count", "seconds"), [(3, 4.0), (5, 1800.0), (5, 600.0)])
def test_enough_is_so_many_and_for_so_long(count: int, seconds: float) -> None:
    enough = Threshold(count, seconds)
    gaps = [seconds * share for share in (0, 0.25, 0.5)]
    for some in product(gaps, repeat=count):
        looks, at = Looks(), NOW
        for n, gap in enumerate(some, 1):
            at += gap
            looks = looks.seen(at)
            assert looks.count == n
            assert looks.reach(enough) == (n >= count and sum(some[1:n]) >= seconds)


def test_looks_are_counted_from_the_first() -> None:
    times = list(accumulate([NOW, 1.0, 2.5, 0.0]))
    looks = Looks()
    assert not looks
    for n, at in enumerate(times, 1):
        looks = looks.seen(at)
        assert looks == Looks(NOW, at, n)
        assert looks


@pytest.mark.parametrize(("count", "seconds", "pause"), [(3, 4.0, 2.0), (5, 1800.0, 450.0)])
def test_the_last_of_them_is_just_enough(count: int, seconds: float, pause: float) -> None:
    enough, looks = Threshold(count, seconds), Looks()
    assert enough.interval == pause
    for n in range(count):
        assert not looks.reach(enough)
        looks = looks.seen(NOW + n * enough.interval)
    assert looks.reach(enough)


def test_what_was_never_looked_at_is_stored_as_before() -> None:
    """A release that knows nothing of looks reads it, and may write it back."""
    for effect in (HangUpPhone("c-1"), DeleteParticipant("", "p")):
        assert b"looks" not in msgspec.json.encode(effect)


def test_a_session_that_is_missed_again_is_the_same_session() -> None:
    once = CheckSession("sales", "s-1").seen(NOW)
    assert once == CheckSession("sales", "s-1", Looks(NOW, NOW, 1))
    assert once.seen(NOW + 2) == CheckSession("sales", "s-1", Looks(NOW, NOW + 2, 2))


# A call that Bandwidth does not know ------------------------------------------------------------------------


@pytest.mark.parametrize("intent", [Intent.BRIDGE, Intent.HOLD, Intent.WAIT, Intent.TRANSFER])
@pytest.mark.parametrize("media", Media)
def test_five_looks_over_half_an_hour_end_it(media: Media, intent: Intent) -> None:
    before = sample_call(media, intent)
    story = play(before)
    for n in range(4):
        story.on(call_checked(), after=EVERY).replies(NoReply()).expects().cancels().becomes(media, intent)
        story.knows(not_found=Looks(NOW + EVERY, NOW + (n + 1) * EVERY, n + 1), outcome=None)
    story.on(call_checked(), after=EVERY).replies(NoReply()).drops_token().cancels(*CANCELLED_AT_END)
    story.knows(outcome=Outcome(Blame.BANDWIDTH, "vanished", cause=NOT_FOUND), ended_at=NOW + 5 * EVERY)


def test_many_looks_in_a_short_time_are_nothing() -> None:
    story = play(sample_call(Media.BRIDGED))
    for _ in range(100):
        story.on(call_checked(), after=17.9).replies(NoReply()).expects().becomes(Media.BRIDGED)


def test_a_few_looks_in_a_long_time_are_nothing() -> None:
    story = play(sample_call(Media.BRIDGED))
    for _ in range(4):
        story.on(call_checked(), after=7200).replies(NoReply()).expects().becomes(Media.BRIDGED)
    story.on(call_checked(), after=1).expects(leave_room(1))


WEBHOOKS: list[EventBuilder] = [
    initiate(),
    answer(),
    redirected(),
    gathered(),
    asked_to_retry(),
    bridge_complete(1),
    unknown_webhook(),
    machine_detected("human"),
    transfer_answer(1),
    transfer_answer(7),
    transfer_complete(7),
    transfer_disconnect(7),
    leg_answer(7),
    leg_bridge_complete(7),
    leg_disconnect(7),
]


def _name(cue: EventBuilder) -> str:
    event: Event = cue(NOW)
    return f"{type(event).__name__}-{getattr(event, 'attempt', '')}"


@pytest.mark.parametrize("heard", [*WEBHOOKS, call_checked(known=True)], ids=_name)
@pytest.mark.parametrize("media", [Media.BRIDGED, Media.NONE, Media.JOINING])
def test_one_word_of_it_starts_the_count_anew(media: Media, heard: EventBuilder) -> None:
    """Also a webhook that changes nothing else, such as a round of hold."""
    story = play(sample_call(media, Intent.HOLD if media is Media.NONE else Intent.BRIDGE))
    for _ in range(4):
        story.on(call_checked(), after=EVERY)
    story.on(heard).knows(not_found=Looks(), outcome=None)
    story.on(call_checked(), after=EVERY).knows(outcome=None, not_found=Looks(story.at, story.at, 1))


@pytest.mark.parametrize(
    "ours", [order_subscriptions(), placed(), summoned(), joined(7), participant_vanished(7)], ids=_name
)
def test_what_we_say_ourselves_is_no_word_of_it(ours: EventBuilder) -> None:
    story = play(sample_call(Media.BRIDGED))
    for _ in range(4):
        story.on(call_checked(), after=EVERY)
    story.on(ours).on(call_checked(), after=EVERY)
    assert story.call is not None
    assert not story.call.live


def test_a_call_that_is_over_is_asked_after_in_vain() -> None:
    story = play(sample_call(Media.BRIDGED)).on(disconnect())
    for known in (False, True):
        story.on(call_checked(known=known)).replies(NoReply()).expects().unchanged().notes("call has ended")
    play().on(lambda at: CallChecked(at, known=False, threshold=THRESHOLD)).replies(NoReply()).notes(
        "call is not known"
    )


def test_its_own_leg_is_given_up_too() -> None:
    story = play(sample_call(Media.BRIDGED, leg=Leg.UP))
    for _ in range(5):
        story.on(call_checked(), after=EVERY)
    story.knows(leg=Leg.GONE, outcome=Outcome(Blame.BANDWIDTH, "vanished", cause=NOT_FOUND))
