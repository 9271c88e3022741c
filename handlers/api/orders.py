"""Takes the orders of operators to calls that exist."""

from starlette.responses import Response

from handlers.api import bodies
from handlers.api.calls import ref_in_path
from handlers.api.dialing import check_emergency, check_number, own_number, problem_of
from handlers.api.json_body import read_json
from handlers.api.views import call_view
from handlers.http.context import RequestContext, json_response
from handlers.http.problems import Problem, invalid, not_found
from handlers.http.services import Services
from service.calls.events import (
    Order,
    OrderHangup,
    OrderHold,
    OrderJoin,
    OrderSubscriptions,
    OrderTransfer,
)
from service.calls.model import Call
from service.calls.outcomes import is_erased
from service.calls.rules.orders import SAME_NUMBER_REFUSAL
from service.engine.errors import RequestRefusal


async def hold(context: RequestContext) -> Response:
    """Raises Problem, HttpError and StoreError."""
    await read_json(context.request, bodies.EmptyBody, optional=True)
    services = context.services
    return await _order(context, OrderHold(services.clock.now(), services.policy.limits.hold))


async def hang_up(context: RequestContext) -> Response:
    """Raises Problem, HttpError and StoreError."""
    await read_json(context.request, bodies.EmptyBody, optional=True)
    return await _order(context, OrderHangup(context.services.clock.now()))


async def join(context: RequestContext) -> Response:
    """Raises Problem, HttpError and StoreError."""
    body = await read_json(context.request, bodies.JoinBody)
    context.room = body.room
    services = context.services
    return await _order(context, OrderJoin(services.clock.now(), body.room, body.interconnect))


async def transfer(context: RequestContext) -> Response:
    """Raises Problem, HttpError and StoreError."""
    body = await read_json(context.request, bodies.TransferBody, precheck=check_emergency)
    check_number(context.services, body.to)
    return await _order(context, OrderTransfer(context.services.clock.now(), body.to))


async def subscribe(context: RequestContext) -> Response:
    """Raises Problem, HttpError and StoreError."""
    body = await read_json(context.request, bodies.SubscriptionsBody)
    ref = await ref_in_path(context)
    viewed = await context.services.calls.view(ref)
    if viewed is None or is_erased(viewed[0]):
        raise not_found("call")
    if not viewed[0].live:
        raise Problem("refused", "the call has ended")
    hears = await _participants(context.services, viewed[0], body.hears)
    return await _order(context, OrderSubscriptions(context.services.clock.now(), hears))


async def _order(context: RequestContext, event: Order) -> Response:
    ref = context.ref or await ref_in_path(context)
    ordered = await context.services.operators.order(ref, event, api_key=context.key_name)
    if isinstance(ordered, RequestRefusal):
        raise problem_of(ordered, context)
    if ordered.call is None or is_erased(ordered.call):
        raise not_found("call")
    if ordered.refusal == SAME_NUMBER_REFUSAL:
        raise own_number()
    if ordered.refusal:
        raise Problem("refused", ordered.refusal)
    return json_response(call_view(ordered.call, numbers=context.may("numbers")), 202)


async def _participants(services: Services, call: Call, hears: str | list[str]) -> tuple[str, ...] | None:
    """Bandwidth's ids of those that are named. Raises Problem `invalid` for one that is not in the room."""
    if isinstance(hears, str):
        return None if hears == "everyone" else ()
    room = await services.rooms.read(call.room)
    members = {member.participant_id for member in room.members} if room else set()
    found = []
    for position, id_ in enumerate(hears):
        participant_id = id_ if id_ in members else await _participant_of(services, call.room, id_)
        if not participant_id:
            raise invalid(f"hears.{position}", "is neither a call nor a participant in the same room")
        found.append(participant_id)
    return tuple(dict.fromkeys(found))


async def _participant_of(services: Services, room: str, id_: str) -> str:
    """Empty where the id names no call in this room that has a participant."""
    ref = await services.calls.find_ref(id_)
    viewed = None if ref is None else await services.calls.view(ref)
    if viewed is None:
        return ""
    call, _ = viewed
    return call.participant_id if call.live and call.room == room else ""
