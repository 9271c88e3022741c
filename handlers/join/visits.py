"""Serves a visit: redeems the invitation, gives out a seat and its token, takes heartbeats and the end."""

from contextlib import suppress

import msgspec
from starlette.responses import Response

from handlers.api import bodies
from handlers.api.dialing import problem_of
from handlers.api.events import open_stream
from handlers.api.json_body import read_json
from handlers.api.views import time_view
from handlers.http.context import RequestContext, json_response
from handlers.http.problems import Problem
from handlers.http.request_guard import VISITOR_LIMIT
from handlers.http.state import http_state_of
from handlers.join.cookies import set_visit_cookie
from handlers.join.endpoint import visit_ended
from service.engine.errors import RequestRefusal
from service.invitations import LONGEST, Pass
from service.store.errors import StoreError
from service.store.room_index import Member


class RedeemBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    invitation: str


class SeatBody(bodies.RequestBody, frozen=True, kw_only=True):
    participant_id: bodies.Id


async def redeem(context: RequestContext) -> Response:
    """Turn an invitation into a visit, and set its cookie.

    Raises Problem, HttpError, VisitorError and StoreError.
    """
    body = await read_json(context.request, RedeemBody, limit=VISITOR_LIMIT)
    access = context.services.visitor_access
    invitation = access.read_invitation(room_of(context), body.invitation[: LONGEST + 1])
    http_state_of(context.request).rate_limits.check_visit(invitation.id, invitation.issued_by)
    context.visit = visit = await access.redeem(invitation)
    response = json_response(_view(visit))
    set_visit_cookie(response, access.sign_visit(visit), room=visit.room, base_url=context.services.base_url)
    return response


async def show_visit(context: RequestContext) -> Response:
    """What the cookie says. It needs no store: an open page keeps what it shows while the store is away.

    Raises Problem `invitation-needed`.
    """
    visit = visit_of(context)
    with suppress(StoreError):
        if await context.services.visitor_access.has_ended(visit):
            raise visit_ended()
    return json_response(_view(visit))


async def take_seat(context: RequestContext) -> Response:
    """Add a browser to the room. Raises Problem, HttpError, TooManyJoins and StoreError."""
    body = await read_json(context.request, bodies.NamedBody, optional=True, limit=VISITOR_LIMIT)
    visit = visit_of(context)
    with context.services.visitor_access.limit_joins(visit):
        admitted = await context.services.browsers.admit(
            visit.room, name=body.name or visit.name, visit=visit.id, visit_ends_at=visit.until
        )
    if await context.services.visitor_access.has_ended(visit):
        # The request that has ended it may have looked for its seats before this one was taken.
        if not isinstance(admitted, RequestRefusal):
            await context.services.browsers.leave(visit.room, admitted.seat)
        raise visit_ended()
    if isinstance(admitted, RequestRefusal):
        raise problem_of(admitted, context)
    return json_response(
        {
            "participantId": admitted.participant_id,
            "token": admitted.token,
            "expiresAt": time_view(admitted.expires_at),
            "deviceUrl": context.services.device_url,
        },
        201,
    )


async def heartbeat(context: RequestContext) -> Response:
    """Raises Problem `gone`, HttpError and StoreError."""
    member = await _member(context)
    if member is None or not await context.services.browsers.heartbeat(room_of(context), member.seat):
        raise Problem("gone", "the seat has been given up; take another")
    return Response(status_code=204)


async def leave(context: RequestContext) -> Response:
    """Give the seat up. Raises Problem, HttpError and StoreError."""
    member = await _member(context)
    if member is not None:
        await context.services.browsers.leave(room_of(context), member.seat)
    return Response(status_code=204)


async def events(context: RequestContext) -> Response:
    """Raises Problem `overloaded`, and StoreError."""
    return await open_stream(context, room_of(context))


async def _member(context: RequestContext) -> Member | None:
    """The browser of this visit, if it is still the one that the page names.

    Raises Problem, HttpError and StoreError.
    """
    body = await read_json(context.request, SeatBody, limit=VISITOR_LIMIT)
    member = await context.services.browsers.find(room_of(context), body.participant_id)
    own = member is not None and member.browser is not None and member.browser.visit == visit_of(context).id
    return member if own else None


def visit_of(context: RequestContext) -> Pass:
    """The visit of an authorized request. Raises ValueError for another one."""
    if context.visit is None:
        raise ValueError("a request without a visit has been let through")
    return context.visit


def room_of(context: RequestContext) -> str:
    """The room in the path. Raises nothing."""
    return str(context.request.path_params["room"])


def _view(visit: Pass) -> dict[str, object]:
    return {"room": visit.room, "name": visit.name or None, "scopes": visit.scopes}
