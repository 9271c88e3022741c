"""The visit itself: from the invitation to the cookie, a seat with its token, signs of life, the end."""

from contextlib import suppress

import msgspec
from starlette.responses import Response

from handlers.api import bodies
from handlers.http.context import Asked, answer
from handlers.api.dialing import refused
from handlers.api.events import stream
from handlers.http.problems import Problem
from handlers.api.json_body import read
from handlers.api.views import time_view
from handlers.http.state import edge_of
from handlers.http.request_guard import VISITOR_LIMIT
from handlers.join.endpoint import over
from service.engine.operators import Refusal
from service.invitations import LONGEST, Pass
from service.store.errors import StoreError
from service.store.room_index import Member


class Invited(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    invitation: str


class Seated(bodies.Shape, frozen=True, kw_only=True):
    participant_id: bodies.Id


async def open_(asked: Asked) -> Response:
    body = await read(asked.request, Invited, limit=VISITOR_LIMIT)
    door = asked.bridge.door
    invitation = door.invitation(room_of(asked), body.invitation[: LONGEST + 1])
    edge_of(asked.request).limits.visit(invitation.id, invitation.issued_by)
    asked.visit = visit = await door.open(invitation)
    response = answer(_view(visit))
    door.remember(response, visit)
    return response


async def show(asked: Asked) -> Response:
    """What the cookie says needs no store: a page that is open keeps what it shows while that is away."""
    visit = visit_of(asked)
    with suppress(StoreError):
        if await asked.bridge.door.is_over(visit):
            raise over()
    return answer(_view(visit))


async def sit(asked: Asked) -> Response:
    body = await read(asked.request, bodies.Named, optional=True, limit=VISITOR_LIMIT)
    visit = visit_of(asked)
    with asked.bridge.door.joining(visit):
        admitted = await asked.bridge.participants.admit(
            visit.room, name=body.name or visit.name, visit=visit.id, until=visit.until
        )
    if await asked.bridge.door.is_over(visit):
        # Meanwhile: whoever has ended it may have looked for its seats before this one was taken.
        if not isinstance(admitted, Refusal):
            await asked.bridge.participants.leave(visit.room, admitted.seat)
        raise over()
    if isinstance(admitted, Refusal):
        raise refused(admitted, asked)
    return answer(
        {
            "participantId": admitted.participant_id,
            "token": admitted.token,
            "expiresAt": time_view(admitted.expires_at),
            "deviceUrl": asked.bridge.door.device_url,
        },
        201,
    )


async def beat(asked: Asked) -> Response:
    member = await _member(asked)
    if member is None or not await asked.bridge.participants.beat(room_of(asked), member.seat):
        raise Problem("gone", "the seat has been given up; take another")
    return Response(status_code=204)


async def leave(asked: Asked) -> Response:
    member = await _member(asked)
    if member is not None:
        await asked.bridge.participants.leave(room_of(asked), member.seat)
    return Response(status_code=204)


async def events(asked: Asked) -> Response:
    return await stream(asked, room_of(asked))


async def _member(asked: Asked) -> Member | None:
    """The browser of this visit, if it is still the one that the page speaks of."""
    body = await read(asked.request, Seated, limit=VISITOR_LIMIT)
    member = await asked.bridge.participants.find(room_of(asked), body.participant_id)
    own = member is not None and member.browser is not None and member.browser.visit == visit_of(asked).id
    return member if own else None


def visit_of(asked: Asked) -> Pass:
    if asked.visit is None:
        raise ValueError("a request without a visit has been let through")
    return asked.visit


def room_of(asked: Asked) -> str:
    return str(asked.request.path_params["room"])


def _view(visit: Pass) -> dict[str, object]:
    return {"room": visit.room, "name": visit.name or None, "scopes": visit.scopes}
