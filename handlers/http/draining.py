"""Knows whether the service has been told to stop, and whether the time for its last requests is over."""

from service.clock import Clock, SystemClock


class Drain:
    """`delay`: seconds that load balancers are given to notice. Its methods raise nothing."""

    def __init__(self, delay: float = 0.0, clock: Clock | None = None) -> None:
        self.delay = delay
        self._clock = clock or SystemClock()
        self._until: float | None = None

    @property
    def has_begun(self) -> bool:
        return self._until is not None

    @property
    def is_over(self) -> bool:
        """Whether load balancers have had their time."""
        return self._until is not None and self._clock.monotonic() >= self._until

    def signal(self) -> None:
        """The first time begins the delay, the second ends it."""
        self._until = self._clock.monotonic() + (0 if self.has_begun else self.delay)
