"""Keeps webhooks in memory that Bandwidth sends once and that could not be handled in time."""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from service.clock import Clock
from service.engine.outbox.retry_write import FIRST_PAUSE, LONGEST_PAUSE, is_hopeless, log_failure
from service.logs import current_log_context, log_context, use_log_context
from service.store.errors import StoreError, StoreUnavailable
from service.tasks import Tasks

log = structlog.get_logger()

LIMIT: Final = 1000
"""Webhooks that wait; each holds its event, a kilobyte or two."""
_CONCURRENCY: Final = 8
"""Few, so that they do not take the time of callers who wait."""
Handle = Callable[[], Awaitable[object]]


@dataclass(slots=True)
class _BacklogItem:
    handle: Handle
    event_type: str
    ref: str
    log_keys: Mapping[str, str | None]
    """What its lines in the log have."""
    attempts: int = 0


class Backlog:
    """Begun in the order in which they came, a few at a time, and kept until they are handled.

    Those of one call are handled one after the other: its end is told once, with what was known by then. One
    that fails makes way for those of other calls: the store may be away for it alone.
    """

    def __init__(self, tasks: Tasks, clock: Clock, *, limit: int = LIMIT) -> None:
        self._tasks = tasks
        self._clock = clock
        self._limit = limit
        self._ready_calls: deque[str] = deque()
        """Calls, some of whose webhooks wait and none is being handled."""
        self._by_call: dict[str, deque[_BacklogItem]] = {}
        """By call, also while one of its webhooks is being handled: those that wait."""
        self._unreadable: set[str] = set()
        """Calls of which the store has what this release cannot read: nobody waits for their webhooks."""
        self._workers = 0

    def __len__(self) -> int:
        return sum(map(len, self._by_call.values()))

    def __contains__(self, ref: str) -> bool:
        """Whether webhooks of this call are kept, or one of them is just being handled, with hope."""
        return ref in self._by_call and ref not in self._unreadable

    def add(self, handle: Handle, event_type: str, ref: str) -> bool:
        """False where there is no room for one more. Handling has to be safe to repeat."""
        if len(self) >= self._limit:
            return False
        one = _BacklogItem(handle, event_type, ref, current_log_context())
        if ref in self._by_call:
            self._by_call[ref].append(one)
            return True
        self._by_call[ref] = deque([one])
        self._ready_calls.append(ref)
        if self._workers < _CONCURRENCY:
            self._workers += 1
            self._tasks.start(self._drain(), name="webhook.deferred")
        return True

    async def _drain(self) -> None:
        pause = FIRST_PAUSE
        try:
            while self._ready_calls:
                if await self._handle_call(self._ready_calls.popleft(), pause):
                    pause = FIRST_PAUSE
                else:
                    pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            self._workers -= 1
            if not self._workers:
                self._log_dropped_all()

    async def _handle_call(self, ref: str, pause: float) -> bool:
        """Whether all were handled. If not, the others have their turn after a pause."""
        waiting = self._by_call[ref]
        while waiting:
            one, done = waiting.popleft(), False
            try:
                with use_log_context(one.log_keys):
                    done = await self._handle_item(one)
                if not done:
                    await self._clock.sleep(pause)
            finally:
                if not done:
                    waiting.appendleft(one)
            if not done:
                self._ready_calls.append(ref)
                return False
        del self._by_call[ref]
        self._unreadable.discard(ref)
        return True

    async def _handle_item(self, item: _BacklogItem) -> bool:
        """Whether there is no more to be done about it."""
        try:
            await item.handle()
        except StoreError as error:
            item.attempts += 1
            if not isinstance(error, StoreUnavailable):
                self._unreadable.add(item.ref)
            log_failure(item.event_type, item.attempts, error)
            if is_hopeless(error, item.attempts):
                self._log_dropped(item)
                return True
            return False
        except Exception as error:  # the others are handled all the same
            log.exception("webhook.failed", event_type=item.event_type, error=repr(error))
        return True

    def _log_dropped_all(self) -> None:
        """The process ends: what these have said is found out later, by those who ask Bandwidth."""
        for waiting in self._by_call.values():
            for one in waiting:
                self._log_dropped(one)

    def _log_dropped(self, item: _BacklogItem) -> None:
        with use_log_context(item.log_keys), log_context(ref=item.ref):
            log.warning("webhook.dropped", event_type=item.event_type)
