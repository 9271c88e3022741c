"""Calls: which there are, what has become of one, and that it is to be forgotten."""

from typing import Final

from starlette.responses import Response

from handlers.api import queries
from handlers.http.context import Asked, answer
from handlers.api.paging import cursor_of
from handlers.http.problems import Problem, not_found
from handlers.api.views import call_view, full_call_view
from service.calls.model import Blame, Call, Intent, Outcome, Phone
from service.calls.outcomes import ERASED, erased

_LOOK: Final = 2000
"""Calls that are looked at for one page, when few of them are wanted."""
_BATCH: Final = 200


async def listing(asked: Asked) -> Response:
    query = queries.parse(asked.request.query_params)
    found: list[Call] = []
    before, looked = query.before, 0
    while True:
        want = query.limit - len(found)
        recent = await asked.bridge.calls.recent(
            before=before, since=query.since, until=query.until, limit=want if query.takes_all else _BATCH
        )
        before, looked = recent.next, looked + len(recent.calls)
        fitting = [call for call in recent.calls if query.takes(call) and not erased(call)]
        found += fitting[:want]
        if len(fitting) > want or (len(fitting) == want and fitting[-1] is not recent.calls[-1]):
            before = (found[-1].created_at, found[-1].ref)
        if before is None or len(found) == query.limit or looked >= _LOOK:
            break
    numbers = asked.may("numbers")
    return answer(
        {
            "calls": [call_view(call, numbers=numbers) for call in found],
            "next": None if before is None else cursor_of(before),
        }
    )


async def one(asked: Asked) -> Response:
    ref = await ref_in_path(asked)
    viewed = await asked.bridge.calls.view(ref)
    if viewed is None or erased(viewed[0]):
        raise not_found("call")
    return answer(full_call_view(*viewed, numbers=asked.may("numbers")))


async def erase(asked: Asked) -> Response:
    ref = await ref_in_path(asked)
    viewed = await asked.bridge.calls.view(ref)
    if viewed is None or erased(viewed[0]):
        raise not_found("call")
    now = asked.bridge.clock.now()
    done = await asked.bridge.calls.erase(ref, _tombstone(viewed[0], now), now=now)
    if done is None:
        raise not_found("call")
    if not done:
        raise Problem("live", "the call goes on, or something is still to be done after it")
    return Response(status_code=204)


async def ref_in_path(asked: Asked) -> str:
    """Our id of the call, also where the path has Bandwidth's. Raises Problem `not-found`."""
    asked.ref = await asked.bridge.calls.ref_of(asked.request.path_params["id"])
    if asked.ref is None:
        raise not_found("call")
    return asked.ref


def _tombstone(call: Call, now: float) -> Call:
    """What is left, so that a late webhook finds the call over. Nothing in it tells who it was."""
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
