"""Browsers in rooms: their tokens, who they are, whom they hear."""

from starlette.responses import Response

from handlers.api import bodies
from handlers.http.context import Asked, answer
from handlers.api.dialing import refused
from handlers.http.problems import Problem, invalid, not_found
from handlers.api.json_body import read
from handlers.api.rooms import room_in_path
from handlers.api.views import participant_view, time_view
from service.calls.browser import Hears, Permission
from service.calls.model import call_of
from service.engine.operators import Refusal
from service.store.room_index import Member


async def admit(asked: Asked) -> Response:
    room = room_in_path(asked)
    body = await read(asked.request, bodies.NewParticipant, optional=True)
    permissions = (Permission.AUDIO,) if body.permissions is None else tuple(dict.fromkeys(body.permissions))
    admitted = await asked.bridge.participants.admit(room, name=body.name or "", permissions=permissions)
    if isinstance(admitted, Refusal):
        raise refused(admitted, asked)
    found = {
        "participantId": admitted.participant_id,
        "room": room,
        "name": body.name,
        "token": admitted.token,
        "expiresAt": time_view(admitted.expires_at),
    }
    location = f"/api/v1/rooms/{room}/participants/{admitted.participant_id}"
    return answer(found, 201, {"Location": location})


async def one(asked: Asked) -> Response:
    room, member = await _member(asked)
    return answer(participant_view(room, member))


async def leave(asked: Asked) -> Response:
    """With the visit of a visitor, who would come back with the same cookie, or just has."""
    room, id_ = room_in_path(asked), asked.request.path_params["participant"]
    if visit := await asked.bridge.participants.visit_of(room, id_):
        await asked.bridge.door.passes.end_visit(room, visit, listed=False)
        await asked.bridge.participants.leave_visit(room, visit)
    else:
        _, member = await _member(asked)
        await asked.bridge.participants.leave(room, member.seat)
    return Response(status_code=204)


async def beat(asked: Asked) -> Response:
    room, member = await _member(asked)
    if not await asked.bridge.participants.beat(room, member.seat):
        raise not_found("participant in this room")
    return Response(status_code=204)


async def subscribe(asked: Asked) -> Response:
    room, member = await _member(asked)
    body = await read(asked.request, bodies.ParticipantSubscriptions)
    hears = await _hears(asked, room, body.hears)
    if not await asked.bridge.participants.subscribe(room, member, hears):
        raise not_found("participant in this room")
    _, after = await _member(asked)
    return answer(participant_view(room, after), 202)


async def _hears(asked: Asked, room: str, hears: str | list[bodies.Id | bodies.StreamsBody]) -> Hears:
    """Raises Problem `invalid` for somebody who is not in the room."""
    if isinstance(hears, str):
        return None if hears == "everyone" else ()
    for position, heard in enumerate(hears):
        id_ = heard if isinstance(heard, str) else heard.participant_id
        if await asked.bridge.participants.find(room, id_) is None:
            raise invalid(f"hears.{position}", "is no participant in the same room")
    return tuple(dict.fromkeys(one if isinstance(one, str) else one.value() for one in hears))


async def _member(asked: Asked) -> tuple[str, Member]:
    """The browser in the path. Raises Problem."""
    room = room_in_path(asked)
    member = await asked.bridge.participants.find(room, asked.request.path_params["participant"])
    if member is None:
        raise not_found("participant in this room")
    if member.browser is None:
        call = call_of(member.seat)[0]
        raise Problem("refused", f"it is a phone's; what can be done with it is under /api/v1/calls/{call}")
    return room, member
