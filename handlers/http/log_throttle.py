"""Lines of the log that anybody outside can cause: one of a kind in a minute, the rest at debug.

Whoever needs no key to be refused, or has a link to open again and again, would otherwise fill the log, and
hide in it what else is going on. What is left out is counted all the same (docs/metrics.md).
"""

import logging
from typing import Final

from service.clock import Clock, SystemClock

SPELL: Final = 60.0
"""Seconds between two lines of a kind."""
OF_INPUT: Final = 20
"""Kinds made of what somebody has sent that are told apart at a time; all others of an event are one."""
VISITORS: Final = 1000
"""The same for visits and links, which are counted apart: many of them leave the lines of others alone."""
_LIBRARIES: Final = ("uvicorn.error", "asyncio")
"""They warn of what is no HTTP, and of who has gone."""


class Spells:
    """Kinds made of input have a table of their own: whoever makes many up is in no other line's way.

    `of_input`: so many of those are told apart.
    """

    def __init__(self, clock: Clock, of_input: int = OF_INPUT) -> None:
        self._clock = clock
        self._most = of_input
        self._own: dict[str, float] = {}
        """When a kind was written down last, in monotonic seconds. There are as many as the code names."""
        self._of_input: dict[str, float] = {}

    def begins(self, kind: str, of: str = "") -> bool:
        """Whether a line of this kind is to be written. `kind` is in the code's own words, `of` in any."""
        now = self._clock.monotonic()
        if not of:
            return _begins(self._own, kind, now)
        one = f"{kind} {of}"
        if one not in self._of_input and len(self._of_input) >= self._most:
            self._of_input = {told: at for told, at in self._of_input.items() if now - at < SPELL}
            if len(self._of_input) >= self._most:
                return _begins(self._own, kind, now)
        return _begins(self._of_input, one, now)


def _begins(told: dict[str, float], kind: str, now: float) -> bool:
    if (at := told.get(kind)) is not None and now - at < SPELL:
        return False
    told[kind] = now
    return True


class _Once(logging.Filter):
    """The same for warnings of a library, by their words."""

    def __init__(self) -> None:
        super().__init__()
        self._spells = Spells(SystemClock())

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno != logging.WARNING or self._spells.begins(record.name, str(record.msg))


def quieten_libraries() -> None:
    once = _Once()
    for name in _LIBRARIES:
        logging.getLogger(name).addFilter(once)
