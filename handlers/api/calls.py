"""Lists calls, shows one, and erases one."""

from typing import Final

from starlette.responses import Response

from handlers.api import queries
from handlers.api.paging import cursor_of
from handlers.api.views import call_view, full_call_view
from handlers.http.context import RequestContext, json_response
from handlers.http.problems import Problem, not_found
from service.calls.model import Blame, Call, Intent, Outcome, Phone
from service.calls.outcomes import ERASED, is_erased

_LOOK: Final = 2000
"""Calls that are looked at for one page, when few of them are wanted."""
_BATCH: Final = 200
"""Calls that are read from the store at a time, when not all of them are wanted."""


async def list_calls(context: RequestContext) -> Response:
    """The most recent calls that fit. Raises Problem `invalid`, and StoreError."""
    query = queries.parse(context.request.query_params)
    found: list[Call] = []
    before, looked = query.before, 0
    while True:
        want = query.limit - len(found)
        recent = await context.services.calls.list_recent(
            before=before, since=query.since, until=query.until, limit=want if query.matches_all else _BATCH
        )
        before, looked = recent.next, looked + len(recent.calls)
        fitting = [call for call in recent.calls if query.matches(call) and not is_erased(call)]
        found += fitting[:want]
        if len(fitting) > want or (len(fitting) == want and fitting[-1] is not recent.calls[-1]):
            before = (found[-1].created_at, found[-1].ref)
        if before is None or len(found) == query.limit or looked >= _LOOK:
            break
    numbers = context.may("numbers")
    return json_response(
        {
            "calls": [call_view(call, numbers=numbers) for call in found],
            "next": None if before is None else cursor_of(before),
        }
    )


async def show_call(context: RequestContext) -> Response:
    """A call with its timeline. Raises Problem `not-found`, and StoreError."""
    ref = await ref_in_path(context)
    viewed = await context.services.calls.view(ref)
    if viewed is None or is_erased(viewed[0]):
        raise not_found("call")
    return json_response(full_call_view(*viewed, numbers=context.may("numbers")))


async def erase_call(context: RequestContext) -> Response:
    """Delete what is known of an ended call. Raises Problem `not-found` and `live`, and StoreError."""
    ref = await ref_in_path(context)
    viewed = await context.services.calls.view(ref)
    if viewed is None or is_erased(viewed[0]):
        raise not_found("call")
    now = context.services.clock.now()
    done = await context.services.calls.erase(ref, _tombstone(viewed[0], now), now=now)
    if done is None:
        raise not_found("call")
    if not done:
        raise Problem("live", "the call goes on, or something is still to be done after it")
    return Response(status_code=204)


async def ref_in_path(context: RequestContext) -> str:
    """Our id of the call, also where the path has Bandwidth's. Raises Problem `not-found`."""
    context.ref = await context.services.calls.find_ref(context.request.path_params["id"])
    if context.ref is None:
        raise not_found("call")
    return context.ref


def _tombstone(call: Call, now: float) -> Call:
    """What is left, so that a late webhook finds that the call has ended. It has no personal data."""
    return Call(
        ref=call.ref,
        call_id="",
        direction=call.direction,
        room="",
        created_at=call.created_at,
        phone=Phone.GONE,
        intent=Intent.HANGUP,
        ended_at=call.ended_at or now,
        outcome=Outcome(blame=Blame.NOBODY, reason=ERASED),
    )
