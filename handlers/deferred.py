"""Webhooks that Bandwidth tells once and that could not be handled in time: kept in memory, handled later."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

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


class _Kept(NamedTuple):
    handle: Handle
    event_type: str
    ref: str


class Deferred:
    """Begun in the order in which they came, a few at a time; tried again while the store is away.

    Those of one call are handled one after the other: its end is told once, with what was known by then.
    """

    def __init__(self, tasks: Tasks, clock: Clock, *, limit: int = LIMIT) -> None:
        self._tasks = tasks
        self._clock = clock
        self._limit = limit
        self._waiting: deque[_Kept] = deque()
        self._behind: dict[str, deque[_Kept]] = {}
        """By call, one of whose webhooks waits or is being handled: those that came after it."""
        self._workers = 0

    def __len__(self) -> int:
        return len(self._waiting) + sum(map(len, self._behind.values()))

    def keep(self, handle: Handle, event_type: str, ref: str) -> bool:
        """False where there is no room for one more. Handling has to be safe to repeat."""
        if len(self) >= self._limit:
            return False
        one = _Kept(handle, event_type, ref)
        if ref in self._behind:
            self._behind[ref].append(one)
            return True
        self._behind[ref] = deque()
        self._waiting.append(one)
        if self._workers < _AT_ONCE:
            self._workers += 1
            self._tasks.start(self._work_off(), name="webhook.deferred")
        return True

    async def _work_off(self) -> None:
        try:
            while self._waiting:
                await self._of_one_call(self._waiting.popleft())
        finally:
            self._workers -= 1

    async def _of_one_call(self, first: _Kept) -> None:
        behind = self._behind[first.ref]
        behind.appendleft(first)
        try:
            while behind:
                handle, event_type, _ = behind.popleft()
                try:
                    await persist(handle, self._clock, event_type)
                except Exception as error:  # the others are handled all the same
                    log.exception("webhook.failed", event_type=event_type, error=repr(error))
        finally:
            del self._behind[first.ref]
