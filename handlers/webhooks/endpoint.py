"""Answers every voice webhook within the budget: authenticate, check the size, parse, decide, render."""

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
from handlers.webhooks import responses
from handlers.webhooks.parsers import kind_of
from handlers.webhooks.payload import ConferenceEvent, ForeignAccount, MalformedWebhook, Webhook, parse
from handlers.webhooks.responses import WebhookReply
from service.bandwidth.callback_urls import MAX_ROUNDS
from service.bandwidth.prompts import CLOSED
from service.bandwidth.reply_renderer import is_past_last_round
from service.calls.events import Event, PhoneRequest, TransferAnswer, UnknownWebhook, asked_to_retry
from service.calls.incoming import apply_policy
from service.calls.model import Call
from service.calls.policy import Policy
from service.calls.refs import is_ref
from service.engine.event_handler import EventResult, JoinNotAllowed
from service.logs import log_context
from service.metrics import UNKNOWN as UNKNOWN_EVENT
from service.store.errors import StoreError

log = structlog.get_logger()

_LAST_MOMENT: Final = 0.1
"""Seconds of the budget that are kept for rendering and sending."""
_ERROR_NAMES: Final[Mapping[type[Exception], str]] = MappingProxyType({JoinNotAllowed: "NotHere"})
"""What the log calls errors that have another name there than their class."""


class Overloaded(Exception):
    """All slots for webhooks are taken; this one has not been begun."""


class OutOfTime(Exception):
    """The budget is over; what was begun goes on."""


class _Received(NamedTuple):
    """A webhook that has been read, and how it may be handled."""

    webhook: Webhook
    event: Event
    wants_bxml: bool
    has_slot: bool
    """Whether it is one of those that are handled at the same time. Without a slot it is only kept."""
    begun: float
    """When its request came in (monotonic seconds)."""


async def voice(request: Request) -> Response:
    """Answer a webhook about a phone, or about the B leg of its transfer. Raises nothing."""
    return await _serve(request, leg=False)


async def leg(request: Request) -> Response:
    """Answer a webhook about our own call into WebRTC. Raises nothing."""
    return await _serve(request, leg=True)


async def _serve(request: Request, *, leg: bool) -> Response:
    with http_state_of(request).webhooks.slot() as free:
        return await _receive(request, leg=leg, has_slot=free)


async def _receive(request: Request, *, leg: bool, has_slot: bool) -> Response:
    """Without a free slot a webhook is only read and kept: Bandwidth may tell it only once."""
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
    except ConferenceEvent as conference:
        log.warning("webhook.unknown", event_type=str(conference))
        services.metrics.webhook(UNKNOWN_EVENT, "answered", services.clock.monotonic() - begun)
        return Response(status_code=204)
    services.webhook_counts.count_accepted()
    if webhook.event_type == "initiate":
        services.called_numbers.add(webhook.party("to"))
    kind = kind_of(webhook)
    event = _event(services, kind.parse(webhook), webhook)
    is_unknown = isinstance(event, UnknownWebhook)
    with log_context(ref=webhook.ref, call_id=webhook.call_id):
        if is_unknown:
            log.warning("webhook.unknown", event_type=webhook.event_type)
        answered = await _reply(request, _Received(webhook, event, kind.wants_bxml, has_slot, begun))
        seconds = services.clock.monotonic() - begun
        with log_context(**_log_keys(webhook, answered.call)):
            log.info(
                "webhook.answered",
                event_type=webhook.event_type,
                reply=answered.reply_name,
                status=answered.response.status_code,
                ms=round(seconds * 1000, 1),
            )
    services.metrics.webhook(UNKNOWN_EVENT if is_unknown else webhook.event_type, answered.result, seconds)
    if answered.interconnect:
        services.metrics.dead_air(answered.interconnect, seconds)
    return answered.response


def _parse(services: Services, request: Request, raw: bytes, *, leg: bool) -> Webhook:
    attempt = request.path_params.get("attempt", "")
    # Only URLs that ask a caller to come back have a query. Reading it costs the others time.
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
            our_numbers=services.policy.our_numbers,
        )
    except MalformedWebhook as error:
        raise HttpError(400, str(error)) from error
    except ForeignAccount as error:
        raise HttpError(403, "the webhook is of another account") from error


def _event(services: Services, parsed: Event, webhook: Webhook) -> Event:
    return apply_policy(
        parsed,
        _policy(services),
        ref=webhook.ref,
        own_number=webhook.own_number,
        diverted_from=webhook.diverted_from,
    )


def _policy(services: Services) -> Policy:
    """What our settings say, and whether new calls are taken."""
    paused = services.pause.current
    return replace(services.policy, closed_message=paused.message or CLOSED) if paused else services.policy


async def _reply(request: Request, received: _Received) -> WebhookReply:
    services, (webhook, event, wants_bxml, *_) = services_of(request), received
    # What came before for the same call, and waits for the store, comes first: its end is told once.
    waits = not wants_bxml and webhook.ref in http_state_of(request).backlog
    if waits and _defer(request, received):
        why = "what came before it waits for the store"
        log.warning("webhook.degraded", event_type=webhook.event_type, error=why)
        return responses.kept_in_backlog("deferred")
    try:
        answer = await _handle(request, received)
        return responses.render_result(services, webhook, answer, wants_bxml=wants_bxml)
    except (StoreError, OutOfTime, Overloaded, JoinNotAllowed) as error:
        if isinstance(error, JoinNotAllowed) and _is_for_another_replica(request, webhook):
            return responses.for_another_replica()
        log.warning(
            "webhook.degraded",
            event_type=webhook.event_type,
            error=f"{_ERROR_NAMES.get(type(error), type(error).__name__)}: {error}",
        )
        result = "degraded"
    except Exception as error:  # the caller is told, whatever fails
        log.exception("webhook.failed", event_type=webhook.event_type, error=repr(error))
        result = "failed"
    kept = _defer(request, received)
    if wants_bxml:
        return responses.render_without_call(services, webhook, event, result)
    if result == "degraded":
        result = "deferred" if kept else "dropped"
    return responses.kept_in_backlog(result) if kept else responses.backlog_full(result)


def _is_for_another_replica(request: Request, webhook: Webhook) -> bool:
    """Whether Bandwidth is to ask another replica: after the second address it asks nobody."""
    services = services_of(request)
    if services.callback_urls.is_fallback(request.headers.get("host", "")):
        return False
    return services.standby.should_redirect(f"{webhook.ref} {webhook.event_key}")


def _defer(request: Request, received: _Received) -> bool:
    """Keep in memory what Bandwidth tells only once (voice API: it retries after a failed connection only).

    And that a phone has been here, once: it may not come back. That we have let it go is told by nobody else.
    """
    webhook, event, wants_bxml, has_slot, _ = received
    key = webhook.event_key
    if isinstance(event, PhoneRequest):
        services = services_of(request)
        let_go_at = round(services.clock.now(), 3) if is_past_last_round(webhook.rounds + 1) else 0
        if not let_go_at and (not has_slot or webhook.rounds):
            return False
        event, key = asked_to_retry(event, outage_hangup_at=let_go_at), ""
    elif wants_bxml and not isinstance(event, TransferAnswer):
        return False
    if isinstance(event, TransferAnswer):
        event = replace(event, accepted_without_call=True)
    again = partial(services_of(request).event_handler.handle, webhook.ref, event, key)
    if http_state_of(request).backlog.add(again, webhook.event_type, webhook.ref):
        return True
    log.warning("webhook.dropped", event_type=webhook.event_type)
    return False


async def _handle(request: Request, received: _Received) -> EventResult:
    """In a task of its own: when time is up the caller is answered, and what was begun goes on to its end.

    Raises Overloaded, OutOfTime, StoreError and JoinNotAllowed.
    """
    services, state = services_of(request), http_state_of(request)
    if not received.has_slot:
        raise Overloaded(f"{state.webhooks.in_use} webhooks are being handled")
    handling = services.tasks.start(_outcome(services, received), name="webhook")
    budget = services.policy.webhook_budget
    time_left = budget - (services.clock.monotonic() - received.begun) - _LAST_MOMENT
    done, _ = await asyncio.wait({handling}, timeout=max(time_left, 0))
    if not done:
        state.webhooks.hold_until_done(handling)
        raise OutOfTime(f"not decided within {budget} s")
    outcome = handling.result()
    if isinstance(outcome, StoreError | JoinNotAllowed):
        raise outcome
    return outcome


async def _outcome(services: Services, received: _Received) -> EventResult | StoreError | JoinNotAllowed:
    webhook = received.webhook
    joins = not (
        services.standby.is_aside and services.callback_urls.has_fallback and webhook.rounds < MAX_ROUNDS
    )
    try:
        return await services.event_handler.handle(
            webhook.ref, received.event, webhook.event_key, may_join=joins
        )
    except (StoreError, JoinNotAllowed) as error:
        return error


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
