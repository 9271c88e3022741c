"""Implements token buckets: whether a client may ask once more, or how long until then.

A bucket is the moment at which it will be full again, and no more: one that is full needs no memory.
Times are monotonic seconds, handed in.
"""

import math
from typing import Final, NamedTuple

_ROUNDING: Final = 1e-6
"""Seconds by which sums of floats may be off; nobody is sent away for less."""


class RateLimit(NamedTuple):
    """So many requests a minute in the long run, and `burst` (1 or more) at once after a pause."""

    per_minute: float
    burst: int

    @property
    def seconds_per_token(self) -> float:
        """Seconds in which one token comes back."""
        return 60 / self.per_minute


class Bucket(NamedTuple):
    full_at: float = -math.inf
    is_refusing: bool = False
    """Somebody has been sent away since it was last full."""


class TakeResult(NamedTuple):
    bucket: Bucket
    wait_seconds: float
    """Seconds until there is a token; 0 when one has been taken."""
    is_first_refusal: bool = False
    """The first to be sent away since the bucket was last full."""


def take(bucket: Bucket, limit: RateLimit, now: float) -> TakeResult:
    """One token, if there is one. To be sent away costs nothing, so that whoever waits as told is let in."""
    missing = max(0.0, bucket.full_at - now)
    refusing = bucket.is_refusing and missing > 0
    wait = missing - (limit.burst - 1) * limit.seconds_per_token
    if wait > _ROUNDING:
        return TakeResult(Bucket(bucket.full_at, is_refusing=True), wait, is_first_refusal=not refusing)
    return TakeResult(Bucket(now + missing + limit.seconds_per_token, refusing), 0.0)
