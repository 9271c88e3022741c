"""What is told of a call to whoever looks on: the little that is shown of it, when any of it changes."""

from typing import Any

import msgspec

from service.calls.model import Call
from service.calls.numbers import masked


class CallNews(msgspec.Struct, frozen=True):
    rooms: tuple[str, ...]
    """Whose onlookers are told: those of the call's room, and of the one that it has left."""
    call: dict[str, Any]


class _Where(msgspec.Struct, frozen=True):
    room: str | None = None


def shown(call: Call) -> dict[str, Any]:
    """A call in live events, in the words of the API. Numbers are masked, whoever is to read it."""
    return {
        "id": call.ref,
        "room": call.room,
        "state": call.status,
        "direction": call.direction,
        "from": masked(call.from_number) or None,
        "to": masked(call.to_number) or None,
        "participantId": call.participant_id or None,
        "outcome": call.outcome and {"blame": call.outcome.blame, "reason": call.outcome.reason},
    }


def for_visitor(data: bytes, room: str) -> bytes:
    """What a visitor of this room is told of it (JSON): where a call has gone is not said, only that it has.

    Other rooms are none of a visitor's business, not even their names.
    """
    if msgspec.json.decode(data, type=_Where).room == room:
        return data
    return msgspec.json.encode({**msgspec.json.decode(data), "room": None})


def call_news(before: Call | None, after: Call) -> CallNews | None:
    """None when nothing that is shown has changed."""
    told = shown(after)
    if before is None:
        return CallNews((after.room,), told)
    if shown(before) == told:
        return None
    return CallNews(tuple(dict.fromkeys((after.room, before.room))), told)
