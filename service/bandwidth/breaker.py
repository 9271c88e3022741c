"""Computes when a kind of work at one of Bandwidth's APIs is paused: the circuit breaker, without I/O.

It opens after so many failures in a row, whatever lies between them in time. A share of a window would say
more on a busy day and nothing at night, when one call comes in a quarter of an hour; and an API of which one
operation fails while others succeed is not down, so that any success starts the row anew. Repeats of one
piece of work are one failure: what can never be done says nothing about the rest.

While it is open one request, the probe, goes out at the end of each pause, and the next pause is twice as
long. The departure of the probe is all that counts: whether it fails, is cancelled or never ends, the next
one is due at its time, so that there is no half-open state to be stuck in. Any success closes the breaker,
also that of a request sent before it opened: an answer is an answer.
"""

from collections.abc import Hashable
from typing import Final

FAILURE_THRESHOLD: Final = 5
"""In a row, each of another piece of work: more than one unlucky join, which is two requests and a retry."""
MIN_PAUSE: Final = 2.0
MAX_PAUSE: Final = 10.0
"""Seconds. A probe is little to Bandwidth, and a caller who is turned away after it is back is much to us."""


class Breaker:
    """`now`: monotonic seconds."""

    def __init__(
        self,
        *,
        threshold: int = FAILURE_THRESHOLD,
        min_pause: float = MIN_PAUSE,
        max_pause: float = MAX_PAUSE,
    ) -> None:
        """`threshold`: in a row, until it opens. `min_pause`, `max_pause`: seconds from probe to probe."""
        self._threshold = threshold
        self._min_pause = min_pause
        self._max_pause = max_pause
        self._failure_keys: set[Hashable] = set()
        self._pause = 0.0
        self._probe_at = 0.0

    @property
    def open(self) -> bool:
        return self._pause > 0

    def allow(self, now: float) -> float:
        """0 for a request that may go; otherwise the seconds until one may. Open and 0: this is the probe."""
        if not self.open:
            return 0.0
        if now < self._probe_at:
            return self._probe_at - now
        self._pause_for(now, min(2 * self._pause, self._max_pause))
        return 0.0

    def record_success(self) -> None:
        self._failure_keys.clear()
        self._pause = 0.0

    def record_failure(self, now: float, failure_key: Hashable = None) -> None:
        """`failure_key`: whose failure it is, counted once in a row; None for one that stands for itself.

        While it is open this changes nothing: when the next probe goes out has been settled.
        """
        if self.open:
            return
        self._failure_keys.add(object() if failure_key is None else failure_key)
        if len(self._failure_keys) >= self._threshold:
            self._pause_for(now, self._min_pause)

    def _pause_for(self, now: float, seconds: float) -> None:
        self._pause = seconds
        self._probe_at = now + seconds
