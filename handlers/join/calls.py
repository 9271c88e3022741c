"""Places and ends calls for a visitor, as far as the invitation grants it."""

from starlette.responses import Response

from handlers.api import bodies
from handlers.api.calls import ref_in_path
from handlers.api.dialing import check_emergency, place_call, problem_of
from handlers.api.json_body import read_json
from handlers.api.views import call_view
from handlers.http.context import RequestContext, json_response
from handlers.http.problems import Problem, not_found
from handlers.http.request_guard import VISITOR_LIMIT
from handlers.join.visits import room_of
from service.calls.events import OrderHangup
from service.engine.errors import RequestRefusal


class VisitorDialBody(bodies.RequestBody, frozen=True, kw_only=True):
    to: bodies.Callee


async def dial(context: RequestContext) -> Response:
    """Raises Problem, HttpError and StoreError."""
    body = await read_json(context.request, VisitorDialBody, limit=VISITOR_LIMIT, precheck=check_emergency)
    limits = context.services.policy.limits
    placed = await place_call(
        context,
        bodies.DialBody(to=body.to, room=room_of(context)),
        page_limit=limits.visitor_call,
        page_alone=limits.visitor_alone,
    )
    return json_response(call_view(placed.call, numbers=False), 201 if placed.is_certain else 202)


async def hang_up(context: RequestContext) -> Response:
    """End a call of this room. A visitor is not told whether there are other calls.

    Raises Problem `not-found` and `refused`, HttpError and StoreError.
    """
    await read_json(context.request, bodies.EmptyBody, optional=True, limit=VISITOR_LIMIT)
    ref = await ref_in_path(context)
    viewed = await context.services.calls.view(ref)
    if viewed is None or not viewed[0].live or room_of(context) not in {viewed[0].room, viewed[0].next_room}:
        raise not_found("call in this room")
    order = OrderHangup(context.services.clock.now())
    ordered = await context.services.operators.order(ref, order, api_key=context.key_name)
    if isinstance(ordered, RequestRefusal):
        raise problem_of(ordered, context)
    if ordered.refusal:
        raise Problem("refused", ordered.refusal)
    return Response(status_code=202)
