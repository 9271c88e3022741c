"""A call to a number, into a room."""

from typing import Any, Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from handlers.api import bodies
from handlers.http.context import Asked, answer
from handlers.http.problems import Problem, invalid
from handlers.api.json_body import digest, read
from handlers.api.views import call_view
from handlers.http.services import Bridge
from service.calls.model import OnMachine
from service.dial_plan import EMERGENCY, OWN, is_emergency
from service.engine.operators import NewCall, Placement, Refusal

_HEADER: Final = "Idempotency-Key"
_ONCE: Final = 255
"""Characters of an idempotency key."""
_TYPED: Final = 64
"""Characters of a number that are looked at before its shape is."""
_RULES: Final = {"calls-per-hour": "dial-rule", "calls-at-once": "too-many-calls"}
"""Of refusals that name a rule, the problem that they are."""
_RING: Final = 30.0
_PAUSED: Final = 60.0
"""Seconds after which somebody may ask whether calls are taken again."""


async def dial(asked: Asked) -> Response:
    once = _once(asked.request)
    body = await read(asked.request, bodies.Dial, first=check_emergency)
    placed = await place(asked, body, once=once)
    return answer(
        call_view(placed.call, numbers=asked.may("numbers")),
        201 if placed.certain else 202,
        {"Location": f"/api/v1/calls/{placed.call.ref}"},
    )


async def place(
    asked: Asked, body: bodies.Dial, *, once: str = "", page_limit: float = 0, page_alone: float = 0
) -> Placement:
    """`once`: an idempotency key; the others as a page's calls have them. Raises Problem and StoreError."""
    bridge = asked.bridge
    if bridge.pause.current:
        raise Problem("paused", "calls that are up go on", retry_after=_PAUSED)
    check_number(bridge, body.to)
    new = replace(_new_call(bridge, body, page_limit), page_alone=page_alone)
    _check_caller(bridge, new)
    placed = await bridge.operators.place(
        new,
        once=once,
        digest=digest(body),
        api_key=asked.key_name,
        visit=asked.visit.id if asked.visit else "",
    )
    if isinstance(placed, Refusal):
        raise refused(placed, asked)
    asked.ref, asked.room = placed.call.ref, placed.call.room
    return placed


def check_emergency(body: Any) -> None:
    """A body whose `to` is an emergency number as people type it. Raises Problem `dial-rule`."""
    number = body.get("to") if isinstance(body, dict) else None
    if isinstance(number, str | int) and is_emergency(str(number)[:_TYPED]):
        raise Problem("dial-rule", EMERGENCY.detail, rule=EMERGENCY.rule)


def check_number(bridge: Bridge, number: str) -> None:
    """Raises Problem `dial-rule`, and `invalid` for what is no number at all."""
    try:
        refusal = bridge.dial_plan.refusal(number)
    except ValueError as error:
        raise invalid("to", str(error)) from error
    if refusal is not None:
        raise Problem("dial-rule", refusal.detail, rule=refusal.rule)
    if number in bridge.called_numbers:
        raise own_number()


def _check_caller(bridge: Bridge, new: NewCall) -> None:
    """Who is shown to be calling. Raises Problem `dial-rule`."""
    if new.to_number == new.from_number:
        raise own_number()
    if bridge.callers and new.from_number not in {bridge.number, *bridge.callers}:
        raise Problem("dial-rule", "calls are placed from numbers of OUTBOUND_FROM only", rule="from")


def own_number() -> Problem:
    return Problem("dial-rule", OWN.detail, rule=OWN.rule)


def _once(request: Request) -> str:
    """Optional; empty when it is not given."""
    given = request.headers.getlist(_HEADER)
    if not given:
        return ""
    if len(given) != 1 or not _is_key(given[0]):
        raise invalid(_HEADER, "wants to be there once at most, with 1 to 255 printable characters of ASCII")
    return given[0]


def _is_key(text: str) -> bool:
    return 0 < len(text) <= _ONCE and text.isascii() and text.isprintable()


def _new_call(bridge: Bridge, body: bodies.Dial, page_limit: float) -> NewCall:
    sender = body.from_ or bridge.number
    if sender is None:
        raise invalid("from", "is missing, and BW_NUMBER is not set")
    machine = body.machine_detection
    limits = [one for one in (body.max_duration, bridge.policy.limits.call, page_limit) if one]
    return NewCall(
        to_number=body.to,
        from_number=sender,
        room=body.room,
        announcement=body.announcement or "",
        call_timeout=_RING if body.call_timeout is None else body.call_timeout,
        max_duration=min(limits, default=0),
        tag=body.tag or "",
        prepare=body.prepare == "dial",
        way=body.interconnect,
        detects_machines=machine is not None,
        waits_for_detection=machine is not None and machine.mode == "sync",
        on_machine=OnMachine.JOIN if machine is None else machine.then,
        message=(machine and machine.message) or "",
    )


def refused(refusal: Refusal, asked: Asked) -> Problem:
    if kind := _RULES.get(refusal.reason):
        return Problem(kind, refusal.detail, retry_after=refusal.retry_after, rule=refusal.reason)
    detail = (asked.may("numbers") and refusal.words) or refusal.detail
    return Problem(refusal.reason, detail, retry_after=refusal.retry_after)
