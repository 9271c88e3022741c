"""Limits log lines that clients without a key can cause: one of a kind in a minute, the rest at debug.

A client that is refused without a key, or opens a link again and again, would otherwise fill the log and hide
the other lines. What is left out is counted all the same (docs/metrics.md).
"""

import logging
from typing import Final

from service.clock import Clock, SystemClock

INTERVAL: Final = 60.0
"""Seconds between two lines of a kind."""
HOUR: Final = 3600.0
"""Seconds; the interval for what is worth no more than a reminder."""
MAX_DETAILS: Final = 20
"""Kinds with a detail of the client's that are told apart at a time; all others of an event are one."""
MAX_VISITORS: Final = 1000
"""The same for visits and links, which are counted apart: many of them leave the lines of others alone."""
_LIBRARIES: Final = ("uvicorn.error", "asyncio")
"""Loggers that warn of malformed HTTP, and of clients that have gone."""


class LogThrottle:
    """Kinds with a detail have a table of their own: a client that makes many up leaves other lines alone.

    `max_details`: how many of those are told apart.
    """

    def __init__(self, clock: Clock, max_details: int = MAX_DETAILS, *, interval: float = INTERVAL) -> None:
        self._clock = clock
        self._max_details = max_details
        self._interval = interval
        self._by_kind: dict[str, float] = {}
        """When a kind was written down last, in monotonic seconds. There are as many as the code names, and
        the keys of the API."""
        self._by_detail: dict[str, float] = {}

    def allows(self, kind: str, detail: str = "") -> bool:
        """Whether a line of this kind is to be written. Raises nothing.

        `kind` is in the code's own words, `detail` may be a client's.
        """
        now = self._clock.monotonic()
        if not detail:
            return self._allows(self._by_kind, kind, now)
        one = f"{kind} {detail}"
        if one not in self._by_detail and len(self._by_detail) >= self._max_details:
            self._by_detail = {told: at for told, at in self._by_detail.items() if now - at < self._interval}
            if len(self._by_detail) >= self._max_details:
                return self._allows(self._by_kind, kind, now)
        return self._allows(self._by_detail, one, now)

    def _allows(self, last_lines: dict[str, float], kind: str, now: float) -> bool:
        if (at := last_lines.get(kind)) is not None and now - at < self._interval:
            return False
        last_lines[kind] = now
        return True


class _ThrottleFilter(logging.Filter):
    """The same for warnings of a library, by their words."""

    def __init__(self) -> None:
        super().__init__()
        self._throttle = LogThrottle(SystemClock())

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno != logging.WARNING or self._throttle.allows(record.name, str(record.msg))


def throttle_libraries() -> None:
    """Apply the same to warnings of libraries. Raises nothing."""
    once = _ThrottleFilter()
    for name in _LIBRARIES:
        logging.getLogger(name).addFilter(once)
