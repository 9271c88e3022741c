"""Counts how often Bandwidth has said the same: a single 404 is not believed.

A gateway that has lost a route and a copy that lags behind both say 404 for what is there. What ends a call,
replaces a session or gives something up therefore rests on several answers, a while apart.
"""

import msgspec


class Threshold(msgspec.Struct, frozen=True):
    """So many looks over at least so many seconds, and nothing that speaks against it in between."""

    count: int
    seconds: float

    @property
    def interval(self) -> float:
        """Seconds between two looks."""
        return self.seconds / (self.count - 1)


class Looks(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often the same was seen, and when first and last (seconds since the epoch)."""

    first: float = 0
    last: float = 0
    count: int = 0

    def __bool__(self) -> bool:
        return self.count > 0

    def seen(self, at: float) -> "Looks":
        """Once more."""
        return Looks(self.first if self.count else at, at, self.count + 1)

    def reach(self, threshold: Threshold) -> bool:
        return self.count >= threshold.count and self.last - self.first >= threshold.seconds


class CallChecked(msgspec.Struct, frozen=True, tag="asked"):
    """Whether Bandwidth knows the call, as it says on being asked, or as the call's session shows.

    An event of a call like those in `service.calls.events`. `threshold`: of its not being known, for its end.
    """

    at: float
    known: bool
    threshold: Threshold
