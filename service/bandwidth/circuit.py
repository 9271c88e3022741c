"""The circuit breaker of one kind of work at one API: what counts as a failure, and who waits for a probe."""

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

import structlog

from service.bandwidth.breaker import Breaker
from service.bandwidth.errors import BandwidthError, NotFound
from service.bandwidth.reachability import Reach
from service.clock import Clock, SystemClock
from service.metrics import Metrics

PATIENCE: Final = 4.0
"""Seconds without an answer after which a request counts as failed; Bandwidth takes fractions of one."""
PROBE_WAIT: Final = 2.0
"""Seconds for which a request waits for a probe that is under way."""
HINT: Final = (
    "pstn-bridge doctor says whether it is reached from here, Bandwidth's status page whether at all"
)

log = structlog.get_logger()


class Kind(StrEnum):
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

    Failures are: no connection, one that breaks, what is not HTTP, 5xx, and `patience` seconds without an
    answer. The last is counted when they are over, whether the request is given up before, then or much later
    (a create is waited for up to a minute). So a request that had 50 ms left and timed out says nothing about
    Bandwidth, and one that hangs says it in time. Waiting for a token is no part of it. Whatever else came
    back as a status is a success, also 401, 404, 409 and 429: Bandwidth is there.
    """

    def __init__(
        self,
        api: str,
        kind: Kind,
        *,
        breaker: Breaker | None = None,
        clock: Clock | None = None,
        patience: float = PATIENCE,
        probe_wait: float = PROBE_WAIT,
        metrics: Metrics | None = None,
        reach: Reach | None = None,
    ) -> None:
        """`api`: its name, for the log and the metrics. `reach`: what all kinds at it share."""
        self.api = api
        self.kind = kind
        self.reach = reach or Reach()
        self._metrics = metrics or Metrics()
        self._breaker = breaker or Breaker()
        self._clock = clock or SystemClock()
        self._patience = patience
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
            await self._outcome(self._probe, deadline)
            pause = self._breaker.allow(self._clock.monotonic())
        if pause:
            self._metrics.request_paused(self.api, operation)
            raise BandwidthError(operation, "paused", retry=True, retry_after=pause)

    @contextmanager
    def watching(self, by: Hashable = None) -> Iterator[None]:
        """Around one request that was admitted, from that moment on. `by`: as in `Breaker.failed`."""
        known = asyncio.Event()
        if self._breaker.open:
            self._probe = known
        hanging = asyncio.get_running_loop().call_later(self._patience, self._hangs, known, by)
        try:
            yield
        except BandwidthError as error:
            self._note(error)
            if _is_failure(error):
                if not known.is_set():
                    self._failed(error.code, by)
            elif error.status is not None:
                self._succeeded()
            raise
        else:
            self.succeeded_at = self._clock.now()
            self.reach.answered()
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

    def _note(self, error: BandwidthError) -> None:
        if error.status is not None:
            self.reach.answered()
        elif error.code == "unreachable":
            self.reach.lost(self._clock.monotonic())
        if self.kind is Kind.QUESTIONS and isinstance(error, NotFound):
            self.succeeded_at = self._clock.now()  # that there is none answers a question

    def _hangs(self, known: asyncio.Event, by: Hashable) -> None:
        self.reach.lost(self._clock.monotonic())
        self._failed("timeout", by)
        self._tell(known)

    def _tell(self, known: asyncio.Event) -> None:
        """How the request fares is known: to whoever waits, if it is the probe."""
        known.set()
        if self._probe is known:
            self._probe = None

    def _failed(self, code: str, by: Hashable) -> None:
        was_open, now = self._breaker.open, self._clock.monotonic()
        self._breaker.failed(now, by)
        if self._breaker.open and not was_open:
            self._opened_at = now
            self._metrics.breaker(self.api, self.kind, is_open=True)
            log.warning("breaker.opened", api=self.api, kind=self.kind.value, error=code, hint=HINT)

    def _succeeded(self) -> None:
        was_open = self._breaker.open
        self._breaker.succeeded()
        if was_open:
            open_s = round(self._clock.monotonic() - self._opened_at, 3)
            self._metrics.breaker(self.api, self.kind, is_open=False)
            log.info("breaker.closed", api=self.api, kind=self.kind.value, open_s=open_s)


def _is_failure(error: BandwidthError) -> bool:
    """Timeouts are not among them: those are counted by the clock."""
    if error.status is not None:
        return error.status >= 500
    return error.code in {"unreachable", "invalid-response"}
