"""Sends server-sent events (HTML standard, section 9.2) for as long as a client listens."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from handlers.http.draining import Drain
from service.clock import Clock
from service.engine.change_feed import CloseSignal
from service.invitations import Pass
from service.logs import log_context
from service.store.errors import StoreError
from service.tasks import Tasks

log = structlog.get_logger()

FindEnded = Callable[[Collection[Pass]], Awaitable[Collection[Pass]]]

LIMIT: Final = 500
"""Listeners of one replica; each is a connection, and the events that wait for it."""
VISITORS: Final = 400
"""Listeners of them that may be visitors: the rest is left to clients with a key."""
PER_VISITOR: Final = 5
"""Listeners of one visit: a few tabs, and those whose end has not been noticed yet."""
VISIT_CHECK_INTERVAL: Final = 2.0
"""Seconds between two looks at whether the visits of listeners are over, in one trip for all."""
_DRAIN_CHECK_INTERVAL: Final = 0.1
"""Seconds between two looks at whether the service is to end."""
_LAST_WORD: Final = 1.0
"""Seconds for the client to take the end of a response; one that is stuck does not take it."""
_HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back until it has a buffer full of them
}


class OpenStreams:
    """The streams that are open. They end when the service does: it would wait for them.

    `find_ended`: gives those of some visits that were ended. Their streams end with them, or when the time of
    the visit is over.
    """

    def __init__(self, drain: Drain, clock: Clock, tasks: Tasks, find_ended: FindEnded) -> None:
        self._drain = drain
        self._find_ended = find_ended
        self.clock = clock
        self._tasks = tasks
        self._open: dict[CloseSignal, Pass | None] = {}
        self._drain_task: asyncio.Task[None] | None = None
        self._visits_task: asyncio.Task[None] | None = None

    def is_full(self, visit: str) -> bool:
        """Whether this visit, or an operator where it is empty, finds no place. Raises nothing."""
        if len(self._open) >= LIMIT:
            return True
        return bool(visit) and sum(map(bool, self._open.values())) >= VISITORS

    @contextmanager
    def register(self, visitor: Pass | None) -> Iterator[CloseSignal]:
        """Count a stream as open. A visit with too many loses its oldest. Raises nothing."""
        own = self._of(visitor) if visitor else []
        for one in own[: max(0, len(own) - PER_VISITOR + 1)]:
            one.close("crowded")
        ended = CloseSignal()
        self._open[ended] = visitor
        if self._drain_task is None or self._drain_task.done():
            self._drain_task = self._tasks.start(self._watch_drain(), name="streams")
        if visitor and (self._visits_task is None or self._visits_task.done()):
            self._visits_task = self._tasks.start(self._watch_visits(), name="streams.visits")
        try:
            yield ended
        finally:
            del self._open[ended]

    async def _watch_drain(self) -> None:
        while self._open:
            if self._drain.is_over:
                for one in self._open:
                    one.close("stopping")
            await self.clock.sleep(_DRAIN_CHECK_INTERVAL)

    async def _watch_visits(self) -> None:
        while visits := {one for one in self._open.values() if one}:
            self._end(visit for visit in visits if visit.until <= self.clock.now())  # also without the store
            # Listeners wait for the store, or are ended (service/engine/change_feed.py).
            with suppress(StoreError):
                self._end(await self._find_ended(visits))
            await self.clock.sleep(VISIT_CHECK_INTERVAL)

    def _end(self, visits: Iterable[Pass]) -> None:
        for visit in visits:
            for one in self._of(visit):
                one.close("over")

    def _of(self, visitor: Pass) -> list[CloseSignal]:
        return [one for one, whose in self._open.items() if whose and whose.id == visitor.id]


class EventStream(Response):
    """Sends what `source` gives, until that is exhausted or told to end, or the client goes."""

    def __init__(
        self,
        source: Callable[[CloseSignal], AsyncGenerator[bytes]],
        streams: OpenStreams,
        room: str | None,
        visitor: Pass | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(_HEADERS)
        self._source = source
        self._streams = streams
        self._room = room
        self._visitor = visitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        if scope["method"] == "HEAD":
            await send(start)
            await _finish(send)
            return
        clock = self._streams.clock
        began = clock.monotonic()
        # It is registered before anything is awaited: the check that it fits was made just before.
        with self._streams.register(self._visitor) as ended:
            await send(start)
            left = await self._run(ended, receive, send)
        if not left:
            with suppress(TimeoutError):
                await _finish(send)
        with log_context(room=self._room):
            reason = "left" if left else ended.reason
            log.info("stream.ended", reason=reason, seconds=round(clock.monotonic() - began, 1))

    async def _run(self, close_signal: CloseSignal, receive: Receive, send: Send) -> bool:
        """Whether it was the client that ended it."""
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(_wait_disconnect(receive))
            others = (
                group.create_task(self._write(close_signal, send)),
                group.create_task(close_signal.wait()),
            )
            await asyncio.wait((leaving, *others), return_when=asyncio.FIRST_COMPLETED)
            left = leaving.done()
            for task in (leaving, *others):
                task.cancel()
        return left

    async def _write(self, close_signal: CloseSignal, send: Send) -> None:
        async with aclosing(self._source(close_signal)) as blocks:
            async for block in blocks:
                await send({"type": "http.response.body", "body": block, "more_body": True})


async def _wait_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _finish(send: Send) -> None:
    async with asyncio.timeout(_LAST_WORD):
        await send({"type": "http.response.body", "body": b"", "more_body": False})
