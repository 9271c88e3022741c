"""Builds what listeners are told of a call, when anything of it that is shown changes."""

from typing import Any

import msgspec

from service.calls.model import Call
from service.calls.numbers import masked


class CallChange(msgspec.Struct, frozen=True):
    rooms: tuple[str, ...]
    """Whose onlookers are told: those of the call's room, and of the one that it has left."""
    call: dict[str, Any]


class _RoomOnly(msgspec.Struct, frozen=True):
    room: str | None = None


def public_view(call: Call) -> dict[str, Any]:
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


def redact_for_visitor(data: bytes, room: str) -> bytes:
    """What a visitor of this room is told of it (JSON): where a call has gone is not said, only that it has.

    Other rooms are none of a visitor's business, not even their names.
    """
    if msgspec.json.decode(data, type=_RoomOnly).room == room:
        return data
    return msgspec.json.encode({**msgspec.json.decode(data), "room": None})


def call_change(before: Call | None, after: Call) -> CallChange | None:
    """None when nothing that is shown has changed."""
    told = public_view(after)
    if before is None:
        return CallChange((after.room,), told)
    if public_view(before) == told:
        return None
    return CallChange(tuple(dict.fromkeys((after.room, before.room))), told)
