"""One of each kind of effect."""

from typing import Any

import msgspec

from service.calls.effects import Effect
from service.calls.refs import ref_of_call
from service.calls.room_settings import AloneAction

REF = ref_of_call("c-1")
_FIELD_VALUES: dict[str, Any] = {
    "call_id": "c-1",
    "ref": REF,
    "room": "lobby",
    "next_room": "sales",
    "seat": f"{REF}.1",
    "next_seat": f"{REF}.1-1",
    "session_id": "S",
    "participant_id": "P",
    "attempt": 1,
    "seat_no": 0,
    "hears": None,
    "then": next(iter(AloneAction)),
    "is_warning": True,
}


def sample(kind: type[Effect], **given: Any) -> Effect:
    """Of this kind; `given` where it has such a field."""
    fields = {field.name for field in msgspec.structs.fields(kind) if field.required}
    return kind(**{name: given.get(name, _FIELD_VALUES[name]) for name in fields})
