"""Limits log lines that a stranger can cause to one of a kind a minute; the rest go to debug.

Whoever needs no key to be refused, or has a link to open again and again, would otherwise fill the log, and
hide in it what else is going on. What is left out is counted all the same (docs/metrics.md).
"""

import logging
from typing import Final

from service.clock import Clock, SystemClock

INTERVAL: Final = 60.0
"""Seconds between two lines of a kind."""
HOUR: Final = 3600.0
"""Seconds; the interval for what is worth no more than a reminder."""
MAX_DETAILS: Final = 20
"""Kinds made of what somebody has sent that are told apart at a time; all others of an event are one."""
MAX_VISITORS: Final = 1000
"""The same for visits and links, which are counted apart: many of them leave the lines of others alone."""
_LIBRARIES: Final = ("uvicorn.error", "asyncio")
"""They warn of what is no HTTP, and of who has gone."""


class LogThrottle:
    """Kinds made of input have a table of their own: whoever makes many up is in no other line's way.

    `max_details`: so many of those are told apart. `interval`: seconds between two lines of a kind.
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
        """Whether a line of this kind is to be written.

        `kind` is in the code's own words, `detail` in any.
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
    once = _ThrottleFilter()
    for name in _LIBRARIES:
        logging.getLogger(name).addFilter(once)
