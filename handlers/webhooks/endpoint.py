"""Takes every voice webhook: authenticate, size-check, parse, hand over, render, within the budget."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple

import structlog
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from handlers.http.services import Bridge, bridge_of
from handlers.http.state import edge_of
from handlers.http.request_guard import Refused, read_body
from handlers.http.refused_webhooks import note_refused
from handlers.webhooks.registry import UNKNOWN, Kind, kind_of
from service.bandwidth.reply_renderer import is_let_go
from service.bandwidth.prompts import CLOSED
from handlers.webhooks.payload import ROUNDS, ForeignAccount, Malformed, OfNoCall, Webhook, parse
from service.calls.events import Arrival, Event, LegNoted, TransferAnswer, turned_away
from service.calls.model import Call
from service.calls.policy import Policy
from service.calls.refs import is_ref
from service.calls.replies import KeepTag, Transfer, Wait, name_of
from service.engine.event_handler import Answer, NotHere
from service.logs import bound
from service.metrics import UNKNOWN as UNKNOWN_EVENT
from service.store.errors import StoreError

log = structlog.get_logger()

_XML: Final = "application/xml; charset=utf-8"
_LAST_MOMENT: Final = 0.1
"""Seconds of the budget that are kept for rendering and sending."""


class Overloaded(Exception):
    """As many webhooks as may be are being handled; this one has not been begun."""


class OutOfTime(Exception):
    """The budget is over; what was begun goes on."""


class _Answered(NamedTuple):
    """What goes back to Bandwidth, and what is said of it in the log and the metrics."""

    response: Response
    reply: str
    result: str
    call: Call | None = None
    way: str = ""
    """By which a phone came out of silence; empty where none was silent."""


async def voice(request: Request) -> Response:
    """Webhooks of phones."""
    return await _serve(request, leg=False)


async def leg(request: Request) -> Response:
    """Webhooks of our own calls into WebRTC."""
    return await _serve(request, leg=True)


async def _serve(request: Request, *, leg: bool) -> Response:
    with edge_of(request).webhooks.one() as free:
        return await _take(request, leg=leg, free=free)


async def _take(request: Request, *, leg: bool, free: bool) -> Response:
    """Without a free place a webhook is read, since it may be told only once, and that is all."""
    bridge = bridge_of(request)
    begun = bridge.clock.monotonic()
    try:
        bridge.callback_credentials.check(request)
        webhook = _parse(bridge, request, await read_body(request), leg=leg)
    except Refused as refused:
        ref = request.path_params.get("ref", "")
        with bound(ref=ref if is_ref(ref) else None):
            note_refused(request, refused.status, str(refused))
        bridge.metrics.webhook(UNKNOWN_EVENT, "refused", bridge.clock.monotonic() - begun)
        return refused.response()
    except OfNoCall as event:
        log.warning("webhook.unknown", event_type=str(event))
        bridge.metrics.webhook(UNKNOWN_EVENT, "answered", bridge.clock.monotonic() - begun)
        return Response(status_code=204)
    bridge.doings.take()
    if webhook.event_type == "initiate":
        bridge.called_numbers.hear(webhook.party("to"))
    kind = kind_of(webhook)
    with bound(ref=webhook.ref, call_id=webhook.call_id):
        if kind is UNKNOWN:
            log.warning("webhook.unknown", event_type=webhook.event_type)
        answered = await _answer(request, kind, webhook, begun, free=free)
        seconds = bridge.clock.monotonic() - begun
        with bound(**_subject(webhook, answered.call)):
            log.info(
                "webhook.answered",
                event_type=webhook.event_type,
                reply=answered.reply,
                status=answered.response.status_code,
                ms=round(seconds * 1000, 1),
            )
    bridge.metrics.webhook(UNKNOWN_EVENT if kind is UNKNOWN else webhook.event_type, answered.result, seconds)
    if answered.way:
        bridge.metrics.dead_air(answered.way, seconds)
    return answered.response


def _parse(bridge: Bridge, request: Request, raw: bytes, *, leg: bool) -> Webhook:
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
            at=round(bridge.clock.now(), 3),
            account_id=bridge.account_id,
            policy=_policy(bridge),
        )
    except Malformed as error:
        raise Refused(400, str(error)) from error
    except ForeignAccount as error:
        raise Refused(403, "the webhook is of another account") from error


def _policy(bridge: Bridge) -> Policy:
    """What our settings say, and whether new calls are taken."""
    paused = bridge.pause.current
    return replace(bridge.policy, closed=paused.message or CLOSED) if paused else bridge.policy


async def _answer(request: Request, kind: Kind, webhook: Webhook, begun: float, *, free: bool) -> _Answered:
    bridge = bridge_of(request)
    left = bridge.policy.budget - (bridge.clock.monotonic() - begun) - _LAST_MOMENT
    # What came before for the same call, and waits for the store, comes first: its end is told once.
    waits = not kind.wants_bxml and webhook.ref in edge_of(request).deferred
    if waits and _defer(request, kind, webhook, kind.parse(webhook), free=free):
        why = "what came before it waits for the store"
        log.warning("webhook.degraded", event_type=webhook.event_type, error=why)
        return _Answered(Response(status_code=204), "deferred", "deferred")
    try:
        answer = await _handle(request, kind, webhook, left, free=free)
        result = "repeated" if answer.repeated else "answered"
        if not kind.wants_bxml:
            return _Answered(Response(status_code=204), _said(answer), result, answer.call)
        if answer.call is None and isinstance(answer.reply, Wait):
            return _Answered(*_come_back(bridge, webhook), result)
        document = bridge.renderer.render(
            answer.reply, _here(bridge, webhook), call=answer.call, token=answer.token
        )
        response = Response(document, media_type=_XML)
        return _Answered(response, _said(answer), result, answer.call, _way(answer))
    except (StoreError, OutOfTime, Overloaded, NotHere) as error:
        if isinstance(error, NotHere) and _sends_away(request, webhook):
            return _Answered(
                Response("another replica takes it\n", 503, media_type="text/plain"), "none", "aside"
            )
        log.warning(
            "webhook.degraded", event_type=webhook.event_type, error=f"{type(error).__name__}: {error}"
        )
        result = "degraded"
    except Exception as error:  # the caller is told, whatever fails
        log.exception("webhook.failed", event_type=webhook.event_type, error=repr(error))
        result = "failed"
    event = kind.parse(webhook)
    kept = _defer(request, kind, webhook, event, free=free)
    if kind.wants_bxml:
        way = "none" if isinstance(event, Arrival) else ""
        return _Answered(*_degraded(bridge, event, webhook), result, way=way)
    response, reply = (Response(status_code=204), "deferred") if kept else (_full(), "none")
    if result == "degraded":
        result = "deferred" if kept else "dropped"
    return _Answered(response, reply, result)


def _sends_away(request: Request, webhook: Webhook) -> bool:
    """Whether Bandwidth is to ask another replica: after the second address it asks nobody."""
    bridge = bridge_of(request)
    if bridge.callbacks.is_fallback(request.headers.get("host", "")):
        return False
    return bridge.standby.sends_away(f"{webhook.ref} {webhook.key}")


def _defer(request: Request, kind: Kind, webhook: Webhook, event: Event, *, free: bool) -> bool:
    """What Bandwidth tells only once (voice API, webhooks: a retry follows a failed connection only).

    And that a phone has been here, once: it may not come back. That we have let it go is told by nobody else.
    """
    key = webhook.key
    if isinstance(event, Arrival):
        bridge = bridge_of(request)
        let_go_at = round(bridge.clock.now(), 3) if is_let_go(webhook.rounds + 1) else 0
        if not let_go_at and (not free or webhook.rounds):
            return False
        event, key = turned_away(event, let_go_at=let_go_at), ""
    elif kind.wants_bxml and not isinstance(event, TransferAnswer):
        return False
    if isinstance(event, TransferAnswer):
        event = replace(event, let_in=True)
    again = partial(bridge_of(request).engine.handle, webhook.ref, event, key)
    if edge_of(request).deferred.keep(again, webhook.event_type, webhook.ref):
        return True
    log.warning("webhook.dropped", event_type=webhook.event_type)
    return False


def _full() -> Response:
    """Not 503, after which a proxy asks another replica: it would get twice as many."""
    return Response("too many webhooks wait\n", 429, {"Retry-After": "1"}, media_type="text/plain")


async def _handle(request: Request, kind: Kind, webhook: Webhook, seconds: float, *, free: bool) -> Answer:
    """In a task of its own: when time is up the caller is answered, and what was begun goes on to its end."""
    bridge, edge = bridge_of(request), edge_of(request)
    if not free:
        raise Overloaded(f"{edge.webhooks.taken} webhooks are being handled")
    handling = bridge.tasks.start(_outcome(bridge, kind, webhook), name="webhook")
    done, _ = await asyncio.wait({handling}, timeout=max(seconds, 0))
    if not done:
        edge.webhooks.keep(handling)
        raise OutOfTime(f"not decided within {bridge.policy.budget} s")
    outcome = handling.result()
    if isinstance(outcome, StoreError | NotHere):
        raise outcome
    return outcome


async def _outcome(bridge: Bridge, kind: Kind, webhook: Webhook) -> Answer | StoreError | NotHere:
    joins = not (bridge.standby.aside and bridge.callbacks.has_fallback and webhook.rounds < ROUNDS)
    try:
        return await bridge.engine.handle(webhook.ref, kind.parse(webhook), webhook.key, joins=joins)
    except (StoreError, NotHere) as error:
        return error


def _degraded(bridge: Bridge, event: Event, webhook: Webhook) -> tuple[Response, str]:
    """What can be said without knowing the call."""
    if isinstance(event, TransferAnswer | LegNoted):
        # The way in is open; refusing it would cost the caller the call.
        keep = KeepTag(webhook.text("tag") or webhook.ref)
        return Response(bridge.renderer.render(keep, ""), media_type=_XML), name_of(keep)
    return _come_back(bridge, webhook)


def _come_back(bridge: Bridge, webhook: Webhook) -> tuple[Response, str]:
    """For so many rounds: who is on the line may live, and is told what there is when the call is known."""
    round_ = 1 + webhook.rounds
    document = bridge.renderer.come_back(_here(bridge, webhook, again=round_), round_)
    return Response(document, media_type=_XML), "come-back"


def _here(bridge: Bridge, webhook: Webhook, *, again: int = 0) -> str:
    """Where whoever this is about asks the next time."""
    since = webhook.since or webhook.at
    if webhook.leg:
        return bridge.callbacks.leg(webhook.ref, webhook.attempt, again=again, since=since)
    return bridge.callbacks.voice(webhook.ref, webhook.attempt or None, again=again, since=since)


def _subject(webhook: Webhook, call: Call | None) -> dict[str, str | None]:
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


def _way(answer: Answer) -> str:
    if answer.repeated:
        return ""
    if isinstance(answer.reply, Transfer):
        return "transfer"
    if not answer.joined:
        return ""
    return "bridge" if answer.call and answer.call.own_leg else "none"


def _said(answer: Answer) -> str:
    return f"{name_of(answer.reply)} (repeated)" if answer.repeated else name_of(answer.reply)
