"""Invitations to the page of a room, and the visits that they have become."""

from typing import Any, Final

from starlette.responses import Response

from handlers.api import bodies
from handlers.http.context import Asked, answer
from handlers.http.api_key_auth import require
from handlers.http.problems import not_found
from handlers.api.json_body import read
from handlers.api.rooms import room_in_path
from handlers.api.views import time_view
from handlers.http.visitor_access import NEEDED
from service.invitations import Scope
from service.store.invitations import Kind, Listed

SECONDS: Final = 900.0


async def invite(asked: Asked) -> Response:
    room = room_in_path(asked)
    body = await read(asked.request, bodies.NewInvitation, optional=True)
    scopes = tuple(dict.fromkeys([Scope.TALK, *(body.scopes or [])]))
    if asked.key is None:
        raise ValueError("a request without a key has been let through")
    for scope in scopes:  # nobody grants what the key itself may not do
        require(asked.key, NEEDED[scope])
    invitation, url = await asked.bridge.door.invite(
        room,
        name=body.name or "",
        scopes=scopes,
        seconds=SECONDS if body.expires_in is None else body.expires_in,
        key=asked.key,
    )
    made = {"url": url, "id": invitation.id, "room": room, "scopes": scopes}
    return answer({**made, "expiresAt": time_view(invitation.until)}, 201)


async def invitations(asked: Asked) -> Response:
    return answer({"invitations": [_view(one) for one in await _open(asked, Kind.INVITATION)]})


async def visits(asked: Asked) -> Response:
    found = await _open(asked, Kind.VISIT)
    seated = await asked.bridge.participants.visiting(room_in_path(asked)) if found else {}
    return answer({"visits": [{**_view(one), "participantId": seated.get(one.id)} for one in found]})


async def end_invitation(asked: Asked) -> Response:
    room, id_ = room_in_path(asked), _id(asked)
    if not await asked.bridge.door.passes.end_invitation(room, id_):
        raise not_found("invitation that is open")
    return Response(status_code=204)


async def end_visit(asked: Asked) -> Response:
    """Again where it was ended before: whoever was interrupted may have left its browser in the room."""
    room, visit = room_in_path(asked), _id(asked)
    if not await asked.bridge.door.passes.end_visit(room, visit):
        raise not_found("visit that is open")
    await asked.bridge.participants.leave_visit(room, visit)
    return Response(status_code=204)


async def _open(asked: Asked, kind: Kind) -> list[Listed]:
    return await asked.bridge.door.passes.open_in(room_in_path(asked), kind, now=asked.bridge.clock.now())


def _id(asked: Asked) -> str:
    return str(asked.request.path_params["id"])


def _view(one: Listed) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name or None,
        "scopes": one.scopes,
        "issuedBy": one.issued_by,
        "expiresAt": time_view(one.until),
    }
