"""Reads from the settings what holds for a call that arrives: its room, announcement and fallback."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from service.calls.refs import is_ref

PER_CALL: Final = "per-call"
PER_NUMBER: Final = "per-number"
_PRIVATE_ROOM_PREFIX: Final = "call-"
"""What the name of a caller's own room begins with; its ref follows."""
_SHORT_NUMBER_DIGITS: Final = 6
"""Digits of a number whose last four would be most of it."""


class CallLimits(msgspec.Struct, frozen=True, kw_only=True):
    """After how many seconds calls are ended that would go on; 0 for no limit."""

    call: float = 0
    hold: float = 0
    visitor_call: float = 0
    """For calls that a page has placed."""
    visitor_alone: float = 0
    """For those, from when nobody is on the page any more."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    room_policy: str = PER_CALL
    room_map: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Room names by E.164 number of ours."""
    announcement: str = ""
    fallback_number: str = ""
    our_numbers: frozenset[str] = frozenset()
    """The numbers of ours that settings name, in E.164 form."""
    pin_numbers: frozenset[str] = frozenset()
    """Numbers of ours on which digits name the room."""
    max_pin_attempts: int = 3
    webhook_budget: float = 8.0
    """Seconds in which a webhook is answered; Bandwidth itself waits 15 (voice API, webhooks)."""
    limits: CallLimits = CallLimits()
    short_leg: float = 5.0
    """Seconds; a leg into WebRTC that lasted less was not talked on."""
    closed_message: str = ""
    """What new callers are told while none is taken; empty while they are."""

    def room_for(self, ref: str, number: str) -> str:
        """The room of a call on this number of ours; strangers share one only where somebody says so."""
        if (mapped := self.room_map.get(number)) is not None:
            return mapped
        if self.room_policy == PER_CALL or (self.room_policy == PER_NUMBER and not number):
            return f"{_PRIVATE_ROOM_PREFIX}{ref}"
        if self.room_policy == PER_NUMBER:
            return f"number-{_hidden(number)}"
        return self.room_policy

    def fallback_for(self, number: str, diverted: str) -> str:
        """The fallback of a call on this number of ours that was `diverted` from another; empty for none.

        A call that has come by way of the fallback has none: it would be sent round for ever. Seen by the
        number that was called, and by the last one that it was diverted from (voice API, `diversion`).
        """
        came_back = bool(diverted) and diverted in {number, self.fallback_number, *self.our_numbers}
        return "" if came_back or number == self.fallback_number else self.fallback_number

    def pin_attempts_for(self, number: str) -> int:
        """How often digits may be entered on this number of ours; 0 where none are asked for.

        A number that cannot be read (empty) may be one that asks.
        """
        return self.max_pin_attempts if number in self.pin_numbers or (self.pin_numbers and not number) else 0


def is_private_room(room: str) -> bool:
    """Whether it is the room of one caller, into which nobody else comes by phone."""
    return room.startswith(_PRIVATE_ROOM_PREFIX) and is_ref(room.removeprefix(_PRIVATE_ROOM_PREFIX))


def _hidden(number: str) -> str:
    """Enough to tell numbers apart: room names are in logs and tags, where a whole number must not be."""
    digits = re.sub(r"[^0-9]", "", number)
    tail = f"{digits[-4:]}-" if len(digits) > _SHORT_NUMBER_DIGITS else ""
    return f"{tail}{hashlib.sha256(number.encode()).hexdigest()[:8]}"
