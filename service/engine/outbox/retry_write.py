"""Keeps a write in memory while the store is away, and repeats it until it is stored."""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from service.clock import Clock
from service.engine.cleanup import CleanUpOrHangUp, ids_of, kind_of
from service.logs import log_context
from service.store.errors import StoreError, StoreUnavailable

log = structlog.get_logger()

LIMIT: Final = 1000
"""Writes that wait at the same time: far more than joins are under way when a store goes."""
UNREADABLE_TRIES: Final = 300
"""Of a write that the store's content forbids: whoever mends that has about five minutes."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 1.0
"""Seconds. Short, for until it is written only this process knows of it."""
_TRIES_A_SECOND: Final = 100
"""Of all that wait: many wait longer, so that a store that is away does not take the processor."""
_HINT: Final = "pstn-bridge sweep --from-logs finds it, and with --apply takes it down"
_HINT_CALL: Final = "it tells of itself by its webhooks; pstn-bridge sweep lists it if nobody knows it"


class RetryWriter:
    """Repeats writes for as long as the process lives, `limit` of them at the same time.

    What is not kept, since there are more or the process ends, is told: a line for each thing at Bandwidth
    of which nobody else knows.
    """

    def __init__(self, clock: Clock, *, limit: int = LIMIT) -> None:
        self._clock = clock
        self._limit = limit
        self._waiting = 0

    def __len__(self) -> int:
        """Writes that have failed and are tried again."""
        return self._waiting

    async def retry_until_stored(
        self, write: Callable[[], Awaitable[object]], what: str, *cleanups: CleanUpOrHangUp, room: str = ""
    ) -> None:
        """Write what must not be forgotten; `write` has to be safe to repeat.

        `cleanups`: what would take down whatever only this process knows of until then.
        """
        written = False
        try:
            written = await self._attempt_or_retry(write, what)
        finally:
            if not written:
                _log_lost(what, cleanups, room)

    async def _attempt_or_retry(self, write: Callable[[], Awaitable[object]], what: str) -> bool:
        error = await _attempt(write)
        if error is None:
            return True
        log_failure(what, 1, error)
        if self._waiting >= self._limit:
            return False
        self._waiting += 1
        try:
            return await self._retry(write, what)
        finally:
            self._waiting -= 1

    async def _retry(self, write: Callable[[], Awaitable[object]], what: str) -> bool:
        pause, tries = FIRST_PAUSE, 1
        while True:
            await self._clock.sleep(max(pause, self._waiting / _TRIES_A_SECOND))
            pause = min(pause * 2, LONGEST_PAUSE)
            error = await _attempt(write)
            if error is None:
                return True
            tries += 1
            log_failure(what, tries, error)
            if is_hopeless(error, tries):
                return False


async def _attempt(write: Callable[[], Awaitable[object]]) -> StoreError | None:
    try:
        await write()
    except StoreError as error:
        return error
    return None


def is_hopeless(error: StoreError, tries: int) -> bool:
    """Whether waiting does not help: the store is there, and what it has cannot be read by this release."""
    return tries >= UNREADABLE_TRIES and not isinstance(error, StoreUnavailable)


def log_failure(what: str, tries: int, error: StoreError) -> None:
    """Told at the 1st, 2nd, 4th, 8th ... try: an outage may last for hours."""
    if tries.bit_count() == 1:
        log.warning("store.write_retried", what=what, error=str(error))


def _log_lost(what: str, cleanups: tuple[CleanUpOrHangUp, ...], room: str) -> None:
    with log_context(room=room or None):
        if not cleanups:
            log.error("store.write_lost", what=what)
        for one in cleanups:
            kind = kind_of(one)
            hint = _HINT if kind in {"session", "participant"} else _HINT_CALL
            with log_context(**ids_of(one)):
                log.error("cleanup.not_stored", kind=kind, what=what, hint=hint)
