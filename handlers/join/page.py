"""Shows the page of a room to visitors with an invitation or a visit, and an error text to all others."""

import html
from contextlib import suppress
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import structlog
from starlette.requests import Request
from starlette.responses import Response

from handlers.api.bodies import is_room_name
from handlers.http.problems import Problem, not_found
from handlers.http.services import services_of
from handlers.http.state import http_state_of
from handlers.http.visitor_problems import visitor_problem
from handlers.join.cookies import read_visit_cookie
from handlers.join.endpoint import visit_ended
from handlers.page import assets
from service.engine.visitors import VisitorError
from service.logs import log_context
from service.store.errors import StoreError

_BUSY_PAUSE: Final = 2.0
"""Seconds after which a browser may try again when there was no free slot."""

log = structlog.get_logger()


class _ErrorText(NamedTuple):
    status: int
    title: str
    text: str


_ERROR_TEXTS: Final = {
    "invitation-expired": _ErrorText(
        403,
        "This invitation has run out",
        "Invitations hold for a short time only. Ask whoever sent it for a new one.",
    ),
    "invitation-used": _ErrorText(
        403,
        "This invitation has been used",
        "Each invitation opens the room once, in one browser. Ask whoever sent it for a new one.",
    ),
    "invitation-forged": _ErrorText(
        403,
        "This invitation is not valid",
        "Perhaps the link was cut off. Open it again as it was sent, or ask for a new one.",
    ),
    "invitation-needed": _ErrorText(
        403, "You need an invitation", "Ask whoever invited you to this room for a link."
    ),
    "not-found": _ErrorText(404, "There is no such room", "Look whether the whole link was opened."),
    "not-built": _ErrorText(
        503,
        "The page is missing",
        "The service runs without its page. Whoever runs it has to build it: make page.",
    ),
    "too-many-requests": _ErrorText(
        429, "Too many requests", "This link has been opened too often. Open it again in a moment."
    ),
    "overloaded": _ErrorText(503, "The service is busy", "Open the link again in a moment."),
    "store-unavailable": _ErrorText(
        503, "The service is not available", "It should be back soon. Open the link again in a moment."
    ),
}


async def page(request: Request) -> Response:
    """The page, or a text that says what is wrong. Raises nothing.

    Opening a link does not use an invitation up: programs that look at mail open links as well.
    """
    room, state = request.path_params["room"], http_state_of(request)
    content = assets.page()
    headers = _headers(services_of(request).device_url)
    visitor, kind = "", ""
    try:
        visitor = await _admit(request, room)
        kind = "not-built" if content is None else ""
    except (Problem, VisitorError) as error:
        problem = visitor_problem(error) if isinstance(error, VisitorError) else error
        kind = problem.kind
        headers.update(problem.headers)
    except StoreError:
        kind = "store-unavailable"
    with log_context(room=room if is_room_name(room) else None):
        begins = (
            state.log_throttle.allows(f"page.opened {kind}")
            if kind
            else state.page_log_throttle.allows("page.opened", visitor)
        )
        write = log.info if begins else log.debug
        write("page.opened", problem=kind)
    if kind:
        words = _ERROR_TEXTS[kind]
        return Response(_error_html(words), words.status, headers, media_type="text/html")
    return Response(content, 200, headers, media_type="text/html")


async def _admit(request: Request, room: str) -> str:
    """The id of the visit, or else of the invitation, for which the page is shown.

    While the store is away the page is shown for a visit: it goes on when the store is back. Raises Problem,
    VisitorError and StoreError.
    """
    access, state = services_of(request).visitor_access, http_state_of(request)
    if not is_room_name(room):
        raise not_found("room")
    visit = access.read_visit(read_visit_cookie(request), room)
    link = request.query_params.get("invitation")
    if visit:
        state.rate_limits.check_visit(visit.id, visit.issued_by)
    with state.visitors.slot() as free:
        if not free or state.webhooks.is_full:
            raise Problem("overloaded", "nothing has been done", retry_after=_BUSY_PAUSE)
        with suppress(StoreError):
            if visit and await access.has_ended(visit):
                visit = None
        if visit:
            return visit.id
        if not link:
            raise visit_ended()
        invitation = access.read_invitation(room, link)
        state.rate_limits.check_visit(invitation.id, invitation.issued_by)
        await access.peek(invitation)
        return invitation.id


def _headers(device_url: str) -> dict[str, str]:
    device = urlsplit(device_url)
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


def _error_html(error: _ErrorText) -> str:
    title, text = html.escape(error.title), html.escape(error.text)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<title>{title}</title></head><body><main><h1>{title}</h1><p>{text}</p></main></body></html>\n"
    )
