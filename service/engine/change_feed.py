"""Live news for those who listen: one tail in each replica reads the store, however many listeners there are.

A listener goes on from a cursor. It reads for itself until it has come to where the tail is, and takes from
the tail from then on; what it has had already it does not get again. The tail begins where the store says
that the news end, and no listener moves it. A listener that is too slow, or that the tail cannot serve any
more, is ended: its client comes back with its cursor, and nothing has been missed.

Hundreds who listen are a lot of work at each look at the store, and callers wait meanwhile. So what many are
told is put together once for all of them, and a few at a time are woken to take it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import msgspec

from service.clock import Clock
from service.store.errors import StoreError
from service.store.change_feed import Cursor, Entry, News, Page, Position
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
TOGETHER: Final = 50
"""Entries of a batch at most: some 20 KB, what a connection takes without a wait."""
WOKEN: Final = 8
"""Listeners who are woken at the same time: less than 5 ms of work, where each has batches of its own."""
AWAY: Final = 30.0
"""Seconds for which a listener waits for a store that is away, before it is sent to another replica."""
_AGAIN: Final = 1.0
"""Seconds between two tries meanwhile."""


class Told(msgspec.Struct, frozen=True):
    """What a listener gets. Without an entry it is a sign of life, whose cursor is as good to go on from."""

    cursor: Cursor
    entry: Entry | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """What is told together, one or more; the same object for all for whom it is the same."""

    told: tuple[Told, ...]


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
        self._queue: deque[Batch] = deque()
        self._woken = asyncio.Event()
        self.waiting = 0
        """Entries in its queue."""
        self.ended = ended
        self.room = room
        self.follows = False
        """Whether it takes from the tail; before that it reads for itself."""
        self.waited = 0.0
        """Seconds for which the tail has waited for it, since it had taken everything."""

    def put(self, batch: Batch) -> None:
        """Without waking it."""
        self._queue.append(batch)
        self.waiting += len(batch.told)

    def wake(self) -> None:
        self._woken.set()

    async def take(self) -> Batch:
        while not self._queue:
            self.waited = 0.0
            self._woken.clear()
            await self._woken.wait()
        batch = self._queue.popleft()
        self.waiting -= len(batch.told)
        return batch


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

    async def listen(self, cursor: Cursor, room: str | None, ended: Ended) -> AsyncGenerator[Batch]:
        """What comes after the cursor, of one room or of all, without end. Raises Lost.

        `ended` is told when there will be nothing more; whoever listens has to stop then.
        """
        with self._listening(room, ended) as listener:
            while True:
                page = await self._next(cursor, ended)
                for batch in _batches([one for one in _passed(cursor, page.entries) if _is_for(room, one)]):
                    yield batch
                    await asyncio.sleep(0)  # it may be a lot that was missed: others are let in between
                cursor = page.cursor
                if await self._reached(page):
                    break
            had = cursor.beyond(self._at or cursor)
            listener.follows, level = True, False
            while True:
                try:
                    async with asyncio.timeout(self._quiet):
                        batch = await listener.take()
                except TimeoutError:
                    if self._at and not listener.waiting:
                        cursor = cursor.joined(self._at)
                    yield Batch((Told(cursor),))
                    continue
                last = batch.told[-1].cursor
                if not level:
                    whole, batch = batch, _new(batch, cursor, had)
                    level = batch is whole
                cursor = cursor.joined(last)
                if batch.told:
                    yield batch

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
                self._hand_out(_passed(self._at, page.entries))
                self._at = page.cursor
                await self._wake()
                if page.whole:
                    await self._clock.sleep(POLL)
        finally:
            # Whoever listens still would wait for nothing.
            self._end_all("lost")
            self._at = None
            self._tailing = False

    def _hand_out(self, told: list[Told]) -> None:
        """At once, so that who comes meanwhile gets neither less nor anything twice."""
        by_room: dict[str | None, list[Told]] = {None: told}
        for one in told:
            for room in one.entry.rooms if one.entry else ():
                by_room.setdefault(room, []).append(one)
        batches = {room: _batches(those) for room, those in by_room.items()}
        for listener in self._listeners:
            if listener.follows:
                for batch in batches.get(listener.room, ()):
                    listener.put(batch)

    async def _wake(self) -> None:
        """Those for whom something is waiting, a few in each round of the event loop."""
        waiting = [one for one in self._listeners if one.waiting]
        for begin in range(0, len(waiting), WOKEN):
            for one in waiting[begin : begin + WOKEN]:
                one.wake()
            await asyncio.sleep(0)

    async def _waits(self) -> bool:
        """Whether there are listeners who are given a moment; one who has had too many is ended."""
        behind = [one for one in self._listeners if one.waiting > self._queued]
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


def _passed(cursor: Cursor, entries: Sequence[Entry]) -> list[Told]:
    """Each with the place after it, for who was at this one before."""
    told = []
    for entry in entries:
        cursor = cursor.passed(entry.partition, entry.position)
        told.append(Told(cursor, entry))
    return told


def _new(batch: Batch, cursor: Cursor, had: Sequence[Position]) -> Batch:
    """What of it is new to who is further than the tail in some streams; the same where all of it is."""
    new = []
    for one in batch.told:
        cursor = cursor.joined(one.cursor)
        if one.entry and one.entry.position > had[one.entry.partition]:
            new.append(Told(cursor, one.entry))
    same = len(new) == len(batch.told) and new[0].cursor.positions == batch.told[0].cursor.positions
    return batch if same else Batch(tuple(new))


def _batches(told: Sequence[Told]) -> list[Batch]:
    return [Batch(tuple(told[begin : begin + TOGETHER])) for begin in range(0, len(told), TOGETHER)]


def _is_for(room: str | None, told: Told) -> bool:
    return room is None or (told.entry is not None and room in told.entry.rooms)
