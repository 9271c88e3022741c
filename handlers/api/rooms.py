"""Rooms: who is in them, what they are told to do, and that they are to end."""

from typing import Final

import msgspec
from starlette.responses import Response

from handlers.api import bodies, paging
from handlers.http.context import Asked, answer
from handlers.http.problems import Problem, invalid, not_found
from handlers.api.json_body import read
from handlers.api.views import room_view
from service.store import keys
from service.store.room_index import RoomView, empty_room

PARAMETERS: Final = frozenset({"limit", "cursor"})
"""Of the list."""
_name: Final = msgspec.json.Decoder(str).decode


async def listing(asked: Asked) -> Response:
    """In the order of their names. One that has ended while they are read is left out: the page is short."""
    given = paging.given(asked.request.query_params)
    after = paging.place_of(given, _name)
    if after is not None and not bodies.is_room_name(after):
        raise paging.no_cursor()
    page = await asked.bridge.rooms.page(after=after or "", limit=paging.limit_of(given))
    return answer(
        {
            "rooms": [_view(asked, room) for room in page.rooms],
            "next": paging.cursor_of(page.last) if page.last else None,
        }
    )


async def one(asked: Asked) -> Response:
    room = await asked.bridge.rooms.read(room_in_path(asked))
    if room is None:
        raise not_found("room")
    return answer(_view(asked, room))


async def configure(asked: Asked) -> Response:
    name = room_in_path(asked)
    settings = (await read(asked.request, bodies.Room)).value()
    if await asked.bridge.rooms.configure(name, settings, now=asked.bridge.clock.now()):
        # Which room it is would help whoever is guessing PINs.
        raise Problem("pin-taken", "the PIN is another room's")
    # One without settings that nobody is in is no room; as an answer it is as good as any.
    return answer(_view(asked, await asked.bridge.rooms.read(name) or empty_room(name)))


async def close(asked: Asked) -> Response:
    name = room_in_path(asked)
    if not await asked.bridge.rooms.close(name, now=asked.bridge.clock.now()):
        raise not_found("room with anybody in it or invited to it")
    asked.bridge.alarm.wake(keys.owner_room(name))
    return Response(status_code=202)


def room_in_path(asked: Asked) -> str:
    """Raises Problem `invalid` for what is no room's name."""
    name: str = asked.request.path_params["room"]
    if not bodies.is_room_name(name):
        raise invalid("room", "is no room's name: 1 to 64 of a-z 0-9 -, and not a word of ROOM_POLICY")
    asked.room = name
    return name


def _view(asked: Asked, room: RoomView) -> dict[str, object]:
    return room_view(room, now=asked.bridge.clock.now(), pins=asked.may("control"))
