"""Serves rooms: shows who is in them, sets them, and closes them."""

from typing import Final

import msgspec
from starlette.responses import Response

from handlers.api import bodies, paging
from handlers.api.json_body import read_json
from handlers.api.views import room_view
from handlers.http.context import RequestContext, json_response
from handlers.http.problems import Problem, invalid, not_found
from service.store import keys
from service.store.room_index import RoomView, empty_room

PARAMETERS: Final = frozenset({"limit", "cursor"})
"""Of the list."""
_name: Final = msgspec.json.Decoder(str).decode


async def list_rooms(context: RequestContext) -> Response:
    """In the order of their names. One that has ended while they are read is left out: the page is short."""
    given = paging.unique_params(context.request.query_params)
    after = paging.position_of(given, _name)
    if after is not None and not bodies.is_room_name(after):
        raise paging.invalid_cursor()
    page = await context.services.rooms.list_page(after=after or "", limit=paging.limit_of(given))
    return json_response(
        {
            "rooms": [_view(context, room) for room in page.rooms],
            "next": paging.cursor_of(page.last) if page.last else None,
        }
    )


async def show_room(context: RequestContext) -> Response:
    room = await context.services.rooms.read(room_in_path(context))
    if room is None:
        raise not_found("room")
    return json_response(_view(context, room))


async def configure_room(context: RequestContext) -> Response:
    name = room_in_path(context)
    settings = (await read_json(context.request, bodies.RoomBody)).to_settings()
    if await context.services.rooms.configure(name, settings, now=context.services.clock.now()):
        # Which room it is would help whoever is guessing PINs.
        raise Problem("pin-taken", "the PIN is another room's")
    # One without settings that nobody is in is no room; as an answer it is as good as any.
    return json_response(_view(context, await context.services.rooms.read(name) or empty_room(name)))


async def close_room(context: RequestContext) -> Response:
    name = room_in_path(context)
    if not await context.services.rooms.close(name, now=context.services.clock.now()):
        raise not_found("room with anybody in it or invited to it")
    context.services.signal.notify(keys.owner_room(name))
    return Response(status_code=202)


def room_in_path(context: RequestContext) -> str:
    """Raises Problem `invalid` for what is no room's name."""
    name: str = context.request.path_params["room"]
    if not bodies.is_room_name(name):
        raise invalid("room", "is no room's name: 1 to 64 of a-z 0-9 -, and not a word of ROOM_POLICY")
    context.room = name
    return name


def _view(context: RequestContext, room: RoomView) -> dict[str, object]:
    return room_view(room, now=context.services.clock.now(), pins=context.may("control"))
