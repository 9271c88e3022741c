"""Reads changes of calls and rooms from a cursor on, out of the streams that scripts write (news.lua).

There is one stream for each partition; a cursor is a position in each of them. What it names has been read,
so that whoever goes on from it, at any replica, misses nothing and gets nothing twice.
"""

import operator
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from service.calls.refs import PARTITIONS
from service.store import keys
from service.store.redis.client import Client
from service.store.redis.scripts import Result, Script
from service.store.script_values import pairs

_LAST: Final = Script("news_last")
_READ: Final = Script("news_read")

PAGE: Final = 200
"""Entries of one partition that are read at once."""

StreamPosition = tuple[int, int]
"""The id of an entry: the server's milliseconds since the epoch, and a number to tell apart those of one."""

STREAM_START: Final[StreamPosition] = (0, 0)
"""Where an empty stream ends, and one that has expired: it begins anew with its next entry."""


class Cursor(msgspec.Struct, frozen=True):
    """A position in each partition's stream, and when it was the last (seconds since the epoch)."""

    at: float
    positions: tuple[StreamPosition, ...]

    def after_entry(self, partition: int, position: StreamPosition) -> "Cursor":
        """The same after this entry."""
        before, after = self.positions[:partition], self.positions[partition + 1 :]
        return Cursor(self.at, (*before, position, *after))

    def reaches(self, other: "Cursor") -> bool:
        """Whether it is at or after the other in every stream."""
        return all(map(operator.ge, self.positions, other.positions))

    def positions_beyond(self, other: "Cursor") -> tuple[StreamPosition, ...]:
        """Its positions in the streams in which it is after the other, NOWHERE in the rest."""
        both = zip(self.positions, other.positions, strict=True)
        return tuple(own if own > its else STREAM_START for own, its in both)

    def merged(self, other: "Cursor") -> "Cursor":
        """The further of the two in every stream."""
        return Cursor(max(self.at, other.at), tuple(map(max, self.positions, other.positions)))


class FeedEntry(msgspec.Struct, frozen=True):
    """One change. `kind`: participant, call or room."""

    partition: int
    position: StreamPosition
    kind: str
    rooms: tuple[str, ...]
    """Whose onlookers it is for."""
    data: bytes
    """JSON."""


class FeedPage(msgspec.Struct, frozen=True):
    entries: list[FeedEntry]
    """In the order in which they were written; those of one partition are so for certain."""
    cursor: Cursor
    is_complete: bool
    """Whether that was everything."""


class ChangeFeed:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def end(self, *, now: float) -> Cursor:
        """Where the streams end. Raises StoreUnavailable."""
        ends = await self._client.run_many(
            _LAST, [({"news": keys.news(one)}, {}) for one in range(PARTITIONS)]
        )
        return Cursor(now, tuple(_parsed(end) for end in ends))

    async def read_after(self, cursor: Cursor, *, now: float) -> FeedPage | None:
        """What came next; None when that cannot be said any more. Raises StoreUnavailable."""
        answers = await self._client.run_many(
            _READ,
            [
                ({"news": keys.news(one)}, {"after": f"{ms}-{seq}", "limit": PAGE})
                for one, (ms, seq) in enumerate(cursor.positions)
            ],
        )
        if any(answer == b"lost" for answer, _ in answers):
            return None
        found = [
            entry
            for one, (_, entries) in enumerate(answers)
            for raw in entries
            if (entry := _readable(one, raw)) is not None
        ]
        ends = tuple(
            _parsed(entries[-1][0]) if entries else STREAM_START if answer == b"none" else position
            for (answer, entries), position in zip(answers, cursor.positions, strict=True)
        )
        whole = all(len(entries) < PAGE for _, entries in answers)
        return FeedPage(sorted(found, key=lambda one: one.position), Cursor(now, ends), whole)


def with_time(at: float, data: dict[str, Any]) -> dict[str, Any]:
    """With the time of the change (seconds since the epoch), as the API writes times."""
    time = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return {"at": time.replace("+00:00", "Z"), **data}


def _readable(partition: int, raw: Sequence[Result]) -> FeedEntry | None:
    """None for what cannot be read: it is passed over, or it would stop every listener for an hour."""
    try:
        return _entry(partition, raw)
    except (ValueError, KeyError, TypeError, OverflowError):  # msgspec's DecodeError is a ValueError
        return None


def _entry(partition: int, raw: Sequence[Result]) -> FeedEntry:
    id_, flat = raw
    fields = dict(pairs(flat))
    data = with_time(int(fields[b"at"]) / 1000, msgspec.json.decode(fields[b"data"]))
    return FeedEntry(
        partition=partition,
        position=_parsed(id_),
        kind=fields[b"kind"].decode(),
        rooms=tuple(fields[b"rooms"].decode().split()),
        data=msgspec.json.encode(data),
    )


def _parsed(id_: bytes) -> StreamPosition:
    ms, _, seq = id_.partition(b"-")
    return int(ms), int(seq)
