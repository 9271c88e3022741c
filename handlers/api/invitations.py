"""Invitations to the page of a room."""

from typing import Final

from starlette.responses import Response

from handlers.api import bodies
from handlers.api.asked import Asked, answer
from handlers.api.keys import require
from handlers.api.reading import read
from handlers.api.rooms import room_in_path
from handlers.api.views import time_view
from handlers.join.door import NEEDED
from service.invitations import Scope

_SECONDS: Final = 900.0


async def invite(asked: Asked) -> Response:
    room = room_in_path(asked)
    body = await read(asked.request, bodies.NewInvitation, optional=True)
    scopes = tuple(dict.fromkeys([Scope.TALK, *(body.scopes or [])]))
    for scope in scopes:  # nobody grants what the key itself may not do
        if asked.key:
            require(asked.key, NEEDED[scope])
    url, until = asked.bridge.door.invite(
        room,
        name=body.name or "",
        scopes=scopes,
        seconds=_SECONDS if body.expires_in is None else body.expires_in,
        issued_by=asked.key_name,
    )
    return answer({"url": url, "room": room, "scopes": scopes, "expiresAt": time_view(until)}, 201)
