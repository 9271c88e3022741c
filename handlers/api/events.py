"""Live state as server-sent events: of one room, beginning with a snapshot, or of all."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from handlers.api.asked import Asked
from handlers.api.problems import Problem
from handlers.api.rooms import room_in_path
from handlers.bridge import Bridge
from handlers.edge import edge_of
from handlers.streams import EventStream
from service.calls.browser import is_browser
from service.calls.model import call_of
from service.calls.news import shown
from service.engine.live import Ended, Lost, Told
from service.invitations import Pass
from service.store.errors import StoreError
from service.store.news import Cursor, read_cursor
from service.store.room_directory import Member

_RETRY: Final = b"retry: 1000\n"
"""Milliseconds after which a client comes back whose stream has ended: another replica serves it as well."""
_BUSY_PAUSE: Final = 2.0
"""Seconds after which somebody may try again who found no place."""


async def of_room(asked: Asked) -> Response:
    return await stream(asked.request, asked.bridge, room_in_path(asked))


async def of_all(asked: Asked) -> Response:
    return await stream(asked.request, asked.bridge, None)


async def stream(request: Request, bridge: Bridge, room: str | None, visitor: Pass | None = None) -> Response:
    """What happens from now on, or since the event that the request names as its last.

    `visitor`: the visit of whoever listens, None for an operator.

    Raises Problem `overloaded`, StoreError.
    """
    streams = edge_of(request).streams
    if streams.full:
        raise Problem("overloaded", "too many are listening", retry_after=_BUSY_PAUSE)
    last = request.headers.get("last-event-id", "")
    cursor = read_cursor(last, now=bridge.clock.now()) if last else None
    if cursor is None:
        first, cursor = await _beginning(bridge, room, lost=bool(last))
    else:
        first = _mark(cursor)
    return EventStream(partial(_blocks, bridge, room, first, cursor), streams, room, visitor)


async def _blocks(
    bridge: Bridge, room: str | None, first: bytes, cursor: Cursor, ended: Ended
) -> AsyncGenerator[bytes]:
    yield _RETRY + first
    while True:
        try:
            async with aclosing(bridge.live.listen(cursor, room, ended)) as news:
                async for told in news:
                    yield _block(told)
        except Lost:
            try:
                first, cursor = await _beginning(bridge, room, lost=True)
            except StoreError:
                ended.tell("store")
                return
            yield first


async def _beginning(bridge: Bridge, room: str | None, *, lost: bool) -> tuple[bytes, Cursor]:
    """The state of the room, and from where on to tell what has become of it.

    The cursor comes first: what happens in between is told twice and not never.
    """
    cursor = await bridge.live.latest()
    if room is None:
        return _event("reset", {}, cursor) if lost else _mark(cursor, begins=True), cursor
    # Without an id: whoever loses the connection here has had no snapshot.
    reset = _event("reset", {}, None) if lost else b""
    return reset + _event("snapshot", await _snapshot(bridge, room), cursor), cursor


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


def _block(told: Told) -> bytes:
    if told.entry is None:
        return _mark(told.cursor)
    return _raw(told.entry.kind, told.entry.data, told.cursor)


def _event(kind: str, data: dict[str, Any], cursor: Cursor | None) -> bytes:
    return _raw(kind, msgspec.json.encode(data), cursor)


def _raw(kind: str, data: bytes, cursor: Cursor | None) -> bytes:
    """JSON has no line breaks, so that one line of data is enough."""
    id_ = b"id: %s\n" % cursor.text().encode() if cursor else b""
    return b"event: %s\n%sdata: %s\n\n" % (kind.encode(), id_, data)


def _mark(cursor: Cursor, *, begins: bool = False) -> bytes:
    """A place to come back to. With data: some clients forget the id of an event that comes without.

    `begins`: what has happened before is not in this stream.
    """
    return _event("mark", {"begins": begins}, cursor)
