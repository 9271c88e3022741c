"""The rooms of a turn, and the numbers that lead into them."""

from typing import Any

ROOMS: dict[str, dict[str, Any]] = {
    "a": {},
    "b": {},
    "c": {},
    "legs": {"interconnect": "bridge"},
    "waiting": {"waiting": {"sound": "ring"}},
    "code": {"pin": "1234"},
    "small": {"limit": 2},
    "alone": {"alone": {"after": 2, "then": "hangup"}},
}
"""Rooms and their settings."""
NUMBERS = {f"+1555111000{n}": room for n, room in enumerate(ROOMS)}
"""A call to one of these comes into its room; others have one to themselves."""
PIN_NUMBER = "+15551110008"
PRIVATE = "+15551110009"
CHANGED = "changed"
"""A room whose settings are changed all the time."""
