"""Takes every voice webhook: authenticate, size-check, parse, hand over, render, within the budget."""

import asyncio
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple

import structlog
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from handlers.http.refused_webhooks import log_refused_webhook
from handlers.http.request_guard import HttpError, read_body
from handlers.http.services import Services, services_of
from handlers.http.state import http_state_of
from handlers.webhooks.payload import ConferenceEvent, ForeignAccount, MalformedWebhook, Webhook, parse
from handlers.webhooks.registry import UNKNOWN, WebhookKind, kind_of
from service.bandwidth.callback_urls import MAX_ROUNDS
from service.bandwidth.prompts import CLOSED
from service.bandwidth.reply_renderer import is_past_last_round
from service.calls.events import Event, LegNoted, PhoneRequest, TransferAnswer, asked_to_retry
from service.calls.model import Call
from service.calls.policy import Policy
from service.calls.refs import is_ref
from service.calls.replies import AcceptLeg, TransferToWebRtc, Wait, reply_name
from service.engine.event_handler import EventResult, JoinNotAllowed
from service.logs import log_context
from service.metrics import UNKNOWN as UNKNOWN_EVENT
from service.store.errors import StoreError

log = structlog.get_logger()

_XML: Final = "application/xml; charset=utf-8"
_LAST_MOMENT: Final = 0.1
"""Seconds of the budget that are kept for rendering and sending."""
_ERROR_NAMES: Final[Mapping[type[Exception], str]] = MappingProxyType({JoinNotAllowed: "NotHere"})
"""What the log calls errors that have another name there than their class."""


class Overloaded(Exception):
    """As many webhooks as may be are being handled; this one has not been begun."""


class OutOfTime(Exception):
    """The budget is over; what was begun goes on."""


class _WebhookReply(NamedTuple):
    """What goes back to Bandwidth, and what is said of it in the log and the metrics."""

    response: Response
    reply_name: str
    result: str
    call: Call | None = None
    interconnect: str = ""
    """By which a phone came out of silence; empty where none was silent."""


async def voice(request: Request) -> Response:
    """Webhooks of phones."""
    return await _serve(request, leg=False)


async def leg(request: Request) -> Response:
    """Webhooks of our own calls into WebRTC."""
    return await _serve(request, leg=True)


async def _serve(request: Request, *, leg: bool) -> Response:
    with http_state_of(request).webhooks.slot() as free:
        return await _receive(request, leg=leg, has_slot=free)


async def _receive(request: Request, *, leg: bool, has_slot: bool) -> Response:
    """Without a free place a webhook is read, since it may be told only once, and that is all."""
    services = services_of(request)
    begun = services.clock.monotonic()
    try:
        services.callback_credentials.check(request)
        webhook = _parse(services, request, await read_body(request), leg=leg)
    except HttpError as refused:
        ref = request.path_params.get("ref", "")
        with log_context(ref=ref if is_ref(ref) else None):
            log_refused_webhook(request, refused.status, str(refused))
        services.metrics.webhook(UNKNOWN_EVENT, "refused", services.clock.monotonic() - begun)
        return refused.response()
    except ConferenceEvent as event:
        log.warning("webhook.unknown", event_type=str(event))
        services.metrics.webhook(UNKNOWN_EVENT, "answered", services.clock.monotonic() - begun)
        return Response(status_code=204)
    services.webhook_counts.count_accepted()
    if webhook.event_type == "initiate":
        services.called_numbers.add(webhook.party("to"))
    kind = kind_of(webhook)
    with log_context(ref=webhook.ref, call_id=webhook.call_id):
        if kind is UNKNOWN:
            log.warning("webhook.unknown", event_type=webhook.event_type)
        answered = await _reply(request, kind, webhook, begun, has_slot=has_slot)
        seconds = services.clock.monotonic() - begun
        with log_context(**_log_keys(webhook, answered.call)):
            log.info(
                "webhook.answered",
                event_type=webhook.event_type,
                reply=answered.reply_name,
                status=answered.response.status_code,
                ms=round(seconds * 1000, 1),
            )
    services.metrics.webhook(
        UNKNOWN_EVENT if kind is UNKNOWN else webhook.event_type, answered.result, seconds
    )
    if answered.interconnect:
        services.metrics.dead_air(answered.interconnect, seconds)
    return answered.response


def _parse(services: Services, request: Request, raw: bytes, *, leg: bool) -> Webhook:
    attempt = request.path_params.get("attempt", "")
    # Only who was told to come back has a query: the others are not made to have it read.
    query: Mapping[str, str] = request.query_params if request.scope["query_string"] else {}
    try:
        return parse(
            raw,
            ref=request.path_params.get("ref", ""),
            attempt=int(attempt) if attempt.isdecimal() and len(attempt) < 10 else 0,
            leg=leg,
            again=query.get("again", ""),
            since=query.get("since", ""),
            # To the millisecond: it is kept with the call, and the rest says nothing.
            at=round(services.clock.now(), 3),
            account_id=services.account_id,
            policy=_policy(services),
        )
    except MalformedWebhook as error:
        raise HttpError(400, str(error)) from error
    except ForeignAccount as error:
        raise HttpError(403, "the webhook is of another account") from error


def _policy(services: Services) -> Policy:
    """What our settings say, and whether new calls are taken."""
    paused = services.pause.current
    return replace(services.policy, closed_message=paused.message or CLOSED) if paused else services.policy


async def _reply(
    request: Request, kind: WebhookKind, webhook: Webhook, begun: float, *, has_slot: bool
) -> _WebhookReply:
    services = services_of(request)
    left = services.policy.webhook_budget - (services.clock.monotonic() - begun) - _LAST_MOMENT
    # What came before for the same call, and waits for the store, comes first: its end is told once.
    waits = not kind.wants_bxml and webhook.ref in http_state_of(request).backlog
    if waits and _defer(request, kind, webhook, kind.parse(webhook), has_slot=has_slot):
        why = "what came before it waits for the store"
        log.warning("webhook.degraded", event_type=webhook.event_type, error=why)
        return _WebhookReply(Response(status_code=204), "deferred", "deferred")
    try:
        answer = await _handle(request, kind, webhook, left, has_slot=has_slot)
        result = "repeated" if answer.is_repeat else "answered"
        if not kind.wants_bxml:
            return _WebhookReply(Response(status_code=204), _reply_name(answer), result, answer.call)
        if answer.call is None and isinstance(answer.reply, Wait):
            return _WebhookReply(*_retry_reply(services, webhook), result)
        document = services.renderer.render(
            answer.reply, _callback_url(services, webhook), call=answer.call, token=answer.token
        )
        response = Response(document, media_type=_XML)
        return _WebhookReply(response, _reply_name(answer), result, answer.call, _interconnect(answer))
    except (StoreError, OutOfTime, Overloaded, JoinNotAllowed) as error:
        if isinstance(error, JoinNotAllowed) and _is_for_another_replica(request, webhook):
            return _WebhookReply(
                Response("another replica takes it\n", 503, media_type="text/plain"), "none", "aside"
            )
        log.warning(
            "webhook.degraded",
            event_type=webhook.event_type,
            error=f"{_ERROR_NAMES.get(type(error), type(error).__name__)}: {error}",
        )
        result = "degraded"
    except Exception as error:  # the caller is told, whatever fails
        log.exception("webhook.failed", event_type=webhook.event_type, error=repr(error))
        result = "failed"
    event = kind.parse(webhook)
    kept = _defer(request, kind, webhook, event, has_slot=has_slot)
    if kind.wants_bxml:
        way = "none" if isinstance(event, PhoneRequest) else ""
        return _WebhookReply(*_degraded(services, event, webhook), result, interconnect=way)
    response, reply = (Response(status_code=204), "deferred") if kept else (_backlog_full(), "none")
    if result == "degraded":
        result = "deferred" if kept else "dropped"
    return _WebhookReply(response, reply, result)


def _is_for_another_replica(request: Request, webhook: Webhook) -> bool:
    """Whether Bandwidth is to ask another replica: after the second address it asks nobody."""
    services = services_of(request)
    if services.callback_urls.is_fallback(request.headers.get("host", "")):
        return False
    return services.standby.should_redirect(f"{webhook.ref} {webhook.event_key}")


def _defer(request: Request, kind: WebhookKind, webhook: Webhook, event: Event, *, has_slot: bool) -> bool:
    """What Bandwidth tells only once (voice API, webhooks: a retry follows a failed connection only).

    And that a phone has been here, once: it may not come back. That we have let it go is told by nobody else.
    """
    key = webhook.event_key
    if isinstance(event, PhoneRequest):
        services = services_of(request)
        let_go_at = round(services.clock.now(), 3) if is_past_last_round(webhook.rounds + 1) else 0
        if not let_go_at and (not has_slot or webhook.rounds):
            return False
        event, key = asked_to_retry(event, outage_hangup_at=let_go_at), ""
    elif kind.wants_bxml and not isinstance(event, TransferAnswer):
        return False
    if isinstance(event, TransferAnswer):
        event = replace(event, accepted_without_call=True)
    again = partial(services_of(request).event_handler.handle, webhook.ref, event, key)
    if http_state_of(request).backlog.add(again, webhook.event_type, webhook.ref):
        return True
    log.warning("webhook.dropped", event_type=webhook.event_type)
    return False


def _backlog_full() -> Response:
    """Not 503, after which a proxy asks another replica: it would get twice as many."""
    return Response("too many webhooks wait\n", 429, {"Retry-After": "1"}, media_type="text/plain")


async def _handle(
    request: Request, kind: WebhookKind, webhook: Webhook, time_left: float, *, has_slot: bool
) -> EventResult:
    """In a task of its own: when time is up the caller is answered, and what was begun goes on to its end."""
    services, state = services_of(request), http_state_of(request)
    if not has_slot:
        raise Overloaded(f"{state.webhooks.in_use} webhooks are being handled")
    handling = services.tasks.start(_outcome(services, kind, webhook), name="webhook")
    done, _ = await asyncio.wait({handling}, timeout=max(time_left, 0))
    if not done:
        state.webhooks.hold_until_done(handling)
        raise OutOfTime(f"not decided within {services.policy.webhook_budget} s")
    outcome = handling.result()
    if isinstance(outcome, StoreError | JoinNotAllowed):
        raise outcome
    return outcome


async def _outcome(
    services: Services, kind: WebhookKind, webhook: Webhook
) -> EventResult | StoreError | JoinNotAllowed:
    joins = not (
        services.standby.is_aside and services.callback_urls.has_fallback and webhook.rounds < MAX_ROUNDS
    )
    try:
        return await services.event_handler.handle(
            webhook.ref, kind.parse(webhook), webhook.event_key, may_join=joins
        )
    except (StoreError, JoinNotAllowed) as error:
        return error


def _degraded(services: Services, event: Event, webhook: Webhook) -> tuple[Response, str]:
    """What can be said without knowing the call."""
    if isinstance(event, TransferAnswer | LegNoted):
        # The way in is open; refusing it would cost the caller the call.
        keep = AcceptLeg(webhook.text("tag") or webhook.ref)
        return Response(services.renderer.render(keep, ""), media_type=_XML), reply_name(keep)
    return _retry_reply(services, webhook)


def _retry_reply(services: Services, webhook: Webhook) -> tuple[Response, str]:
    """For so many rounds: who is on the line may live, and is told what there is when the call is known."""
    round_ = 1 + webhook.rounds
    document = services.renderer.render_store_wait(_callback_url(services, webhook, again=round_), round_)
    return Response(document, media_type=_XML), "come-back"


def _callback_url(services: Services, webhook: Webhook, *, again: int = 0) -> str:
    """Where whoever this is about asks the next time."""
    since = webhook.since or webhook.at
    if webhook.is_leg:
        return services.callback_urls.leg_url(webhook.ref, webhook.attempt, round_number=again, since=since)
    return services.callback_urls.call_url(
        webhook.ref, webhook.attempt or None, round_number=again, since=since
    )


def _log_keys(webhook: Webhook, call: Call | None) -> dict[str, str | None]:
    """A leg's own webhooks are logged with the call they belong to."""
    if call is None:
        return {}
    return {
        "call_id": call.call_id,
        "leg_id": webhook.call_id if webhook.call_id != call.call_id else None,
        "room": call.room,
        "session_id": call.session_id or None,
        "participant_id": call.participant_id or None,
    }


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
