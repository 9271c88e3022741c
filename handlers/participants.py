"""Participant events of the sessions API (beta at Bandwidth; they may never come)."""

from typing import Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from handlers.bridge import bridge_of
from handlers.guard import UNAUTHORIZED, Refused, read_body
from service.calls.model import call_of
from service.logs import bound

log = structlog.get_logger()


class ParticipantEvent(msgspec.Struct, frozen=True):
    """Sessions API, webhooks: `onConnect`, `onLeave`, `onDisconnect`."""

    event: str
    participantId: str = ""  # noqa: N815 - Bandwidth's name
    timestamp: Any = None  # milliseconds as a string in the documents' example, as a number in a sample


async def participant(request: Request) -> Response:
    """Logged, for the on-call engineer: a phone's own webhooks say when it comes and goes."""
    bridge = bridge_of(request)
    seat = request.path_params["seat"]
    if not bridge.callbacks.proves(seat, request.path_params["mac"]):
        refused = Refused(UNAUTHORIZED, "the address is none of ours")
        log.warning("webhook.refused", status=refused.status, reason=str(refused))
        return refused.response()
    try:
        event = msgspec.json.decode(await read_body(request), type=ParticipantEvent)
    except Refused as refused:
        log.warning("webhook.refused", status=refused.status, reason=str(refused))
        return refused.response()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        log.warning("webhook.refused", status=400, reason=str(error))
        return Response("the body is not a participant event\n", 400, media_type="text/plain")
    with bound(ref=call_of(seat)[0], participant_id=event.participantId[:64]):
        log.info("participant.reported", event_type=event.event[:64])
    return Response(status_code=200)
