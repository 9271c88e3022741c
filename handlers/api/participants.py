"""Adds browsers to rooms, shows and removes them, and sets whom they hear."""

from starlette.responses import Response

from handlers.api import bodies
from handlers.api.dialing import problem_of
from handlers.api.json_body import read_json
from handlers.api.rooms import room_in_path
from handlers.api.views import participant_view, time_view
from handlers.http.context import RequestContext, json_response
from handlers.http.problems import Problem, invalid, not_found
from service.calls.browser import Hears, Permission
from service.calls.model import parse_seat
from service.engine.errors import RequestRefusal
from service.store.room_index import Member


async def add_participant(context: RequestContext) -> Response:
    """Raises Problem, HttpError and StoreError."""
    room = room_in_path(context)
    body = await read_json(context.request, bodies.ParticipantBody, optional=True)
    permissions = (Permission.AUDIO,) if body.permissions is None else tuple(dict.fromkeys(body.permissions))
    admitted = await context.services.browsers.admit(room, name=body.name or "", permissions=permissions)
    if isinstance(admitted, RequestRefusal):
        raise problem_of(admitted, context)
    found = {
        "participantId": admitted.participant_id,
        "room": room,
        "name": body.name,
        "token": admitted.token,
        "expiresAt": time_view(admitted.expires_at),
    }
    location = f"/api/v1/rooms/{room}/participants/{admitted.participant_id}"
    return json_response(found, 201, {"Location": location})


async def show_participant(context: RequestContext) -> Response:
    """Raises Problem `invalid`, `not-found` and `refused`, and StoreError."""
    room, member = await _member(context)
    return json_response(participant_view(room, member))


async def remove_participant(context: RequestContext) -> Response:
    """Remove a browser, and end its visit: a visitor would come back with the same cookie, or just has.

    Raises Problem `invalid`, `not-found` and `refused`, and StoreError.
    """
    room, id_ = room_in_path(context), context.request.path_params["participant"]
    if visit := await context.services.browsers.visit_of(room, id_):
        await context.services.visitor_access.passes.end_visit(room, visit, listed=False)
        await context.services.browsers.leave_visit(room, visit)
    else:
        _, member = await _member(context)
        await context.services.browsers.leave(room, member.seat)
    return Response(status_code=204)


async def heartbeat(context: RequestContext) -> Response:
    """Raises Problem `invalid`, `not-found` and `refused`, and StoreError."""
    room, member = await _member(context)
    if not await context.services.browsers.heartbeat(room, member.seat):
        raise not_found("participant in this room")
    return Response(status_code=204)


async def subscribe(context: RequestContext) -> Response:
    """Raises Problem, HttpError and StoreError."""
    room, member = await _member(context)
    body = await read_json(context.request, bodies.ParticipantSubscriptionsBody)
    hears = await _hears(context, room, body.hears)
    if not await context.services.browsers.subscribe(room, member, hears):
        raise not_found("participant in this room")
    _, after = await _member(context)
    return json_response(participant_view(room, after), 202)


async def _hears(
    context: RequestContext, room: str, hears: str | list[bodies.Id | bodies.StreamsBody]
) -> Hears:
    """Raises Problem `invalid` for an id that is not in the room, and StoreError."""
    if isinstance(hears, str):
        return None if hears == "everyone" else ()
    for position, heard in enumerate(hears):
        id_ = heard if isinstance(heard, str) else heard.participant_id
        if await context.services.browsers.find(room, id_) is None:
            raise invalid(f"hears.{position}", "is no participant in the same room")
    return tuple(dict.fromkeys(one if isinstance(one, str) else one.to_streams() for one in hears))


async def _member(context: RequestContext) -> tuple[str, Member]:
    """The browser in the path. Raises Problem `invalid`, `not-found` and `refused`, and StoreError."""
    room = room_in_path(context)
    member = await context.services.browsers.find(room, context.request.path_params["participant"])
    if member is None:
        raise not_found("participant in this room")
    if member.browser is None:
        call = parse_seat(member.seat)[0]
        raise Problem("refused", f"it is a phone's; what can be done with it is under /api/v1/calls/{call}")
    return room, member
