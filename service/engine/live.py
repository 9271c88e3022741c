"""Live news for those who listen: one tail in each replica reads the store, however many listeners there are.

A listener goes on from a cursor. It reads for itself until it has come to where the tail is, and takes from
the tail from then on; what it has had already it does not get again. The tail begins where the store says
that the news end, and no listener moves it. A listener that is too slow, or that the tail cannot serve any
more, is ended: its client comes back with its cursor, and nothing has been missed.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from service.clock import Clock
from service.store.errors import StoreError
from service.store.news import Cursor, Entry, News, Page
from service.tasks import Tasks

POLL: Final = 0.25
"""Seconds between two looks at the store: people see a change at once, and it is four small trips a second,
whoever listens. Waiting in the store instead would take a connection for each partition on a cluster."""
QUEUED: Final = 1000
"""Entries that may wait for one listener, and a page more: what a busy installation makes in some seconds."""
SLOW: Final = 2.0
"""Seconds for which all others wait for a listener for whom more is waiting."""
_MOMENT: Final = 0.05
"""Seconds in which listeners take what they have."""
AWAY: Final = 30.0
"""Seconds for which a listener waits for a store that is away, before it is sent to another replica."""
_AGAIN: Final = 1.0
"""Seconds between two tries meanwhile."""


class Told(msgspec.Struct, frozen=True):
    """What a listener gets. Without an entry it is a sign of life, whose cursor is as good to go on from."""

    cursor: Cursor
    entry: Entry | None = None


class Lost(Exception):
    """What came after a cursor cannot be said any more."""


class Ended:
    """That a listener has to go, and why."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason = ""

    def tell(self, reason: str) -> None:
        """The first reason counts: `slow`, `lost`, `store`, `stopping`, `crowded` or `over`."""
        self.reason = self.reason or reason
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()


class _Listener:
    def __init__(self, room: str | None, ended: Ended) -> None:
        self.queue: asyncio.Queue[tuple[Entry, Cursor]] = asyncio.Queue()
        self.ended = ended
        self.room = room
        self.follows = False
        """Whether it takes from the tail; before that it reads for itself."""
        self.waited = 0.0
        """Seconds for which the tail has waited for it, since it had taken everything."""


class Live:
    """`quiet`: seconds without news until a sign of life; `queued`: entries that wait for one listener."""

    def __init__(self, news: News, clock: Clock, tasks: Tasks, *, quiet: float, queued: int = QUEUED) -> None:
        self._news = news
        self._clock = clock
        self._tasks = tasks
        self._quiet = quiet
        self._queued = queued
        self._listeners: set[_Listener] = set()
        self._at: Cursor | None = None
        """Where the tail is; None while nobody listens, and until it has asked the store where to begin."""
        self._tailing = False

    async def latest(self) -> Cursor:
        """Where the news is at this moment. Raises StoreError."""
        return await self._news.latest(now=self._clock.now())

    async def listen(self, cursor: Cursor, room: str | None, ended: Ended) -> AsyncGenerator[Told]:
        """What comes after the cursor, of one room or of all, without end. Raises Lost.

        `ended` is told when there will be nothing more; whoever listens has to stop then.
        """
        with self._listening(room, ended) as listener:
            while True:
                page = await self._next(cursor, ended)
                for entry in page.entries:
                    cursor = cursor.passed(entry.partition, entry.position)
                    if _is_for(room, entry):
                        yield Told(cursor, entry)
                cursor = page.cursor
                if await self._reached(page):
                    break
            had = cursor.beyond(self._at or cursor)
            listener.follows = True
            while True:
                if listener.queue.empty():
                    listener.waited = 0.0
                try:
                    async with asyncio.timeout(self._quiet):
                        entry, at = await listener.queue.get()
                except TimeoutError:
                    if self._at and listener.queue.empty():
                        cursor = cursor.joined(self._at)
                    yield Told(cursor)
                    continue
                known = entry.position <= had[entry.partition]
                cursor = cursor.joined(at)
                if not known:
                    yield Told(cursor, entry)

    async def _reached(self, page: Page) -> bool:
        """Whether the listener is where the tail is. One that has read nothing, and is not, waits a moment.

        The tail has read more just now, or has not seen yet that a stream has expired, or has not begun.
        """
        if self._at is None:
            await self._clock.sleep(_MOMENT)
        elif page.whole and page.cursor.reaches(self._at):
            return True
        elif not page.entries:
            await self._clock.sleep(POLL)
        return False

    async def _next(self, cursor: Cursor, ended: Ended) -> Page:
        """What comes after the cursor. While the store is away it is waited for."""
        began = self._clock.monotonic()
        while True:
            try:
                page = await self._news.after(cursor, now=self._clock.now())
            except StoreError:
                if self._clock.monotonic() - began > AWAY:
                    ended.tell("store")
                await self._clock.sleep(_AGAIN)
                continue
            if page is None:
                raise Lost
            return page

    @contextmanager
    def _listening(self, room: str | None, ended: Ended) -> Iterator[_Listener]:
        listener = _Listener(room, ended)
        self._listeners.add(listener)
        if not self._tailing:
            self._tailing = True
            self._tasks.start(self._follow(), name="live")
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def _follow(self) -> None:
        """The tail; it ends when nobody listens any more."""
        answered = self._clock.monotonic()
        try:
            while self._listeners:
                if await self._waits():
                    continue
                try:
                    if self._at is None:
                        self._at = await self.latest()
                    page = await self._news.after(self._at, now=self._clock.now())
                except StoreError:
                    if self._clock.monotonic() - answered > AWAY:
                        self._end_all("store")
                    await self._clock.sleep(_AGAIN)
                    continue
                answered = self._clock.monotonic()
                if page is None:
                    return
                self._hand_out(self._at, page.entries)
                self._at = page.cursor
                if page.whole:
                    await self._clock.sleep(POLL)
        finally:
            # Whoever listens still would wait for nothing.
            self._end_all("lost")
            self._at = None
            self._tailing = False

    def _hand_out(self, at: Cursor, entries: list[Entry]) -> None:
        for entry in entries:
            at = at.passed(entry.partition, entry.position)
            for listener in self._listeners:
                if listener.follows and _is_for(listener.room, entry):
                    listener.queue.put_nowait((entry, at))

    async def _waits(self) -> bool:
        """Whether there are listeners who are given a moment; one who has had too many is ended."""
        behind = [one for one in self._listeners if one.queue.qsize() > self._queued]
        for one in behind:
            one.waited += _MOMENT
            if one.waited > SLOW:
                self._listeners.discard(one)
                one.ended.tell("slow")
        if behind:
            await self._clock.sleep(_MOMENT)
        return bool(behind)

    def _end_all(self, reason: str) -> None:
        for listener in self._listeners:
            listener.ended.tell(reason)
        self._listeners.clear()


def _is_for(room: str | None, entry: Entry) -> bool:
    return room is None or room in entry.rooms
