"""How many were in each room after each step of the store's journal, and when a room was full."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.chaos.marks import Moment, moments
from tests.chaos.store_history import Key, Step, StoreState, UnknownCommand, key_of
from tests.chaos.times import NEVER

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

FAILOVER: Final = "failover-"
"""What the kinds of trouble begin with in which another server becomes master."""

MEMBERS: Final = 20
"""A session has no more (docs/guarantees.md, Bandwidth's own limits)."""
CLOSING: Final = b"closing"
"""The phase of a seat of a room that was closed: it does not count in the next of that name."""


class Count(msgspec.Struct, frozen=True):
    """Of a room, after a step that has changed something about it."""

    room: str
    members: int
    """Its seats that are taken, be it by somebody who is about to come, or to leave."""
    limit: int
    moment: Moment


def counts(written: Iterable[Step]) -> Iterator[Count]:
    """Raises UnknownCommand."""
    state = StoreState()
    for step, moment in moments(written):
        touched = [key_of(text) for text in state.play(step)]
        for prefix, room in dict.fromkeys(
            (key.prefix, key.name) for key in touched if key.kind in {"room", "settings"}
        ):
            seats = state.hash(str(Key(prefix, "room", room)))
            members = sum(
                field.startswith(b"seat:") and not value.startswith(CLOSING) for field, value in seats.items()
            )
            yield Count(room, members, _limit(state.text(str(Key(prefix, "settings", room)))), moment)


def _limit(settings: bytes) -> int:
    found: dict[str, Any] = msgspec.json.decode(settings) if settings else {}
    return min(MEMBERS, int(found.get("limit") or MEMBERS))


class FullRooms:
    """When each room may have been full. Times are monotonic seconds."""

    def __init__(self, spans: Mapping[str, list[tuple[float, float]]]) -> None:
        self._spans = spans

    def was_full(self, room: str, since: float, until: float) -> bool:
        """At some moment of that time."""
        spans = self._spans.get(room, [])
        last = bisect_right(spans, until, key=lambda span: span[0])
        # They begin one after the other, and end so.
        return last > 0 and spans[last - 1][1] >= since


def full_rooms_of(evidence: "Evidence") -> FullRooms | None:
    """None as well where another server has taken over: what was before is in no journal."""
    taken_over = any(one.kind.startswith(FAILOVER) for one in evidence.troubles.all)
    return None if taken_over else full_rooms(evidence.store_steps)


def full_rooms(written: Iterable[Step]) -> FullRooms | None:
    """None where there is no journal, or none that can be read: then nobody knows."""
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    known = False
    try:
        for one in counts(written):
            known = True
            of_room = spans[one.room]
            is_open = bool(of_room) and of_room[-1][1] == NEVER
            if one.members >= one.limit and not is_open:
                of_room.append((one.moment.after, NEVER))
            elif one.members < one.limit and is_open:
                of_room[-1] = (of_room[-1][0], one.moment.before)
    except UnknownCommand:
        return None
    return FullRooms(spans) if known else None
