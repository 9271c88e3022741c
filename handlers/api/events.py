"""Live state as server-sent events: of one room, beginning with a snapshot, or of all."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final

import msgspec
from starlette.responses import Response

from handlers.http.context import Asked
from handlers.http.problems import Problem
from handlers.api.rooms import room_in_path
from handlers.http.services import Bridge
from handlers.http.state import edge_of
from handlers.http.sse import EventStream, Streams
from service.calls.browser import is_browser
from service.calls.model import call_of
from service.calls.change_view import for_visitor, shown
from service.cursors import Cursors, Holder
from service.engine.change_feed import Batch, Ended, Lost, Told
from service.store.errors import StoreError
from service.store.change_feed import Cursor
from service.store.room_index import Member

_RETRY: Final = b"retry: 1000\n"
"""Milliseconds after which a client comes back whose stream has ended: another replica serves it as well."""
_BUSY_PAUSE: Final = 2.0
"""Seconds after which somebody may try again who found no place."""
_ALIVE: Final = msgspec.json.encode({"begins": False})
"""Of the mark that is a sign of life."""
_KEPT: Final = 64
"""Batches as written for one holder, of 20 KB at most; all who share one take it at the same time."""


async def of_room(asked: Asked) -> Response:
    return await stream(asked, room_in_path(asked))


async def of_all(asked: Asked) -> Response:
    return await stream(asked, None)


async def stream(asked: Asked, room: str | None) -> Response:
    """What happens from now on, or since the event that the request names as its last.

    Raises Problem `overloaded`, StoreError.
    """
    bridge, streams = asked.bridge, edge_of(asked.request).streams
    visit = asked.visit.id if asked.visit else ""
    _check_place(streams, visit)
    feed = _Feed(bridge, Holder("visit", visit, room) if visit else Holder("key", asked.key_name, room))
    last = asked.request.headers.get("last-event-id", "")
    cursor = bridge.cursors.read(last, feed.holder, now=bridge.clock.now()) if last else None
    if cursor is None:
        first, cursor = await feed.beginning(lost=bool(last))
    else:
        first = feed.mark(cursor)
    _check_place(streams, visit)  # others may have come while the store was read
    return EventStream(partial(feed.blocks, first, cursor), streams, room, asked.visit)


def _check_place(streams: Streams, visit: str) -> None:
    if streams.full(visit):
        raise Problem("overloaded", "too many are listening", retry_after=_BUSY_PAUSE)


@dataclass(frozen=True)
class _Feed:
    """The events of one listener, whose ids are good for no other."""

    bridge: Bridge
    holder: Holder

    async def blocks(self, first: bytes, cursor: Cursor, ended: Ended) -> AsyncGenerator[bytes]:
        yield _RETRY + first
        while True:
            try:
                async with aclosing(self.bridge.live.listen(cursor, self.holder.room, ended)) as news:
                    async for batch in news:
                        yield _written(self.bridge.cursors, self.holder, batch)
            except Lost:
                try:
                    first, cursor = await self.beginning(lost=True)
                except StoreError:
                    ended.tell("store")
                    return
                yield first

    async def beginning(self, *, lost: bool) -> tuple[bytes, Cursor]:
        """The state of the room, and from where on to tell what has become of it.

        The cursor comes first: what happens in between is told twice and not never.
        """
        cursor, room = await self.bridge.live.latest(), self.holder.room
        if room is None:
            first = self._event("reset", {}, cursor) if lost else self.mark(cursor, begins=True)
            return first, cursor
        # Without an id: whoever loses the connection here has had no snapshot.
        reset = self._event("reset", {}, None) if lost else b""
        return reset + self._event("snapshot", await _snapshot(self.bridge, room), cursor), cursor

    def mark(self, cursor: Cursor, *, begins: bool = False) -> bytes:
        """A place to come back to; `begins`: what has happened before is not in this stream."""
        return self._event("mark", {"begins": begins}, cursor)

    def _event(self, kind: str, data: dict[str, Any], cursor: Cursor | None) -> bytes:
        text = self.bridge.cursors.text(cursor, self.holder) if cursor else ""
        return _block(kind, msgspec.json.encode(data), text)


# For all who listen with one key: that there are hundreds of them costs no signatures.
@lru_cache(maxsize=_KEPT)
def _written(cursors: Cursors, holder: Holder, batch: Batch) -> bytes:
    return b"".join(_told(one, holder, cursors.text(one.cursor, holder)) for one in batch.told)


def _told(told: Told, holder: Holder, id_: str) -> bytes:
    if told.entry is None:
        return _block("mark", _ALIVE, id_)
    data = told.entry.data
    if holder.kind == "visit" and holder.room is not None:
        data = for_visitor(data, holder.room)
    return _block(told.entry.kind, data, id_)


def _block(kind: str, data: bytes, id_: str) -> bytes:
    """JSON has no line breaks, so that one line of data is enough.

    A mark has data as well: some clients forget the id of an event that comes without.
    """
    named = f"id: {id_}\n" if id_ else ""
    return b"event: %s\n%sdata: %s\n\n" % (kind.encode(), named.encode(), data)


async def _snapshot(bridge: Bridge, room: str) -> dict[str, Any]:
    """Who is in the room, and the calls that are, come or wait to be."""
    view = await bridge.rooms.read(room)
    members, waiting = (view.members, view.waiting) if view else ((), ())
    refs = {call_of(one.seat)[0] for one in members if not is_browser(one.seat)}
    calls = await bridge.calls.several(sorted(refs.union(waiting)))
    return {
        "room": room,
        "participants": [_participant(one) for one in members if one.phase == "in"],
        "calls": [shown(call) for call in calls if call.live and call.room == room],
    }


def _participant(member: Member) -> dict[str, Any]:
    browser = member.browser if is_browser(member.seat) else None
    return {
        "participantId": member.participant_id,
        "kind": "browser" if is_browser(member.seat) else "phone",
        "call": None if is_browser(member.seat) else call_of(member.seat)[0],
        "name": (browser.name if browser else "") or None,
        "state": "in",
    }
