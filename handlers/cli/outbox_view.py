"""What is still to be done for one call: what it owes itself, what rooms owe for its seats, dead letters."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from handlers.api.views import time_view
from service.calls.browser import is_browser
from service.calls.effects import DeleteSession, SummonWaiter
from service.calls.model import Call, parse_seat
from service.store import keys
from service.store.outbox_index import DeadLetter, OutboxIndex, OwedEffect
from service.store.redis.client import Client


class CallOutbox(NamedTuple):
    own: list[OwedEffect]
    rooms: list[OwedEffect]
    dead: list[DeadLetter]


async def read_call_outbox(client: Client, call: Call, timeline: Sequence[Mapping[str, Any]]) -> CallOutbox:
    directory = OutboxIndex(client)
    rooms = _rooms(call, timeline)
    every = await directory.list_owed_by(
        [keys.owner_call(call.ref), *(keys.owner_room(room) for room in sorted(rooms))]
    )
    own = keys.owner_call(call.ref)
    return CallOutbox(
        [one for one in every if one.owner == own],
        [one for one in every if one.owner != own and _is_for(call, one.effect)],
        [one for one in await directory.list_dead_letters() if one.owner == own or _is_for(call, one.effect)],
    )


def owed_views(effects: Iterable[OwedEffect]) -> list[dict[str, Any]]:
    return [
        {
            "owner": one.owner,
            "effect": one.effect_name,
            "since": time_view(one.since),
            "due": time_view(one.due),
            "tries": one.tries,
        }
        for one in effects
    ]


def dead_letter_views(letters: Iterable[DeadLetter]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "owner": one.owner,
            "effect": one.effect_name,
            "since": time_view(one.since),
            "died": time_view(one.died),
            "tries": one.tries,
            "error": one.error,
        }
        for one in letters
    ]


def _rooms(call: Call, timeline: Sequence[Mapping[str, Any]]) -> set[str]:
    """Where it is, is going to, and has been: the timeline has what it has owed to leave."""
    left = {
        owed.split(":")[1]
        for entry in timeline
        for owed in entry.get("owed", ())
        if owed.startswith("leave-room:")
    }
    return {call.room, call.next_room, *left} - {""}


def _is_for(call: Call, effect: Any) -> bool:
    """Whether something that a room owes is about this call."""
    match effect:
        case SummonWaiter():
            return effect.ref == call.ref
        case DeleteSession():
            return bool(call.session_id) and effect.session_id == call.session_id
    seat = getattr(effect, "seat", "")
    return bool(seat) and not is_browser(seat) and parse_seat(seat)[0] == call.ref
