"""Which live events have to be among the news, and to whom they are told, by other news and by orders.

1. News of a call are told to its room, and to the room that it was in by the news before.
2. Who has come into a room leaves it, and comes no second time before that. All calls are over.
3. Whose call was bridged in a room has come into it.
4. A room that an operator has closed is told to be closed, each time; no other is.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.chaos.api import OperatorRequest
    from tests.chaos.evidence import StoredFeedItem

_ROOM: Final = re.compile(r"/rooms/([^/]+)")
FeedProblem = tuple[str, tuple[str, ...]]
"""What is wrong, in words, and the ids that it is about."""


def feed_problems(
    news: Sequence["StoredFeedItem"], asked: Iterable["OperatorRequest"]
) -> Iterator[FeedProblem]:
    """`news`: in order, as far as that goes: those of a call, and those of a room."""
    yield from _of_calls(news)
    yield from _of_people(news)
    yield from _of_closings(news, asked)


def _of_calls(news: Iterable["StoredFeedItem"]) -> Iterator[FeedProblem]:
    latest: dict[str, str] = {}
    for one in news:
        here = one.data["room"]
        if one.kind != "call":
            if {*one.rooms} != {here}:
                yield f"news of room {here} are told to {sorted(one.rooms)}: {one.kind} {one.data}", ()
            continue
        call = one.data["id"]
        rooms = {here, latest.get(call, here)} - {""}
        latest[call] = here
        if missed := rooms - {*one.rooms}:
            yield f"room {missed.pop()} is not told that {call} is {one.data['state']} in {here!r}", (call,)
        if strange := {*one.rooms} - rooms:
            yield f"room {strange.pop()} is told of {call}, which is in {here!r}", (call,)


def _of_people(news: Sequence["StoredFeedItem"]) -> Iterator[FeedProblem]:
    told: dict[tuple[str, str], list[str]] = defaultdict(list)
    whose: dict[str, str] = {}
    for one in news:
        if one.kind == "participant":
            participant = one.data["participantId"]
            told[one.data["room"], participant].append(one.data["state"])
            whose[participant] = one.data["call"] or ""
    for (room, participant), states in told.items():
        pairs = len(states) % 2 == 0
        if not pairs or any(state != due for state, due in zip(states, cycle(("in", "left")), strict=False)):
            ids = tuple(filter(None, (participant, whose[participant])))
            yield f"{participant} came into room {room} and left it, and news tell of {states}", ids
    bridged = {
        (one.data["room"], one.data["participantId"]): one.data["id"]
        for one in news
        if one.kind == "call" and one.data["state"] == "bridged" and one.data["participantId"]
    }
    for (room, participant), call in bridged.items():
        if (room, participant) not in told:
            yield f"{call} was bridged in room {room}, and no news tell of {participant}", (call, participant)


def _of_closings(
    news: Iterable["StoredFeedItem"], asked: Iterable["OperatorRequest"]
) -> Iterator[FeedProblem]:
    told = Counter(one.data["room"] for one in news if one.kind == "room" and one.data["state"] == "closed")
    accepted, tried = Counter[str](), Counter[str]()
    for one in asked:
        if one.method == "DELETE" and (found := _ROOM.fullmatch(one.path)) is not None:
            tried[found[1]] += 1
            accepted[found[1]] += one.status is not None and one.status < 300
    for room in sorted(told.keys() | tried.keys()):
        # An order of which an answer was lost, on its way to the operator or from the store, may close it and
        # those who come next: each time it is told.
        if told[room] < accepted[room] or (told[room] and not tried[room]):
            closed = f"{accepted[room]} of {tried[room]} orders have closed room {room}"
            yield f"{closed}, and news tell of {told[room]}", ()
