"""For how long the service promises to keep each kind of key at most: the table in docs/design.md.

A test compares the two. It is not taken from the service's code, in which a mutant may have changed it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SECOND: Final = 1000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
ENDED: Final = 7 * DAY
"""`ENDED_CALL_DAYS`, which no turn sets."""

LIVES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "call": ENDED,
        "timeline": ENDED,
        "events": DAY,
        "token": 30 * MINUTE,
        "alias": DAY + ENDED,
        "calls": DAY + ENDED,
        "standing": DAY,
        "once": DAY,
        "placed": HOUR,
        "up": DAY,
        "up-all": DAY,
        "wrong-pins": HOUR,
        "room": 12 * HOUR,
        "live": 12 * HOUR,
        "left": 15 * MINUTE,
        "closed": DAY + MINUTE,
        "invitation": DAY + MINUTE,
        "visit": DAY + MINUTE,
        "passes": DAY + MINUTE,
        "passes-until": DAY + MINUTE,
        "dead": 30 * DAY,
        "news": HOUR,
        "replica": 20 * SECOND,
        "replicas": 20 * SECOND,
        "clock": 7 * DAY,
        "searched": 4 * MINUTE,
        "marker": 30 * DAY,
        "aside": 15 * SECOND,
        "unknown": 20 * MINUTE,
        "offered": 20 * MINUTE,
        "confirmed": MINUTE,
    }
)
"""Milliseconds from the last change, by kind. All others stay until they are taken back."""
