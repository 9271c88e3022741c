"""Silent browsers are given up in time, by the store's journal: on made-up turns."""

import pytest

from tests.chaos.silent_browsers import ABSENT, LEASE, too_late
from tests.chaos.store_history import Step
from tests.store_step_builders import PARTITION, step

ROOM, OWED = f"{PARTITION}room:r", f"{PARTITION}owed:room:r"
SEAT = "web-x.1"
NOW = 1_800_000_000_000
"""When the seat was taken (milliseconds since the epoch)."""
TERM = round(ABSENT)


def look(due: int, *, number: int = 1, since: int | None = None) -> tuple[str, ...]:
    value = f"{number} {due} check-presence:{SEAT} 1 {due if since is None else since} {{}}"
    return ("HSET", OWED, f"check-presence:{SEAT}", value)


def heard(*, beat: int = 0, connected: int = 0, lost: int = 0) -> tuple[str, ...]:
    return ("HSET", ROOM, f"seen:{SEAT}", f"{NOW} {beat} {connected} {lost}")


def taken(after: int = TERM) -> Step:
    return step(("HSET", ROOM, f"seat:{SEAT}", "reserved -"), heard(), look(NOW + after))


def takes_up(at: int) -> Step:
    return step(("HSET", OWED, ".lease", f"worker {at + LEASE}"))


BEAT = step(heard(beat=NOW + 1000), look(NOW + 1000 + TERM))
GONE = NOW + 1000 + TERM
"""From when on it counts as gone that was heard of no more after `BEAT`."""


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ([taken()], 0),
        ([step(("SET", "other", "x")), taken(5 * TERM)], 1),
        # A server that has taken over a copy begins with it.
        ([taken(5 * TERM)], 0),
        ([taken(), BEAT], 0),
        ([taken(), step(heard(beat=NOW + 1000), look(NOW + 1000 + 5 * TERM))], 1),
        # It is put off, since it is not yet time.
        ([taken(), BEAT, takes_up(GONE - 4000), step(look(GONE))], 0),
        # It is time, for a long time.
        ([taken(), BEAT, takes_up(GONE + 6500), step(look(GONE + 10500))], 1),
        # By clocks of two replicas, which differ a little.
        ([taken(), BEAT, takes_up(GONE + 500), step(look(GONE + 4500))], 0),
        # It was not done, as without the store.
        ([taken(), BEAT, takes_up(GONE + 6500), step(look(GONE + 10500, since=NOW))], 0),
        # It has beaten since.
        ([taken(), BEAT, takes_up(GONE + 6500), step(heard(beat=GONE + 6400)), step(look(GONE + 10500))], 0),
        # What was found out in time was written down when a worker had taken up more.
        ([taken(), BEAT, takes_up(GONE - 4000), takes_up(GONE + 6500), step(look(GONE))], 0),
        # It has connected: no news is good news.
        ([taken(), step(heard(connected=NOW + 1)), takes_up(GONE + 9000), step(look(GONE + 13000))], 0),
        # It has lost its connection.
        (
            [
                taken(),
                step(heard(connected=NOW, lost=NOW + 1)),
                takes_up(GONE + 9000),
                step(look(GONE + 13000)),
            ],
            1,
        ),
        # It is on its way out.
        ([taken(), step(("HSET", ROOM, f"seat:{SEAT}", "leaving p"), look(NOW + 9 * TERM))], 0),
    ],
)
def test_when_a_silent_browser_is_given_up(written: list[Step], count: int) -> None:
    assert len(list(too_late(written))) == count


def test_who_stays_too_long_is_named() -> None:
    [found] = too_late([taken(), BEAT, takes_up(GONE + 6500), step(look(GONE + 10500))])
    assert (found.seat, found.room) == (SEAT, "r")
    assert "6500 ms" in found.what
