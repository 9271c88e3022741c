"""Sends live events of one room, which begin with a snapshot, or of all rooms."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final

import msgspec
from starlette.responses import Response

from handlers.api.rooms import room_in_path
from handlers.http.context import RequestContext
from handlers.http.problems import Problem
from handlers.http.services import Services
from handlers.http.sse import EventStream, OpenStreams
from handlers.http.state import http_state_of
from service.calls.browser import is_browser
from service.calls.change_view import public_view, redact_for_visitor
from service.calls.model import parse_seat
from service.cursors import CursorHolder, CursorSigner
from service.engine.change_feed import CloseSignal, CursorExpired, FeedBatch, FeedItem
from service.store.change_feed import Cursor
from service.store.errors import StoreError
from service.store.room_index import Member

_RETRY: Final = b"retry: 1000\n"
"""Milliseconds after which a client reconnects when its stream has ended, to any replica."""
_BUSY_PAUSE: Final = 2.0
"""Seconds after which a client may try again when there are too many listeners."""
_HEARTBEAT: Final = msgspec.json.encode({"begins": False})
"""The data of a mark that only shows that the connection lives."""
_KEPT: Final = 64
"""Batches, as written for one holder, that are cached. Each has 20 KB at most."""


async def room_events(context: RequestContext) -> Response:
    """Raises Problem `invalid` and `overloaded`, and StoreError."""
    return await open_stream(context, room_in_path(context))


async def all_events(context: RequestContext) -> Response:
    """Raises Problem `overloaded`, and StoreError."""
    return await open_stream(context, None)


async def open_stream(context: RequestContext, room: str | None) -> Response:
    """The events from now on, or since the event that the request names as its last.

    `room`: None for all rooms. Raises Problem `overloaded`, and StoreError.
    """
    services, streams = context.services, http_state_of(context.request).streams
    visit = context.visit.id if context.visit else ""
    _check_capacity(streams, visit)
    feed = _ListenerFeed(
        services, CursorHolder("visit", visit, room) if visit else CursorHolder("key", context.key_name, room)
    )
    last = context.request.headers.get("last-event-id", "")
    cursor = services.cursor_signer.verify(last, feed.holder, now=services.clock.now()) if last else None
    if cursor is None:
        first, cursor = await feed.snapshot(lost=bool(last))
    else:
        first = feed.mark(cursor)
    _check_capacity(streams, visit)  # others may have come while the store was read
    return EventStream(partial(feed.blocks, first, cursor), streams, room, context.visit)


def _check_capacity(streams: OpenStreams, visit: str) -> None:
    if streams.is_full(visit):
        raise Problem("overloaded", "too many are listening", retry_after=_BUSY_PAUSE)


@dataclass(frozen=True)
class _ListenerFeed:
    """The events of one listener, whose ids are good for no other."""

    bridge: Services
    holder: CursorHolder

    async def blocks(self, first: bytes, cursor: Cursor, close_signal: CloseSignal) -> AsyncGenerator[bytes]:
        """The blocks of the stream, without end. It ends when `close_signal` is set. Raises nothing."""
        yield _RETRY + first
        while True:
            try:
                async with aclosing(self.bridge.feed.listen(cursor, self.holder.room, close_signal)) as news:
                    async for batch in news:
                        yield _batch_block(self.bridge.cursor_signer, self.holder, batch)
            except CursorExpired:
                try:
                    first, cursor = await self.snapshot(lost=True)
                except StoreError:
                    close_signal.close("store")
                    return
                yield first

    async def snapshot(self, *, lost: bool) -> tuple[bytes, Cursor]:
        """The state of the room, and the cursor from which its events follow. Raises StoreError.

        The cursor is read first: what happens in between is told twice, and not never.
        """
        cursor, room = await self.bridge.feed.latest_cursor(), self.holder.room
        if room is None:
            first = self._event("reset", {}, cursor) if lost else self.mark(cursor, begins=True)
            return first, cursor
        # Without an id: a client that loses the connection here has had no snapshot.
        reset = self._event("reset", {}, None) if lost else b""
        return reset + self._event("snapshot", await _snapshot(self.bridge, room), cursor), cursor

    def mark(self, cursor: Cursor, *, begins: bool = False) -> bytes:
        """A position to resume from. `begins`: the stream lacks what happened before. Raises nothing."""
        return self._event("mark", {"begins": begins}, cursor)

    def _event(self, kind: str, data: dict[str, Any], cursor: Cursor | None) -> bytes:
        text = self.bridge.cursor_signer.sign(cursor, self.holder) if cursor else ""
        return _block(kind, msgspec.json.encode(data), text)


# For all listeners with one key: hundreds of them cost no more signatures than one.
@lru_cache(maxsize=_KEPT)
def _batch_block(cursors: CursorSigner, holder: CursorHolder, batch: FeedBatch) -> bytes:
    return b"".join(_item_block(one, holder, cursors.sign(one.cursor, holder)) for one in batch.items)


def _item_block(item: FeedItem, holder: CursorHolder, id_: str) -> bytes:
    if item.entry is None:
        return _block("mark", _HEARTBEAT, id_)
    data = item.entry.data
    if holder.kind == "visit" and holder.room is not None:
        data = redact_for_visitor(data, holder.room)
    return _block(item.entry.kind, data, id_)


def _block(kind: str, data: bytes, id_: str) -> bytes:
    """JSON has no line breaks, so that one line of data is enough.

    A mark has data as well: some clients forget the id of an event that comes without.
    """
    named = f"id: {id_}\n" if id_ else ""
    return b"event: %s\n%sdata: %s\n\n" % (kind.encode(), named.encode(), data)


async def _snapshot(services: Services, room: str) -> dict[str, Any]:
    """The members of the room, and the calls that are in it, join it or wait for it. Raises StoreError."""
    view = await services.rooms.read(room)
    members, waiting = (view.members, view.waiting) if view else ((), ())
    refs = {parse_seat(one.seat)[0] for one in members if not is_browser(one.seat)}
    calls = await services.calls.read_many(sorted(refs.union(waiting)))
    return {
        "room": room,
        "participants": [_participant(one) for one in members if one.phase == "in"],
        "calls": [public_view(call) for call in calls if call.live and call.room == room],
    }


def _participant(member: Member) -> dict[str, Any]:
    browser = member.browser if is_browser(member.seat) else None
    return {
        "participantId": member.participant_id,
        "kind": "browser" if is_browser(member.seat) else "phone",
        "call": None if is_browser(member.seat) else parse_seat(member.seat)[0],
        "name": (browser.name if browser else "") or None,
        "state": "in",
    }
