"""Lists rooms, shows and configures one, and closes one."""

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
"""Names of the query parameters of the list."""
_name: Final = msgspec.json.Decoder(str).decode


async def list_rooms(context: RequestContext) -> Response:
    """A page of rooms, by name. The page is short if a room has ended while they are read.

    Raises Problem `invalid`, and StoreError.
    """
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
    """Raises Problem `invalid` and `not-found`, and StoreError."""
    room = await context.services.rooms.read(room_in_path(context))
    if room is None:
        raise not_found("room")
    return json_response(_view(context, room))


async def configure_room(context: RequestContext) -> Response:
    """Raises Problem `invalid` and `pin-taken`, HttpError and StoreError."""
    name = room_in_path(context)
    settings = (await read_json(context.request, bodies.RoomBody)).to_settings()
    if await context.services.rooms.configure(name, settings, now=context.services.clock.now()):
        # The name of the room would help a client that guesses PINs.
        raise Problem("pin-taken", "the PIN is another room's")
    # A room without settings and members does not exist; it is shown as an empty one.
    return json_response(_view(context, await context.services.rooms.read(name) or empty_room(name)))


async def close_room(context: RequestContext) -> Response:
    """Raises Problem `invalid` and `not-found`, and StoreError."""
    name = room_in_path(context)
    if not await context.services.rooms.close(name, now=context.services.clock.now()):
        raise not_found("room with anybody in it or invited to it")
    context.services.signal.notify(keys.owner_room(name))
    return Response(status_code=202)


def room_in_path(context: RequestContext) -> str:
    """The room of the path. Raises Problem `invalid` for what is no room's name."""
    name: str = context.request.path_params["room"]
    if not bodies.is_room_name(name):
        raise invalid("room", "is no room's name: 1 to 64 of a-z 0-9 -, and not a word of ROOM_POLICY")
    context.room = name
    return name


def _view(context: RequestContext, room: RoomView) -> dict[str, object]:
    return room_view(room, now=context.services.clock.now(), pins=context.may("control"))
