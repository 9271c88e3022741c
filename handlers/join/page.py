"""The page of a room, for whoever has an invitation or a visit; everybody else is told in words."""

import html
from contextlib import suppress
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import structlog
from starlette.requests import Request
from starlette.responses import Response

from handlers.api.bodies import is_room_name
from handlers.api.problems import Problem
from handlers.bridge import bridge_of
from handlers.edge import edge_of
from handlers.join.door import Door
from handlers.page import assets
from service.logs import bound
from service.store.errors import StoreError

log = structlog.get_logger()


class _Words(NamedTuple):
    status: int
    title: str
    text: str


_WORDS: Final = {
    "invitation-expired": _Words(
        403,
        "This invitation has run out",
        "Invitations hold for a short time only. Ask whoever sent it for a new one.",
    ),
    "invitation-used": _Words(
        403,
        "This invitation has been used",
        "Each invitation opens the room once, in one browser. Ask whoever sent it for a new one.",
    ),
    "invitation-forged": _Words(
        403,
        "This invitation is not valid",
        "Perhaps the link was cut off. Open it again as it was sent, or ask for a new one.",
    ),
    "invitation-needed": _Words(
        403, "You need an invitation", "Ask whoever invited you to this room for a link."
    ),
    "not-found": _Words(404, "There is no such room", "Look whether the whole link was opened."),
    "not-built": _Words(
        503,
        "The page is missing",
        "The service runs without its page. Whoever runs it has to build it: make page.",
    ),
    "store-unavailable": _Words(
        503, "The service is not available", "It should be back soon. Open the link again in a moment."
    ),
}


async def page(request: Request) -> Response:
    """Opening a link does not use an invitation up: programs that look at mail open links as well."""
    room = request.path_params["room"]
    kind = await _refusal(request, room)
    content = assets.page()
    if not kind and content is None:
        kind = "not-built"
    with bound(room=room if is_room_name(room) else None):
        begins = not kind or edge_of(request).spells.begins(f"page.opened {kind}")
        write = log.info if begins else log.debug
        write("page.opened", problem=kind)
    headers = _headers(bridge_of(request).door)
    if kind:
        words = _WORDS[kind]
        return Response(_told(words), words.status, headers, media_type="text/html")
    return Response(content, 200, headers, media_type="text/html")


async def _refusal(request: Request, room: str) -> str:
    """Why the page is not shown, empty when it is. A visit goes before an invitation.

    While the store is away a visit shows the page, which comes to more when that is back.
    """
    door = bridge_of(request).door
    if not is_room_name(room):
        return "not-found"
    visit = door.visit(request, room)
    with suppress(StoreError):
        if visit and await door.is_over(visit):
            visit = None
    if visit:
        return ""
    invitation = request.query_params.get("invitation")
    if not invitation:
        return "invitation-needed"
    try:
        await door.look(room, invitation)
    except Problem as problem:
        return problem.kind
    except StoreError:
        return "store-unavailable"
    return ""


def _headers(door: Door) -> dict[str, str]:
    device = urlsplit(door.device_url)
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": f"'self' {device.scheme}://{device.netloc}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    }


def _told(words: _Words) -> str:
    title, text = html.escape(words.title), html.escape(words.text)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<title>{title}</title></head><body><main><h1>{title}</h1><p>{text}</p></main></body></html>\n"
    )
