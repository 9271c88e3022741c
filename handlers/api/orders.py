"""What a call that exists may be told."""

from starlette.responses import Response

from handlers.api import bodies
from handlers.http.context import Asked, answer
from handlers.api.calls import ref_in_path
from handlers.api.dialing import check_emergency, check_number, own_number, refused
from handlers.http.problems import Problem, invalid, not_found
from handlers.api.json_body import read
from handlers.api.views import call_view
from handlers.http.services import Bridge
from service.calls.events import (
    Order,
    OrderHangup,
    OrderHold,
    OrderJoin,
    OrderSubscriptions,
    OrderTransfer,
)
from service.calls.model import Call
from service.calls.outcomes import erased
from service.calls.rules.orders import OWN_NUMBER
from service.engine.operators import Refusal


async def remove(asked: Asked) -> Response:
    await read(asked.request, bodies.Nothing, optional=True)
    bridge = asked.bridge
    return await _order(asked, OrderHold(bridge.clock.now(), bridge.policy.limits.hold))


async def hang_up(asked: Asked) -> Response:
    await read(asked.request, bodies.Nothing, optional=True)
    return await _order(asked, OrderHangup(asked.bridge.clock.now()))


async def join(asked: Asked) -> Response:
    body = await read(asked.request, bodies.Join)
    asked.room = body.room
    bridge = asked.bridge
    return await _order(asked, OrderJoin(bridge.clock.now(), body.room, body.interconnect))


async def transfer(asked: Asked) -> Response:
    body = await read(asked.request, bodies.Transfer, first=check_emergency)
    check_number(asked.bridge, body.to)
    return await _order(asked, OrderTransfer(asked.bridge.clock.now(), body.to))


async def subscribe(asked: Asked) -> Response:
    body = await read(asked.request, bodies.Subscriptions)
    ref = await ref_in_path(asked)
    viewed = await asked.bridge.calls.view(ref)
    if viewed is None or erased(viewed[0]):
        raise not_found("call")
    if not viewed[0].live:
        raise Problem("refused", "the call has ended")
    hears = await _participants(asked.bridge, viewed[0], body.hears)
    return await _order(asked, OrderSubscriptions(asked.bridge.clock.now(), hears))


async def _order(asked: Asked, event: Order) -> Response:
    ref = asked.ref or await ref_in_path(asked)
    ordered = await asked.bridge.operators.order(ref, event, api_key=asked.key_name)
    if isinstance(ordered, Refusal):
        raise refused(ordered, asked)
    if ordered.call is None or erased(ordered.call):
        raise not_found("call")
    if ordered.refused == OWN_NUMBER:
        raise own_number()
    if ordered.refused:
        raise Problem("refused", ordered.refused)
    return answer(call_view(ordered.call, numbers=asked.may("numbers")), 202)


async def _participants(bridge: Bridge, call: Call, hears: str | list[str]) -> tuple[str, ...] | None:
    """Who is meant, as Bandwidth's ids. Raises Problem `invalid` for somebody who is not in the room."""
    if isinstance(hears, str):
        return None if hears == "everyone" else ()
    room = await bridge.rooms.read(call.room)
    members = {member.participant_id for member in room.members} if room else set()
    found = []
    for position, id_ in enumerate(hears):
        participant_id = id_ if id_ in members else await _participant_of(bridge, call.room, id_)
        if not participant_id:
            raise invalid(f"hears.{position}", "is neither a call nor a participant in the same room")
        found.append(participant_id)
    return tuple(dict.fromkeys(found))


async def _participant_of(bridge: Bridge, room: str, id_: str) -> str:
    """Empty where the id names no call in this room that has a participant."""
    ref = await bridge.calls.ref_of(id_)
    viewed = None if ref is None else await bridge.calls.view(ref)
    if viewed is None:
        return ""
    call, _ = viewed
    return call.participant_id if call.live and call.room == room else ""
