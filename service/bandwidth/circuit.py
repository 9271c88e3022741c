"""One API's circuit breaker at work: what counts as a failure, and who waits for a probe."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from service.bandwidth.breaker import Breaker
from service.bandwidth.errors import BandwidthError
from service.clock import Clock, SystemClock
from service.metrics import Metrics

PATIENCE: Final = 4.0
"""Seconds without an answer after which a request counts as failed; Bandwidth takes fractions of one."""
PROBE_WAIT: Final = 2.0
"""Seconds for which a request waits for a probe that is under way."""

log = structlog.get_logger()


class Circuit:
    """Lets requests to one API through, or refuses them at once while that API is down.

    Failures are: no connection, one that breaks, what is not HTTP, 5xx, and `patience` seconds without an
    answer. The last is counted when they are over, whether the request is given up before, then or much later
    (a create is waited for up to a minute). So a request that had 50 ms left and timed out says nothing about
    Bandwidth, and one that hangs says it in time. Waiting for a token is no part of it. Whatever else came
    back as a status is a success, also 401, 404, 409 and 429: Bandwidth is there.
    """

    def __init__(
        self,
        name: str,
        *,
        breaker: Breaker | None = None,
        clock: Clock | None = None,
        patience: float = PATIENCE,
        probe_wait: float = PROBE_WAIT,
        metrics: Metrics | None = None,
    ) -> None:
        """`name`: of the API, for the log and the metrics."""
        self.name = name
        self._metrics = metrics or Metrics()
        self._breaker = breaker or Breaker()
        self._clock = clock or SystemClock()
        self._patience = patience
        self._probe_wait = probe_wait
        self._opened_at = 0.0
        self._probe: asyncio.Event | None = None

    async def admit(self, operation: str, deadline: float) -> None:
        """Before one request. Raises BandwidthError `paused` instead of letting it begin.

        `deadline`: of the event loop's clock. A probe that is under way is waited for, for a moment: a join
        makes two requests at the same time, and refusing one of them would spoil the other.
        """
        pause = self._breaker.allow(self._clock.monotonic())
        if pause and self._probe is not None:
            await self._outcome(self._probe, deadline)
            pause = self._breaker.allow(self._clock.monotonic())
        if pause:
            self._metrics.request_paused(self.name, operation)
            raise BandwidthError(operation, "paused", retry=True, retry_after=pause)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around one request that was admitted, from that moment on."""
        known = asyncio.Event()
        if self._breaker.open:
            self._probe = known
        hanging = asyncio.get_running_loop().call_later(self._patience, self._hangs, known)
        try:
            yield
        except BandwidthError as error:
            if _is_failure(error):
                if not known.is_set():
                    self._failed(error.code)
            elif error.status is not None:
                self._succeeded()
            raise
        else:
            self._succeeded()
        finally:
            hanging.cancel()
            self._tell(known)

    async def _outcome(self, probe: asyncio.Event, deadline: float) -> None:
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(deadline, now + self._probe_wait)):
                await probe.wait()
        except TimeoutError:
            return

    def _hangs(self, known: asyncio.Event) -> None:
        self._failed("timeout")
        self._tell(known)

    def _tell(self, known: asyncio.Event) -> None:
        """How the request fares is known: to whoever waits, if it is the probe."""
        known.set()
        if self._probe is known:
            self._probe = None

    def _failed(self, code: str) -> None:
        was_open, now = self._breaker.open, self._clock.monotonic()
        self._breaker.failed(now)
        if self._breaker.open and not was_open:
            self._opened_at = now
            self._metrics.breaker(self.name, is_open=True)
            log.warning("breaker.opened", api=self.name, error=code)

    def _succeeded(self) -> None:
        was_open = self._breaker.open
        self._breaker.succeeded()
        if was_open:
            open_s = round(self._clock.monotonic() - self._opened_at, 3)
            self._metrics.breaker(self.name, is_open=False)
            log.info("breaker.closed", api=self.name, open_s=open_s)


def _is_failure(error: BandwidthError) -> bool:
    """Timeouts are not among them: those are counted by the clock."""
    if error.status is not None:
        return error.status >= 500
    return error.code in {"unreachable", "invalid-response"}
