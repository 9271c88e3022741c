"""When to leave a kind of work at an API of Bandwidth alone: the circuit breaker, as a plain calculation.

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

FAILURES: Final = 5
"""In a row, each of another piece of work: more than one unlucky join, which is two requests and a retry."""
SHORTEST: Final = 2.0
LONGEST: Final = 10.0
"""Seconds. A probe is little to Bandwidth, and a caller who is turned away after it is back is much to us."""


class Breaker:
    """`now`: monotonic seconds."""

    def __init__(
        self, *, failures: int = FAILURES, shortest: float = SHORTEST, longest: float = LONGEST
    ) -> None:
        """`failures`: in a row, until it opens. `shortest`, `longest`: seconds from probe to probe."""
        self._failures = failures
        self._shortest = shortest
        self._longest = longest
        self._row: set[Hashable] = set()
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
        self._rest(now, min(2 * self._pause, self._longest))
        return 0.0

    def succeeded(self) -> None:
        self._row.clear()
        self._pause = 0.0

    def failed(self, now: float, by: Hashable = None) -> None:
        """`by`: whose failure it is, counted once in a row; None for one that stands for itself.

        While it is open this changes nothing: when the next probe goes out has been settled.
        """
        if self.open:
            return
        self._row.add(object() if by is None else by)
        if len(self._row) >= self._failures:
            self._rest(now, self._shortest)

    def _rest(self, now: float, seconds: float) -> None:
        self._pause = seconds
        self._probe_at = now + seconds
