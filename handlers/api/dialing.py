"""Places a call to a number and into a room, if the dial plan and the limits allow it."""

from typing import Any, Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from handlers.api import bodies
from handlers.api.json_body import body_digest, read_json
from handlers.api.views import call_view
from handlers.http.context import RequestContext, json_response
from handlers.http.problems import Problem, invalid
from handlers.http.services import Services
from service.calls.model import OnMachine
from service.dial_plan import EMERGENCY_REFUSAL, OWN_NUMBER_REFUSAL, is_emergency
from service.engine.errors import RequestRefusal
from service.engine.operators import OutboundCall, PlacedCall

_HEADER: Final = "Idempotency-Key"
"""The header with a client's name for its order."""
_ONCE: Final = 255
"""Characters of an idempotency key."""
_TYPED: Final = 64
"""Characters of a number that are checked for an emergency number, before its shape is checked."""
_RULE_PROBLEMS: Final = {"calls-per-hour": "dial-rule", "calls-at-once": "too-many-calls"}
"""The kind of problem for each refusal that names a rule."""
_RING: Final = 30.0
"""Seconds that a phone rings, unless the request says otherwise."""
_PAUSED: Final = 60.0
"""Seconds after which a client may ask whether calls are taken again."""


async def dial(context: RequestContext) -> Response:
    """Call a number and bring it into a room. Raises Problem, HttpError and StoreError."""
    once = _idempotency_key(context.request)
    body = await read_json(context.request, bodies.DialBody, precheck=check_emergency)
    placed = await place_call(context, body, idempotency_key=once)
    return json_response(
        call_view(placed.call, numbers=context.may("numbers")),
        201 if placed.is_certain else 202,
        {"Location": f"/api/v1/calls/{placed.call.ref}"},
    )


async def place_call(
    context: RequestContext,
    body: bodies.DialBody,
    *,
    idempotency_key: str = "",
    page_limit: float = 0,
    page_alone: float = 0,
) -> PlacedCall:
    """Place a call for an operator or a visitor.

    `idempotency_key`: empty for none. `page_limit`: seconds after which a call of a page is ended.
    `page_alone`: seconds after which it is ended when nobody is on the page. Both are 0 for no limit.
    Raises Problem and StoreError.
    """
    services = context.services
    if services.pause.current:
        raise Problem("paused", "calls that are up go on", retry_after=_PAUSED)
    check_number(services, body.to)
    new = replace(_new_call(services, body, page_limit), page_alone=page_alone)
    _check_caller(services, new)
    placed = await services.operators.place(
        new,
        idempotency_key=idempotency_key,
        digest=body_digest(body),
        api_key=context.key_name,
        visit=context.visit.id if context.visit else "",
    )
    if isinstance(placed, RequestRefusal):
        raise problem_of(placed, context)
    context.ref, context.room = placed.call.ref, placed.call.room
    return placed


def check_emergency(body: Any) -> None:
    """Refuse a body whose `to` is an emergency number as people type it. Raises Problem `dial-rule`."""
    number = body.get("to") if isinstance(body, dict) else None
    if isinstance(number, str | int) and is_emergency(str(number)[:_TYPED]):
        raise Problem("dial-rule", EMERGENCY_REFUSAL.detail, rule=EMERGENCY_REFUSAL.rule)


def check_number(services: Services, number: str) -> None:
    """Check that the number may be called. Raises Problem `dial-rule`, or `invalid` for what is no number."""
    try:
        refusal = services.dial_plan.refusal_for(number)
    except ValueError as error:
        raise invalid("to", str(error)) from error
    if refusal is not None:
        raise Problem("dial-rule", refusal.detail, rule=refusal.rule)
    if number in services.called_numbers:
        raise own_number()


def _check_caller(services: Services, new: OutboundCall) -> None:
    """Check the caller ID. Raises Problem `dial-rule`."""
    if new.to_number == new.from_number:
        raise own_number()
    if services.caller_ids and new.from_number not in {services.number, *services.caller_ids}:
        raise Problem("dial-rule", "calls are placed from numbers of OUTBOUND_FROM only", rule="from")


def own_number() -> Problem:
    """The problem of a call to a number of ours."""
    return Problem("dial-rule", OWN_NUMBER_REFUSAL.detail, rule=OWN_NUMBER_REFUSAL.rule)


def _idempotency_key(request: Request) -> str:
    """Empty when it is not given. Raises Problem `invalid`."""
    given = request.headers.getlist(_HEADER)
    if not given:
        return ""
    if len(given) != 1 or not _is_key(given[0]):
        raise invalid(_HEADER, "wants to be there once at most, with 1 to 255 printable characters of ASCII")
    return given[0]


def _is_key(text: str) -> bool:
    return 0 < len(text) <= _ONCE and text.isascii() and text.isprintable()


def _new_call(services: Services, body: bodies.DialBody, page_limit: float) -> OutboundCall:
    sender = body.from_ or services.number
    if sender is None:
        raise invalid("from", "is missing, and BW_NUMBER is not set")
    machine = body.machine_detection
    limits = [one for one in (body.max_duration, services.policy.limits.call, page_limit) if one]
    return OutboundCall(
        to_number=body.to,
        from_number=sender,
        room=body.room,
        announcement=body.announcement or "",
        call_timeout=_RING if body.call_timeout is None else body.call_timeout,
        max_duration=min(limits, default=0),
        tag=body.tag or "",
        prepare=body.prepare == "dial",
        interconnect=body.interconnect,
        detects_machines=machine is not None,
        waits_for_detection=machine is not None and machine.mode == "sync",
        on_machine=OnMachine.JOIN if machine is None else machine.then,
        message=(machine and machine.message) or "",
    )


def problem_of(refusal: RequestRefusal, context: RequestContext) -> Problem:
    """The problem of a refusal. Raises KeyError for a reason that is no kind of problem."""
    if kind := _RULE_PROBLEMS.get(refusal.reason):
        return Problem(kind, refusal.detail, retry_after=refusal.retry_after, rule=refusal.reason)
    detail = (context.may("numbers") and refusal.full_detail) or refusal.detail
    return Problem(refusal.reason, detail, retry_after=refusal.retry_after)
