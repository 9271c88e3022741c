"""When a browser counts as gone, and what tells its seat from a call's."""

import math

import pytest

from service.calls.browser import (
    Browser,
    ParticipantStreams,
    Permission,
    Presence,
    counts_as_gone_from,
    heard_id,
    is_browser,
    seat_of_browser,
    visit_ends_at,
)
from service.calls.refs import ref_of_call

UNUSED, ABSENT = 120.0, 45.0
TAKEN = 1000.0


@pytest.mark.parametrize(
    ("beat", "connected", "disconnected", "gone"),
    [
        # Never heard of.
        (0, 0, 0, TAKEN + UNUSED),
        # Nobody had come whose connection could be lost.
        (0, 0, 1010, TAKEN + UNUSED),
        # By participant events alone: no news is good news, until one says that it has gone.
        (0, 1010, 0, math.inf),
        (0, 1010, 1005, math.inf),
        (0, 1010, 1020, 1020 + ABSENT),
        (0, 1010, 1010, 1010 + ABSENT),
        # Who beats goes on beating, whatever the events say.
        (1010, 0, 0, 1010 + ABSENT),
        (1010, 1005, 0, 1010 + ABSENT),
        (1010, 1020, 0, 1020 + ABSENT),
        (1010, 1005, 1008, 1010 + ABSENT),
        (1010, 1005, 1020, 1010 + ABSENT),
        (1010, 0, 1020, 1010 + ABSENT),
    ],
)
def test_when_it_counts_as_gone(beat: float, connected: float, disconnected: float, gone: float) -> None:
    presence = Presence(TAKEN, beat, connected, disconnected)
    assert counts_as_gone_from(presence, unused=UNUSED, absent=ABSENT) == gone


@pytest.mark.parametrize(
    ("browser", "over"),
    [(None, math.inf), (Browser(visit="v"), math.inf), (Browser(visit="v", visit_until=9.0), 9.0)],
)
def test_until_when_it_may_be_there(browser: Browser | None, over: float) -> None:
    assert visit_ends_at(browser) == over


@pytest.mark.parametrize(
    ("beat", "connected", "disconnected", "heard_of", "there"),
    [
        (0, 0, 0, 0, False),
        (0, 0, 5, 0, False),
        (7, 0, 0, 7, True),
        (0, 7, 0, 7, True),
        (7, 9, 8, 9, True),
        (9, 7, 8, 9, True),
        (7, 7, 7, 7, False),
        (7, 6, 8, 7, False),
    ],
)
def test_whether_it_is_there(
    beat: float, connected: float, disconnected: float, heard_of: float, there: bool
) -> None:
    presence = Presence(1, beat, connected, disconnected)
    assert (presence.last_seen_at, presence.is_connected) == (heard_of, there)


def test_its_seat_is_told_from_a_calls() -> None:
    seat = seat_of_browser("abcdefghijkl2345")
    assert seat == "web-abcdefghijkl2345.1"
    assert is_browser(seat)
    for call_id in ("c-1", "web-abcdefghijkl2345", ""):
        assert not is_browser(f"{ref_of_call(call_id)}.1")
    assert not is_browser("p03-web-1.1")


def test_who_is_heard() -> None:
    assert heard_id("someone") == "someone"
    assert heard_id(ParticipantStreams("someone", ("desk",))) == "someone"


def test_what_may_be_published_is_said_in_bandwidths_words() -> None:
    assert [str(one) for one in Permission] == ["AUDIO", "VIDEO"]
