"""What must not be forgotten while the store is away is kept in memory and written when it is back."""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from service.clock import Clock
from service.store.errors import StoreError

log = structlog.get_logger()

_TRIES: Final = 300
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 1.0
"""Seconds. Short, for until it is written only this process knows of it."""


async def persist(write: Callable[[], Awaitable[object]], clock: Clock, what: str) -> None:
    """Write to the store what must not be forgotten; the write has to be safe to repeat."""
    pause = _FIRST_PAUSE
    for _ in range(_TRIES):
        try:
            await write()
        except StoreError as error:
            log.warning("store.write_retried", what=what, error=str(error))
            await clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        else:
            return
    log.error("store.write_lost", what=what)
