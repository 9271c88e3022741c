"""Writes the responses to voice webhooks: BXML to a request, a status to a notification."""

from typing import Final, NamedTuple

from starlette.responses import Response

from handlers.http.services import Services
from handlers.webhooks.payload import Webhook
from service.calls.events import Event, LegNoted, PhoneRequest, TransferAnswer
from service.calls.model import Call
from service.calls.replies import AcceptLeg, TransferToWebRtc, Wait, reply_name
from service.engine.event_handler import EventResult

_XML: Final = "application/xml; charset=utf-8"


class WebhookReply(NamedTuple):
    """A response to Bandwidth, and what the log and the metrics say of it."""

    response: Response
    reply_name: str
    result: str
    call: Call | None = None
    interconnect: str = ""
    """How the phone got out of its silence; empty where it was not silent."""


def render_result(
    services: Services, webhook: Webhook, answer: EventResult, *, wants_bxml: bool
) -> WebhookReply:
    """What the state machine has decided. Raises ValueError for a reply that cannot be rendered."""
    result = "repeated" if answer.is_repeat else "answered"
    if not wants_bxml:
        return WebhookReply(Response(status_code=204), _reply_name(answer), result, answer.call)
    if answer.call is None and isinstance(answer.reply, Wait):
        return _store_wait(services, webhook, result)
    document = services.renderer.render(
        answer.reply, _callback_url(services, webhook), call=answer.call, token=answer.token
    )
    response = Response(document, media_type=_XML)
    return WebhookReply(response, _reply_name(answer), result, answer.call, _interconnect(answer))


def render_without_call(services: Services, webhook: Webhook, event: Event, result: str) -> WebhookReply:
    """What can be said without knowing the call. Raises nothing."""
    if isinstance(event, TransferAnswer | LegNoted):
        # The way in is open; refusing it would cost the caller the call.
        keep = AcceptLeg(event.tag or webhook.ref)
        response = Response(services.renderer.render(keep, ""), media_type=_XML)
        return WebhookReply(response, reply_name(keep), result)
    return _store_wait(services, webhook, result, "none" if isinstance(event, PhoneRequest) else "")


def kept_in_backlog(result: str) -> WebhookReply:
    """The notification is kept in memory. Raises nothing."""
    return WebhookReply(Response(status_code=204), "deferred", result)


def backlog_full(result: str) -> WebhookReply:
    """The notification is lost. Raises nothing."""
    # Not 503, after which a proxy asks another replica: it would get twice as many.
    text, headers = "too many webhooks wait\n", {"Retry-After": "1"}
    return WebhookReply(Response(text, 429, headers, media_type="text/plain"), "none", result)


def for_another_replica() -> WebhookReply:
    """Bandwidth asks at our second address after this one. Raises nothing."""
    return WebhookReply(Response("another replica takes it\n", 503, media_type="text/plain"), "none", "aside")


def _store_wait(services: Services, webhook: Webhook, result: str, interconnect: str = "") -> WebhookReply:
    """Have the phone wait and ask again, for so many rounds: its call may be live, and is not known now."""
    round_ = 1 + webhook.rounds
    document = services.renderer.render_store_wait(_callback_url(services, webhook, again=round_), round_)
    response = Response(document, media_type=_XML)
    return WebhookReply(response, "come-back", result, interconnect=interconnect)


def _callback_url(services: Services, webhook: Webhook, *, again: int = 0) -> str:
    """Where the phone or the leg asks the next time."""
    since = webhook.since or webhook.at
    if webhook.is_leg:
        return services.callback_urls.leg_url(webhook.ref, webhook.attempt, round_number=again, since=since)
    return services.callback_urls.call_url(
        webhook.ref, webhook.attempt or None, round_number=again, since=since
    )


def _interconnect(answer: EventResult) -> str:
    if answer.is_repeat:
        return ""
    if isinstance(answer.reply, TransferToWebRtc):
        return "transfer"
    if not answer.join_attempted:
        return ""
    return "bridge" if answer.call and answer.call.uses_bridge else "none"


def _reply_name(answer: EventResult) -> str:
    return f"{reply_name(answer.reply)} (repeated)" if answer.is_repeat else reply_name(answer.reply)
