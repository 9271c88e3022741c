"""Takes participant events of the sessions API (beta at Bandwidth; they may never come)."""

import re
from typing import Any, Final

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from handlers.http.refused_webhooks import log_refused_webhook
from handlers.http.request_guard import UNAUTHORIZED, HttpError, read_body
from handlers.http.services import Services, services_of
from service.calls.model import parse_seat
from service.logs import log_context
from service.store.errors import StoreError

_ID: Final = 64
"""Characters that are looked at of an id, and of a word; Bandwidth's have 36."""
_MS: Final = re.compile(r"[0-9]{1,15}")
"""Milliseconds that a script of the store can compare as a number."""

log = structlog.get_logger()


class ParticipantEvent(msgspec.Struct, frozen=True):
    """`onConnect`, `onLeave` or `onDisconnect` (sessions API, webhooks)."""

    event: str
    participantId: str = ""  # noqa: N815 - Bandwidth's name
    timestamp: Any = None  # milliseconds as a string in the documents' example, as a number in a sample

    @property
    def happened_ms(self) -> int:
        """When it happened by Bandwidth's clock; 0 if it does not say so."""
        text = str(self.timestamp)
        return int(text) if _MS.fullmatch(text) else 0


async def participant_event(request: Request) -> Response:
    """Take an event: of a browser, that it has come or gone. Those of phones are only logged.

    The webhooks of a phone's call say as much. Raises nothing.
    """
    services = services_of(request)
    begun = services.clock.monotonic()
    response = await _receive(request, services)
    result = "answered" if response.status_code < 300 else "refused"
    if result == "answered":
        services.webhook_counts.count_accepted()
    services.metrics.webhook("participant", result, services.clock.monotonic() - begun)
    return response


async def _receive(request: Request, services: Services) -> Response:
    seat, room = request.path_params["seat"], request.path_params.get("room", "")
    if not services.callback_urls.verifies(f"{room}/{seat}" if room else seat, request.path_params["mac"]):
        refused = HttpError(UNAUTHORIZED, "the address is none of ours")
        log_refused_webhook(request, refused.status, str(refused))
        return refused.response()
    try:
        event = msgspec.json.decode(await read_body(request), type=ParticipantEvent)
    except HttpError as refused:
        log_refused_webhook(request, refused.status, str(refused))
        return refused.response()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        log_refused_webhook(request, 400, str(error))
        return Response("the body is not a participant event\n", 400, media_type="text/plain")
    ref = None if room else parse_seat(seat)[0]
    with log_context(ref=ref, room=room or None, participant_id=event.participantId[:_ID]):
        log.info("participant.reported", event_type=event.event[:_ID])
        if room:
            return await _report(services, room, seat, event)
    return Response(status_code=200)


async def _report(services: Services, room: str, seat: str, event: ParticipantEvent) -> Response:
    try:
        await services.browsers.handle_event(
            room, seat, event.participantId[:_ID], event.event[:_ID], event.happened_ms
        )
    except StoreError as error:
        # Its heartbeat, or a look at the members of the session, tells as much a little later.
        log.warning("webhook.degraded", event_type=event.event[:_ID], error=str(error))
    return Response(status_code=200)
