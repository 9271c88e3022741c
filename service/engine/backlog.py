"""Webhooks that Bandwidth tells once and that could not be handled in time: kept in memory, handled later."""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from service.clock import Clock
from service.engine.outbox.retry_write import FIRST_PAUSE, LONGEST_PAUSE, is_in_vain, note_failure
from service.logs import bound, bound_as, bound_now
from service.store.errors import StoreError, StoreUnavailable
from service.tasks import Tasks

log = structlog.get_logger()

LIMIT: Final = 1000
"""Webhooks that wait; each holds its event, a kilobyte or two."""
_AT_ONCE: Final = 8
"""Few, so that they do not take the time of callers who wait."""
Handle = Callable[[], Awaitable[object]]


@dataclass(slots=True)
class _Kept:
    handle: Handle
    event_type: str
    ref: str
    keys: Mapping[str, str | None]
    """What its lines in the log have."""
    tries: int = 0


class Deferred:
    """Begun in the order in which they came, a few at a time, and kept until they are handled.

    Those of one call are handled one after the other: its end is told once, with what was known by then. One
    that fails makes way for those of other calls: the store may be away for it alone.
    """

    def __init__(self, tasks: Tasks, clock: Clock, *, limit: int = LIMIT) -> None:
        self._tasks = tasks
        self._clock = clock
        self._limit = limit
        self._turns: deque[str] = deque()
        """Calls, some of whose webhooks wait and none is being handled."""
        self._of: dict[str, deque[_Kept]] = {}
        """By call, also while one of its webhooks is being handled: those that wait."""
        self._unreadable: set[str] = set()
        """Calls of which the store has what this release cannot read: nobody waits for their webhooks."""
        self._workers = 0

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    def __contains__(self, ref: str) -> bool:
        """Whether webhooks of this call are kept, or one of them is just being handled, with hope."""
        return ref in self._of and ref not in self._unreadable

    def keep(self, handle: Handle, event_type: str, ref: str) -> bool:
        """False where there is no room for one more. Handling has to be safe to repeat."""
        if len(self) >= self._limit:
            return False
        one = _Kept(handle, event_type, ref, bound_now())
        if ref in self._of:
            self._of[ref].append(one)
            return True
        self._of[ref] = deque([one])
        self._turns.append(ref)
        if self._workers < _AT_ONCE:
            self._workers += 1
            self._tasks.start(self._work_off(), name="webhook.deferred")
        return True

    async def _work_off(self) -> None:
        pause = FIRST_PAUSE
        try:
            while self._turns:
                if await self._of_one_call(self._turns.popleft(), pause):
                    pause = FIRST_PAUSE
                else:
                    pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            self._workers -= 1
            if not self._workers:
                self._tell_left()

    async def _of_one_call(self, ref: str, pause: float) -> bool:
        """Whether all were handled. If not, the others have their turn after a pause."""
        waiting = self._of[ref]
        while waiting:
            one, done = waiting.popleft(), False
            try:
                with bound_as(one.keys):
                    done = await self._handled(one)
                if not done:
                    await self._clock.sleep(pause)
            finally:
                if not done:
                    waiting.appendleft(one)
            if not done:
                self._turns.append(ref)
                return False
        del self._of[ref]
        self._unreadable.discard(ref)
        return True

    async def _handled(self, one: _Kept) -> bool:
        """Whether there is no more to be done about it."""
        try:
            await one.handle()
        except StoreError as error:
            one.tries += 1
            if not isinstance(error, StoreUnavailable):
                self._unreadable.add(one.ref)
            note_failure(one.event_type, one.tries, error)
            if is_in_vain(error, one.tries):
                self._tell(one)
                return True
            return False
        except Exception as error:  # the others are handled all the same
            log.exception("webhook.failed", event_type=one.event_type, error=repr(error))
        return True

    def _tell_left(self) -> None:
        """The process ends: what these have said is found out later, by those who ask Bandwidth."""
        for waiting in self._of.values():
            for one in waiting:
                self._tell(one)

    def _tell(self, one: _Kept) -> None:
        with bound_as(one.keys), bound(ref=one.ref):
            log.warning("webhook.dropped", event_type=one.event_type)
