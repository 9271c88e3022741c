"""Gives out invitations to the page of a room, and lists and ends them and their visits."""

from typing import Any, Final

from starlette.responses import Response

from handlers.api import bodies
from handlers.api.json_body import read_json
from handlers.api.rooms import room_in_path
from handlers.api.views import time_view
from handlers.http.api_key_auth import require_scope
from handlers.http.context import RequestContext, json_response
from handlers.http.problems import not_found
from service.engine.visitors import KEY_SCOPES
from service.invitations import Scope
from service.store.invitations import OpenPass, PassKind

DEFAULT_LIFETIME: Final = 900.0
"""Seconds for which an invitation is good, unless the request says otherwise."""


async def invite(context: RequestContext) -> Response:
    """Raises Problem `invalid` and `forbidden`, HttpError, TooManyInvitations and StoreError."""
    room = room_in_path(context)
    body = await read_json(context.request, bodies.InvitationBody, optional=True)
    scopes = tuple(dict.fromkeys([Scope.TALK, *(body.scopes or [])]))
    if context.key is None:
        raise ValueError("a request without a key has been let through")
    for scope in scopes:  # a key can grant only what it may do itself
        require_scope(context.key, KEY_SCOPES[scope])
    invitation, text = await context.services.visitor_access.invite(
        room,
        name=body.name or "",
        scopes=scopes,
        seconds=DEFAULT_LIFETIME if body.expires_in is None else body.expires_in,
        key=context.key,
    )
    url = f"{context.services.base_url}/join/{room}?invitation={text}"
    made = {"url": url, "id": invitation.id, "room": room, "scopes": scopes}
    return json_response({**made, "expiresAt": time_view(invitation.until)}, 201)


async def list_invitations(context: RequestContext) -> Response:
    """Raises Problem `invalid`, and StoreError."""
    return json_response({"invitations": [_view(one) for one in await _open(context, PassKind.INVITATION)]})


async def list_visits(context: RequestContext) -> Response:
    """Raises Problem `invalid`, and StoreError."""
    found = await _open(context, PassKind.VISIT)
    seated = await context.services.browsers.participants_by_visit(room_in_path(context)) if found else {}
    return json_response({"visits": [{**_view(one), "participantId": seated.get(one.id)} for one in found]})


async def end_invitation(context: RequestContext) -> Response:
    """Raises Problem `invalid` and `not-found`, and StoreError."""
    room, id_ = room_in_path(context), _id(context)
    if not await context.services.visitor_access.passes.end_invitation(room, id_):
        raise not_found("invitation that is open")
    return Response(status_code=204)


async def end_visit(context: RequestContext) -> Response:
    """End a visit, also one that was ended before.

    A request that was interrupted may have left its browser in the room. Raises Problem `invalid` and
    `not-found`, and StoreError.
    """
    room, visit = room_in_path(context), _id(context)
    if not await context.services.visitor_access.passes.end_visit(room, visit):
        raise not_found("visit that is open")
    await context.services.browsers.leave_visit(room, visit)
    return Response(status_code=204)


async def _open(context: RequestContext, kind: PassKind) -> list[OpenPass]:
    return await context.services.visitor_access.passes.list_open(
        room_in_path(context), kind, now=context.services.clock.now()
    )


def _id(context: RequestContext) -> str:
    return str(context.request.path_params["id"])


def _view(one: OpenPass) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name or None,
        "scopes": one.scopes,
        "issuedBy": one.issued_by,
        "expiresAt": time_view(one.until),
    }
