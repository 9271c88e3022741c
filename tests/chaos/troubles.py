"""What the weather has done, with when: what excuses an oddity has to be in here, or in what was struck."""

import msgspec

from tests.chaos.times import NEVER

UNFELT = frozenset({"clock"})
"""Kinds of which nobody may notice anything: they explain nothing."""
STORE = frozenset({"store-away", "store-frozen", "cut-store", "failover-planned", "failover-killed"})
"""Kinds in which a replica, or all of them, has no store."""


class Trouble(msgspec.Struct):
    """`begun` and `over` are monotonic seconds; `host` is the replica concerned, empty: all."""

    kind: str
    begun: float
    over: float = NEVER
    host: str = ""
    detail: str = ""


class Troubles:
    def __init__(self) -> None:
        self.all: list[Trouble] = []

    @property
    def felt(self) -> list[Trouble]:
        """Those that may be noticed."""
        return [one for one in self.all if one.kind not in UNFELT]

    @property
    def of_store(self) -> list[Trouble]:
        """Those in which what is told is kept in memory until the store is back."""
        return [one for one in self.all if one.kind in STORE]

    def begin(self, kind: str, now: float, *, host: str = "", detail: str = "") -> Trouble:
        """The caller sets `over` when it has ended."""
        trouble = Trouble(kind, now, host=host, detail=detail)
        self.all.append(trouble)
        return trouble

    def between(self, since: float, until: float, *kinds: str, host: str = "") -> list[Trouble]:
        """Those that lay in that time at least in part; with a host those of it, and those of all."""
        return [
            one
            for one in self.all
            if one.begun <= until
            and since <= one.over
            and (not kinds or one.kind in kinds)
            and (not host or one.host in {"", host})
        ]
