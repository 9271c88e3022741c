"""Calls that a visitor places and ends, as far as the invitation grants it."""

from starlette.responses import Response

from handlers.api import bodies
from handlers.http.context import Asked, answer
from handlers.api.calls import ref_in_path
from handlers.api.dialing import check_emergency, place, refused
from handlers.http.problems import Problem, not_found
from handlers.api.json_body import read
from handlers.api.views import call_view
from handlers.http.request_guard import VISITOR_LIMIT
from handlers.join.visits import room_of
from service.calls.events import OrderHangup
from service.engine.operators import Refusal


class Dialed(bodies.Shape, frozen=True, kw_only=True):
    to: bodies.Callee


async def dial(asked: Asked) -> Response:
    body = await read(asked.request, Dialed, limit=VISITOR_LIMIT, first=check_emergency)
    limits = asked.bridge.policy.limits
    placed = await place(
        asked,
        bodies.Dial(to=body.to, room=room_of(asked)),
        page_limit=limits.visitor_call,
        page_alone=limits.visitor_alone,
    )
    return answer(call_view(placed.call, numbers=False), 201 if placed.certain else 202)


async def hang_up(asked: Asked) -> Response:
    """Of this room only: a visitor has no business with other calls, not even whether there are any."""
    await read(asked.request, bodies.Nothing, optional=True, limit=VISITOR_LIMIT)
    ref = await ref_in_path(asked)
    viewed = await asked.bridge.calls.view(ref)
    if viewed is None or not viewed[0].live or room_of(asked) not in {viewed[0].room, viewed[0].next_room}:
        raise not_found("call in this room")
    order = OrderHangup(asked.bridge.clock.now())
    ordered = await asked.bridge.operators.order(ref, order, api_key=asked.key_name)
    if isinstance(ordered, Refusal):
        raise refused(ordered, asked)
    if ordered.refused:
        raise Problem("refused", ordered.refused)
    return Response(status_code=202)
