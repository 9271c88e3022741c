"""Applies the circuit breaker to one kind of work at one API: counts failures, and lets one probe through."""

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

import structlog

from service.bandwidth.breaker import Breaker
from service.bandwidth.errors import BandwidthError, NotFound
from service.bandwidth.reachability import Reachability
from service.clock import Clock, SystemClock
from service.metrics import Metrics

HANG_TIMEOUT: Final = 4.0
"""Seconds without an answer after which a request counts as failed; Bandwidth takes fractions of one."""
PROBE_WAIT: Final = 2.0
"""Seconds for which a request waits for a probe that is under way."""
HINT: Final = (
    "pstn-bridge doctor says whether it is reached from here, Bandwidth's status page whether at all"
)

log = structlog.get_logger()


class RequestKind(StrEnum):
    """What a request is for. Each kind of work at an API fails, and is left alone, by itself."""

    CREATES = "creates"
    """Creates and adds, and changes of calls: somebody waits for them."""
    CLEAN_UP = "clean-up"
    """Removals, deletes and hang-ups."""
    QUESTIONS = "questions"
    TOKENS = "tokens"


class Circuit:
    """Lets requests of one kind to one API through, or refuses them at once while they fail.

    The kinds share nothing: a clean-up that fails must not turn a caller away, and nobody can tell whether a
    broken connection or a hanging request would have met the others too. Each finds out with five requests.

    Failures are: no connection, one that breaks, what is not HTTP, 5xx, and `hang_timeout` seconds without an
    answer. The last is counted when they are over, whether the request is given up before, then or much later
    (a create is waited for up to a minute). So a request that had 50 ms left and timed out says nothing about
    Bandwidth, and one that hangs says it in time. Waiting for a token is no part of it. Whatever else came
    back as a status is a success, also 401, 404, 409 and 429: Bandwidth is there.
    """

    def __init__(
        self,
        api: str,
        kind: RequestKind,
        *,
        breaker: Breaker | None = None,
        clock: Clock | None = None,
        hang_timeout: float = HANG_TIMEOUT,
        probe_wait: float = PROBE_WAIT,
        metrics: Metrics | None = None,
        reachability: Reachability | None = None,
    ) -> None:
        """`api`: its name, for the log and the metrics. `reachability`: what all kinds at it share."""
        self.api = api
        self.kind = kind
        self.reachability = reachability or Reachability()
        self._metrics = metrics or Metrics()
        self._breaker = breaker or Breaker()
        self._clock = clock or SystemClock()
        self._hang_timeout = hang_timeout
        self._probe_wait = probe_wait
        self.succeeded_at = 0.0
        """When a request has done what it was to do, in seconds since the epoch; 0 for not yet."""
        self._opened_at = 0.0
        self._probe: asyncio.Event | None = None

    @property
    def open(self) -> bool:
        """Whether requests are held back, but for probes."""
        return self._breaker.open

    async def admit(self, operation: str, deadline: float) -> None:
        """Before one request. Raises BandwidthError `paused` instead of letting it begin.

        `deadline`: of the event loop's clock. A probe that is under way is waited for, for a moment: a join
        makes two requests at the same time, and refusing one of them would spoil the other.
        """
        pause = self._breaker.allow(self._clock.monotonic())
        if pause and self._probe is not None:
            await self._await_probe(self._probe, deadline)
            pause = self._breaker.allow(self._clock.monotonic())
        if pause:
            self._metrics.request_paused(self.api, operation)
            raise BandwidthError(operation, "paused", retryable=True, retry_after=pause)

    @contextmanager
    def observe(self, failure_key: Hashable = None) -> Iterator[None]:
        """Around one request that was admitted, from that moment on.

        `failure_key`: as in `Breaker.record_failure`.
        """
        settled = asyncio.Event()
        if self._breaker.open:
            self._probe = settled
        hanging = asyncio.get_running_loop().call_later(
            self._hang_timeout, self._on_hang, settled, failure_key
        )
        try:
            yield
        except BandwidthError as error:
            self._record_error(error)
            if _is_failure(error):
                if not settled.is_set():
                    self._on_failure(error.code, failure_key)
            elif error.status is not None:
                self._on_success()
            raise
        else:
            self.succeeded_at = self._clock.now()
            self.reachability.mark_reached()
            self._on_success()
        finally:
            hanging.cancel()
            self._settle(settled)

    async def _await_probe(self, probe: asyncio.Event, deadline: float) -> None:
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(deadline, now + self._probe_wait)):
                await probe.wait()
        except TimeoutError:
            return

    def _record_error(self, error: BandwidthError) -> None:
        if error.status is not None:
            self.reachability.mark_reached()
        elif error.code == "unreachable":
            self.reachability.mark_unreachable(self._clock.monotonic())
        if self.kind is RequestKind.QUESTIONS and isinstance(error, NotFound):
            self.succeeded_at = self._clock.now()  # that there is none answers a question

    def _on_hang(self, settled: asyncio.Event, failure_key: Hashable) -> None:
        self.reachability.mark_unreachable(self._clock.monotonic())
        self._on_failure("timeout", failure_key)
        self._settle(settled)

    def _settle(self, settled: asyncio.Event) -> None:
        """How the request fares is known: to whoever waits, if it is the probe."""
        settled.set()
        if self._probe is settled:
            self._probe = None

    def _on_failure(self, code: str, failure_key: Hashable) -> None:
        was_open, now = self._breaker.open, self._clock.monotonic()
        self._breaker.record_failure(now, failure_key)
        if self._breaker.open and not was_open:
            self._opened_at = now
            self._metrics.breaker(self.api, self.kind, is_open=True)
            log.warning("breaker.opened", api=self.api, kind=self.kind.value, error=code, hint=HINT)

    def _on_success(self) -> None:
        was_open = self._breaker.open
        self._breaker.record_success()
        if was_open:
            open_s = round(self._clock.monotonic() - self._opened_at, 3)
            self._metrics.breaker(self.api, self.kind, is_open=False)
            log.info("breaker.closed", api=self.api, kind=self.kind.value, open_s=open_s)


def _is_failure(error: BandwidthError) -> bool:
    """Timeouts are not among them: those are counted by the clock."""
    if error.status is not None:
        return error.status >= 500
    return error.code in {"unreachable", "invalid-response"}
