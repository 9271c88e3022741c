"""A listener hears all that happens in its room, once and in order, also over several connections.

What happens is what the store's streams of news say; those in turn have to say what the calls' timelines and
the browsers' seats do, and what is due by other news and by orders (`news_due`). An id of an event is a
position in each of the streams.
"""

import base64
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from tests.chaos.closings import closes_of
from tests.chaos.expected_feed import feed_problems
from tests.chaos.finding import Finding
from tests.chaos.previous_release_rules import cursor_of_other_release
from tests.chaos.records import ListenerConnection, ListenerRecord
from tests.chaos.times import NEVER
from tests.event_listener import ReceivedEvent

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence, StoredFeedItem

NEWS = {"participant", "call", "room"}
UNKNOWN = "new"
"""What a timeline calls a call before it is known."""
WAITS = {"initiated", "detached"}
"""States of a call that waits for somebody to come: at the beginning, and after it was left alone."""
LOOKS = "joining"
SHOWN = 20
"""Findings of one listener that are told: a stream that is cut off lacks everything."""
Position = tuple[int, int]
Cursor = tuple[Position, ...]


def check(evidence: "Evidence") -> Iterator[Finding]:
    streams = FeedIndex(evidence.feed)
    for listener in evidence.records.listeners:
        for number, what in enumerate(_ListenerJudge(listener, streams, _ended(evidence, listener)).judged()):
            if number < SHOWN:
                whose = "the page" if listener.visit else "an operator"
                room = listener.room or "all rooms"
                yield Finding(what=f"listener {listener.number} ({whose}) to {room}: {what}")
    yield from _timelines(evidence, streams)
    yield from _seats(evidence, streams)
    for what, ids in feed_problems(evidence.feed, evidence.operator_requests):
        yield Finding(what=what, ids=ids)


def _ended(evidence: "Evidence", listener: ListenerRecord) -> float:
    """When the room of a visit may have been closed for the first time, and the visit with it."""
    closes = closes_of(evidence).get(listener.room or "", []) if listener.visit else []
    return min((one.sent_at for one in closes), default=NEVER)


class FeedIndex:
    """All news of a turn, by what listeners may ask of them."""

    def __init__(self, news: Sequence["StoredFeedItem"]) -> None:
        self.by_key: dict[str, list[StoredFeedItem]] = defaultdict(list)
        self.elsewhere: dict[str, list[StoredFeedItem]] = defaultdict(list)
        """By key without the room, which a visit to another one is not told."""
        self.calls: dict[str, list[StoredFeedItem]] = defaultdict(list)
        self.participants: dict[str, list[StoredFeedItem]] = defaultdict(list)
        self._by_room: dict[str | None, dict[int, list[StoredFeedItem]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for one in news:
            self.by_key[key_of(one.kind, one.data)].append(one)
            self.elsewhere[key_of(one.kind, {**one.data, "room": None})].append(one)
            for room in (None, *one.rooms):
                self._by_room[room][one.partition].append(one)
            if one.kind == "call":
                self.calls[one.data["id"]].append(one)
            elif one.kind == "participant":
                self.participants[one.data["participantId"]].append(one)

    def between(self, room: str | None, since: Cursor, until: Cursor | None) -> Iterator["StoredFeedItem"]:
        """What there is for a room, or for all, after one cursor and up to another or to the end."""
        for partition, all_ in self._by_room[room].items():
            first = bisect_right(all_, since[partition], key=lambda one: one.position)
            last = (
                len(all_)
                if until is None
                else bisect_right(all_, until[partition], key=lambda one: one.position)
            )
            yield from all_[first:last]


class _ListenerJudge:
    """What one listener has heard, followed over its connections."""

    def __init__(self, listener: ListenerRecord, streams: FeedIndex, ended: float = NEVER) -> None:
        """`ended`: from when on the visit of whoever listens may be over."""
        self._listener = listener
        self._ended = ended
        self._streams = streams
        self._since: Cursor | None = None
        self._at: Cursor = ()
        self._heard: Counter[tuple[int, Position]] = Counter()

    def judged(self) -> Iterator[str]:
        for connection in self._listener.connections:
            if connection.heard:
                yield from self._follow(connection)
            elif connection.status == 403 and self._ended <= connection.over:
                continue
            elif connection.status not in {200, 503, None}:
                yield f"was answered {connection.status}"
        if self._listener.stays and not self._listener.stayed:
            yield "heard nothing more when all was settled"
        yield from self._missed(to_the_end=self._listener.stayed)

    def _follow(self, connection: ListenerConnection) -> Iterator[str]:
        first, *rest = connection.heard
        if not connection.last:
            yield from self._begin(first, "snapshot" if self._listener.room else "mark")
        elif cursor_of_other_release(connection.last, connection.heard):
            if self._listener.room:
                reset, first, *rest = connection.heard
                if reset.kind != "reset":
                    yield f"came back with {connection.last}, and heard {reset.kind} first"
            yield from self._begin(first, "snapshot" if self._listener.room else "reset")
        else:
            yield from self._go_on(first, connection.last)
        for one in rest:
            yield from self._hear(one)

    def _go_on(self, first: ReceivedEvent, last: str) -> Iterator[str]:
        if first.kind != "mark" or first.data["begins"]:
            yield f"came back with {last}, and heard {first.kind} {first.data} first"
        if first.id and cursor_of(first.id) != cursor_of(last):
            yield f"came back with {last}, and was taken up at {first.id}"

    def _begin(self, first: ReceivedEvent, expected: str) -> Iterator[str]:
        if first.kind != expected:
            yield f"began with {first.kind}"
        if not first.id:
            yield f"began with {first.kind} without an id"
            return
        yield from self._missed(to_the_end=False)
        self._since = self._at = cursor_of(first.id)
        self._heard.clear()

    def _hear(self, one: ReceivedEvent) -> Iterator[str]:
        if one.kind not in NEWS | {"mark"}:
            yield f"heard {one.kind} in the middle"
            return
        cursor = cursor_of(one.id)
        if any(new < old for new, old in zip(cursor, self._at, strict=True)):
            yield f"was taken back by {one.kind} {one.data}"
        self._at = cursor
        if one.kind == "mark":
            return
        key = key_of(one.kind, {**one.data, "at": _ms(one.data["at"])})
        hides = self._listener.visit and one.data.get("room", "") is None
        found = (self._streams.elsewhere if hides else self._streams.by_key).get(key, [])
        known = [entry for entry in found if not self._heard[entry.partition, entry.position]]
        if not found:
            yield f"heard what has not happened: {one.kind} {one.data}"
        elif not known:
            yield f"heard twice: {one.kind} {one.data}"
        else:
            yield from self._note(known[0])

    def _note(self, entry: "StoredFeedItem") -> Iterator[str]:
        self._heard[entry.partition, entry.position] += 1
        room = self._listener.room
        if room is not None and room not in entry.rooms:
            yield f"heard of another room: {entry}"
        if self._since is None or entry.position <= self._since[entry.partition]:
            yield f"heard what was before its time: {entry}"
        if entry.position > self._at[entry.partition]:
            yield f"heard what its id does not reach: {entry}"

    def _missed(self, *, to_the_end: bool) -> Iterator[str]:
        if self._since is None:
            return
        for entry in self._streams.between(
            self._listener.room, self._since, None if to_the_end else self._at
        ):
            if not self._heard[entry.partition, entry.position]:
                yield f"has not heard {entry}"


def _timelines(evidence: "Evidence", streams: FeedIndex) -> Iterator[Finding]:
    """Each state that a call came to, by its timeline, is among the news."""
    for call in evidence.calls.values():
        told = _steps([one.data["state"] for one in streams.calls.get(call["id"], [])])
        # Looks of one who waits are not in the timeline, but what came of the last one is.
        entries = [one for one in call["timeline"] if "after" in one]
        states = [one[when] for one in entries for when in ("before", "after") if when in one]
        known = _steps([state for state in states if state != UNKNOWN])
        if told != known:
            # Of a call that was heard of when it had ended there is nothing to tell; it is not listed either.
            only_ended = known == ["ended"] and not told
            yield Finding(
                what=f"{call['id']} came to {known}, and news tell of {told}",
                ids=(call["id"],),
                excuse="only-its-end-is-known" if only_ended else "",
            )


def _seats(evidence: "Evidence", streams: FeedIndex) -> Iterator[Finding]:
    """Each browser has come into its room once; that it has left is due by `news_due`."""
    for seat in evidence.records.browsers:
        told = [
            one.data["state"]
            for one in streams.participants.get(seat.participant_id, [])
            if one.data["room"] == seat.room
        ]
        if told.count("in") != 1:
            yield Finding(
                what=f"browser {seat.number} has come into {seat.room}, and news tell of {told}",
                ids=(seat.participant_id,),
            )


def _steps(states: Sequence[str]) -> list[str]:
    """Without what follows itself, and without a waiting caller's looks into an empty room."""
    found: list[str] = []
    for state in states:
        if found[-1:] != [state]:
            found.append(state)
        if found[-2:-1] == [LOOKS] and state in WAITS and found[-3:-2] == [state]:
            del found[-2:]
    return found


def cursor_of(text: str) -> Cursor:
    """The positions that an id stands for, without its signature: times are distances from the first one."""
    raw = base64.b64decode(text.partition(".")[0] + "==", altchars=b"-_")
    at, *flat = msgspec.msgpack.decode(raw)
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return tuple((0 if distance is None else at - distance, number) for distance, number in pairs)


def key_of(kind: str, data: Mapping[str, Any]) -> str:
    """Equal for what is the same news."""
    return kind + msgspec.json.encode(data, order="sorted").decode()


def _ms(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)
