"""Lines of the log that anybody outside can cause: one of a kind in a minute, the rest at debug.

Whoever needs no key to be refused, or has a link to open again and again, would otherwise fill the log, and
hide in it what else is going on. What is left out is counted all the same (docs/metrics.md).
"""

import logging
from typing import Final

from service.clock import Clock, SystemClock

SPELL: Final = 60.0
"""Seconds between two lines of a kind."""
KINDS: Final = 100
"""Kinds that are told apart at a time; all others are one."""
VISITORS: Final = 1000
"""The same for visits and links, which are counted apart: many of them leave the lines of others alone."""
_OTHERS: Final = ""
_LIBRARIES: Final = ("uvicorn.error", "asyncio")
"""They warn of what is no HTTP, and of who has gone."""


class Spells:
    """`kinds`: so many are told apart."""

    def __init__(self, clock: Clock, kinds: int = KINDS) -> None:
        self._clock = clock
        self._kinds = kinds
        self._told: dict[str, float] = {}
        """When a kind was written down last, in monotonic seconds."""

    def begins(self, kind: str) -> bool:
        """Whether a line of this kind is to be written."""
        now = self._clock.monotonic()
        if kind not in self._told and len(self._told) >= self._kinds:
            self._told = {one: at for one, at in self._told.items() if now - at < SPELL}
            if len(self._told) >= self._kinds:
                kind = _OTHERS
        if (at := self._told.get(kind)) is not None and now - at < SPELL:
            return False
        self._told[kind] = now
        return True


class _Once(logging.Filter):
    """The same for warnings of a library, by their words."""

    def __init__(self) -> None:
        super().__init__()
        self._spells = Spells(SystemClock())

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno != logging.WARNING or self._spells.begins(str(record.msg))


def quieten_libraries() -> None:
    once = _Once()
    for name in _LIBRARIES:
        logging.getLogger(name).addFilter(once)
