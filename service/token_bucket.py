"""Token buckets: whether somebody may ask once more, and otherwise how long until then.

A bucket is the moment at which it will be full again, and no more: one that is full needs no memory.
Times are monotonic seconds, handed in.
"""

import math
from typing import Final, NamedTuple

_ROUNDING: Final = 1e-6
"""Seconds by which sums of floats may be off; nobody is sent away for less."""


class Allowance(NamedTuple):
    """So many requests a minute in the long run, and `burst` (1 or more) at once after a pause."""

    per_minute: float
    burst: int

    @property
    def each(self) -> float:
        """Seconds in which one token comes back."""
        return 60 / self.per_minute


class Bucket(NamedTuple):
    full_at: float = -math.inf
    refusing: bool = False
    """Somebody has been sent away since it was last full."""


class Taken(NamedTuple):
    bucket: Bucket
    wait: float
    """Seconds until there is a token; 0 when one has been taken."""
    begins: bool = False
    """The first to be sent away since the bucket was last full."""


def take(bucket: Bucket, allowance: Allowance, now: float) -> Taken:
    """One token, if there is one. To be sent away costs nothing, so that whoever waits as told is let in."""
    missing = max(0.0, bucket.full_at - now)
    refusing = bucket.refusing and missing > 0
    wait = missing - (allowance.burst - 1) * allowance.each
    if wait > _ROUNDING:
        return Taken(Bucket(bucket.full_at, refusing=True), wait, begins=not refusing)
    return Taken(Bucket(now + missing + allowance.each, refusing), 0.0)
