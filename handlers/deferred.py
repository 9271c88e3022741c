"""Webhooks that Bandwidth tells once and that could not be handled in time: kept in memory, handled later."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from service.clock import Clock
from service.engine.persist import persist
from service.tasks import Tasks

log = structlog.get_logger()

LIMIT: Final = 1000
"""Webhooks that wait; each holds its event, a kilobyte or two."""
_AT_ONCE: Final = 8
"""Few, so that they do not take the time of callers who wait."""
Handle = Callable[[], Awaitable[object]]


class Deferred:
    """Begun in the order in which they came, a few at a time; tried again while the store is away."""

    def __init__(self, tasks: Tasks, clock: Clock, *, limit: int = LIMIT) -> None:
        self._tasks = tasks
        self._clock = clock
        self._limit = limit
        self._waiting: deque[tuple[Handle, str]] = deque()
        self._workers = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def keep(self, handle: Handle, event_type: str) -> bool:
        """False where there is no room for one more. Handling has to be safe to repeat."""
        if len(self._waiting) >= self._limit:
            return False
        self._waiting.append((handle, event_type))
        if self._workers < _AT_ONCE:
            self._workers += 1
            self._tasks.start(self._work_off(), name="webhook.deferred")
        return True

    async def _work_off(self) -> None:
        try:
            while self._waiting:
                handle, event_type = self._waiting.popleft()
                try:
                    await persist(handle, self._clock, event_type)
                except Exception as error:  # the others are handled all the same
                    log.exception("webhook.failed", event_type=event_type, error=repr(error))
        finally:
            self._workers -= 1
