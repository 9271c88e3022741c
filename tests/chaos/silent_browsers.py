"""Whether silent browsers are given up in time, by the store's journal.

In it is what the service has heard of each browser, and when it means to look again. From that follows from
when on a browser counts as gone: no look may be planned for later, and none that comes later lets it stay.
All by the time that replicas share: how busy the machine is makes no difference.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from tests.chaos.replica import PATIENCE
from tests.chaos.store_history import Key, Step, StoreState, key_of
from tests.chaos.times import NEVER

ABSENT: Final = PATIENCE.browser_absence * 1000
UNUSED: Final = PATIENCE.unused_seat * 1000
LEASE: Final = round(PATIENCE.worker_lease * 1000)
TOLERANCE: Final = 5000
"""Milliseconds: what is shared is kept to about a second of what has passed, and a replica that stood still
writes down what it had read before."""
LOOK: Final = b"check-presence:"
SEATED: Final = (b"in ", b"reserved ")


class Late(msgspec.Struct, frozen=True):
    seat: str
    room: str
    what: str


class _Look(msgspec.Struct, frozen=True):
    """What is owed of one browser. Times are milliseconds since the epoch."""

    number: bytes
    due: int
    failed: bool
    """Whether the latest try has, as without the store; one that came before its time has not."""


def too_late(written: Iterable[Step]) -> Iterator[Late]:
    """Raises UnknownCommand."""
    state = StoreState()
    rooms: dict[str, _Room] = defaultdict(_Room)
    for number, step in enumerate(written):
        touched = [key_of(text) for text in state.play(step)]
        for name, prefix in {
            key.name.removeprefix("room:"): key.prefix
            for key in touched
            if key.kind == "room" or (key.kind == "owed" and key.name.startswith("room:"))
        }.items():
            owed = state.hash(str(Key(prefix, "owed", f"room:{name}")))
            for seat, what in rooms[name].looked(state.hash(str(Key(prefix, "room", name))), owed):
                # A server that has taken over a copy begins with what was owed by then, put off by whatever.
                if number:
                    yield Late(seat, name, what)


class _Room:
    """Its browsers as the last step has left them."""

    def __init__(self) -> None:
        self._looks: dict[str, _Look] = {}
        self._seen: dict[str, tuple[int, ...]] = {}
        self._taken_up = 0
        """When a worker looked last at what the room owes."""
        self._then: dict[str, tuple[int, ...]] = {}
        """What was heard of each at that time."""

    def looked(self, room: Mapping[bytes, bytes], owed: Mapping[bytes, bytes]) -> Iterator[tuple[str, str]]:
        seen = dict(_seen(room))
        looks = {seat: look for seat in seen if (look := _look(owed.get(LOOK + seat.encode()))) is not None}
        for seat, look in looks.items():
            before = self._looks.get(seat)
            if before is not None and before.number == look.number and before.due == look.due:
                continue
            if before is None or before.number != look.number or seen[seat] != self._seen.get(seat):
                if (waits := look.due - max(seen[seat])) > max(ABSENT, UNUSED) + TOLERANCE:
                    yield seat, f"is to be looked after {waits} ms after it was heard of"
            elif seen[seat] == self._then.get(seat) and not look.failed:
                gone_for = self._taken_up - _gone_from(seen[seat])
                # What was found out before a worker took up more is written down afterwards.
                if gone_for > TOLERANCE and look.due > self._taken_up:
                    yield seat, f"counted as gone for {gone_for:.0f} ms when it was looked after, and stayed"
        self._looks, self._seen = looks, seen
        lease = owed.get(b".lease", b"").partition(b" ")[2]
        if lease and (taken_up := int(lease) - LEASE) > self._taken_up:
            self._taken_up, self._then = taken_up, seen


def _seen(room: Mapping[bytes, bytes]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """By seat: when it was taken, and when a heartbeat, a connection, the loss of one was told of last."""
    for field, value in room.items():
        kind, _, seat = field.partition(b":")
        if kind == b"seen" and room.get(b"seat:" + seat, b"").startswith(SEATED):
            yield seat.decode(), tuple(map(int, value.split()))


def _look(value: bytes | None) -> _Look | None:
    if value is None:
        return None
    number, due, _lane, _tries, failing_since, _effect = value.split(b" ", 5)
    return _Look(number, int(due), failing_since != due)


def _gone_from(seen: tuple[int, ...]) -> float:
    """As docs/guarantees.md has it: who has beaten goes on with it; of others no news is good news."""
    taken, beat, connected, lost = seen
    heard_of = max(beat, connected)
    if not heard_of:
        return taken + UNUSED
    if beat:
        return heard_of + ABSENT
    return NEVER if connected > lost else lost + ABSENT
