"""Answers that go on for as long as somebody listens, as server-sent events (HTML standard, section 9.2)."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from handlers.http.draining import Stopping
from service.clock import Clock
from service.engine.change_feed import Ended
from service.invitations import Pass
from service.logs import bound
from service.store.errors import StoreError
from service.tasks import Tasks

log = structlog.get_logger()

Over = Callable[[Collection[Pass]], Awaitable[Collection[Pass]]]

LIMIT: Final = 500
"""Listeners of one replica; each is a connection, and what waits for it (service/engine/change_feed.py)."""
VISITORS: Final = 400
"""Of them, all visitors together: they may be many, and the rest is left to those who have a key."""
EACH: Final = 5
"""Of one visitor: a few tabs, and what of them has not been noticed to be gone."""
OVER: Final = 2.0
"""Seconds between two looks at whether the visits of those who listen are over, in one trip for all."""
_LOOK: Final = 0.1
"""Seconds between two looks at whether the service is to end."""
_LAST_WORD: Final = 1.0
"""Seconds for the end of an answer to be taken; who is stuck does not take it."""
_HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back until it has a buffer full of them
}


class Streams:
    """Those that are open. They end when the service does: it would wait for them.

    `over`: which of these visits were ended; their streams end with them, and with a visit's own time.
    """

    def __init__(self, stopping: Stopping, clock: Clock, tasks: Tasks, over: Over) -> None:
        self._stopping = stopping
        self._over = over
        self.clock = clock
        self._tasks = tasks
        self._open: dict[Ended, Pass | None] = {}
        self._watching: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None

    def full(self, visit: str) -> bool:
        """Whether there is no place for this visit, or, where it is empty, for an operator."""
        if len(self._open) >= LIMIT:
            return True
        return bool(visit) and sum(map(bool, self._open.values())) >= VISITORS

    @contextmanager
    def one(self, visitor: Pass | None) -> Iterator[Ended]:
        """Who has too many loses the oldest: it is the newest that somebody looks at."""
        own = self._of(visitor) if visitor else []
        for one in own[: max(0, len(own) - EACH + 1)]:
            one.tell("crowded")
        ended = Ended()
        self._open[ended] = visitor
        if self._watching is None or self._watching.done():
            self._watching = self._tasks.start(self._watch(), name="streams")
        if visitor and (self._asking is None or self._asking.done()):
            self._asking = self._tasks.start(self._ask(), name="streams.visits")
        try:
            yield ended
        finally:
            del self._open[ended]

    async def _watch(self) -> None:
        while self._open:
            if self._stopping.over:
                for one in self._open:
                    one.tell("stopping")
            await self.clock.sleep(_LOOK)

    async def _ask(self) -> None:
        while visits := {one for one in self._open.values() if one}:
            self._end(visit for visit in visits if visit.until <= self.clock.now())  # also without the store
            with suppress(StoreError):  # those who listen wait for it, or are ended (service/engine/change_feed.py)
                self._end(await self._over(visits))
            await self.clock.sleep(OVER)

    def _end(self, visits: Iterable[Pass]) -> None:
        for visit in visits:
            for one in self._of(visit):
                one.tell("over")

    def _of(self, visitor: Pass) -> list[Ended]:
        return [one for one, whose in self._open.items() if whose and whose.id == visitor.id]


class EventStream(Response):
    """What `source` gives, until it is exhausted or told to end, or the client goes."""

    def __init__(
        self,
        source: Callable[[Ended], AsyncGenerator[bytes]],
        streams: Streams,
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
        # A place is taken before anything is awaited: whoever was told that there is one has it.
        with self._streams.one(self._visitor) as ended:
            await send(start)
            left = await self._run(ended, receive, send)
        if not left:
            with suppress(TimeoutError):
                await _finish(send)
        with bound(room=self._room):
            reason = "left" if left else ended.reason
            log.info("stream.ended", reason=reason, seconds=round(clock.monotonic() - began, 1))

    async def _run(self, ended: Ended, receive: Receive, send: Send) -> bool:
        """Whether it was the client that ended it."""
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(_left(receive))
            others = (group.create_task(self._write(ended, send)), group.create_task(ended.wait()))
            await asyncio.wait((leaving, *others), return_when=asyncio.FIRST_COMPLETED)
            left = leaving.done()
            for task in (leaving, *others):
                task.cancel()
        return left

    async def _write(self, ended: Ended, send: Send) -> None:
        async with aclosing(self._source(ended)) as blocks:
            async for block in blocks:
                await send({"type": "http.response.body", "body": block, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _finish(send: Send) -> None:
    async with asyncio.timeout(_LAST_WORD):
        await send({"type": "http.response.body", "body": b"", "more_body": False})
