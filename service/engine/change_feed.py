"""Feeds live changes to listeners: one tail in each replica reads the store, however many listen.

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
from service.store.change_feed import ChangeFeed, Cursor, FeedEntry, FeedPage, StreamPosition
from service.store.errors import StoreError
from service.tasks import Tasks

POLL: Final = 0.25
"""Seconds between two looks at the store: people see a change at once, and it is four small trips a second,
whoever listens. Waiting in the store instead would take a connection for each partition on a cluster."""
MAX_QUEUED: Final = 1000
"""Entries that may wait for one listener, and a page more: what a busy installation makes in some seconds."""
SLOW_TIMEOUT: Final = 2.0
"""Seconds for which all others wait for a listener for whom more is waiting."""
_DRAIN_PAUSE: Final = 0.05
"""Seconds in which listeners take what they have."""
BATCH_SIZE: Final = 50
"""Entries of a batch at most: some 20 KB, what a connection takes without a wait."""
WAKE_BATCH_SIZE: Final = 8
"""Listeners who are woken at the same time: less than 5 ms of work, where each has batches of its own."""
STORE_AWAY_TIMEOUT: Final = 30.0
"""Seconds for which a listener waits for a store that is away, before it is sent to another replica."""
_STORE_RETRY: Final = 1.0
"""Seconds between two tries meanwhile."""


class FeedItem(msgspec.Struct, frozen=True):
    """What a listener gets. Without an entry it is a sign of life, whose cursor is as good to go on from."""

    cursor: Cursor
    entry: FeedEntry | None = None


@dataclass(frozen=True, eq=False)
class FeedBatch:
    """What is told together, one or more; the same object for all for whom it is the same."""

    items: tuple[FeedItem, ...]


class CursorExpired(Exception):
    """What came after a cursor cannot be said any more."""


class CloseSignal:
    """That a listener has to go, and why."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason = ""

    def close(self, reason: str) -> None:
        """The first reason counts: `slow`, `lost`, `store`, `stopping`, `crowded` or `over`."""
        self.reason = self.reason or reason
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()


class _Listener:
    def __init__(self, room: str | None, close_signal: CloseSignal) -> None:
        self._queue: deque[FeedBatch] = deque()
        self._woken = asyncio.Event()
        self.queued = 0
        """Entries in its queue."""
        self.close_signal = close_signal
        self.room = room
        self.follows_tail = False
        """Whether it takes from the tail; before that it reads for itself."""
        self.slow_for = 0.0
        """Seconds for which the tail has waited for it, since it had taken everything."""

    def put(self, batch: FeedBatch) -> None:
        """Without waking it."""
        self._queue.append(batch)
        self.queued += len(batch.items)

    def wake(self) -> None:
        self._woken.set()

    async def take(self) -> FeedBatch:
        while not self._queue:
            self.slow_for = 0.0
            self._woken.clear()
            await self._woken.wait()
        batch = self._queue.popleft()
        self.queued -= len(batch.items)
        return batch


class FeedReader:
    """`heartbeat_interval`: seconds without news until a sign of life.

    `max_queued`: entries that wait for one listener.
    """

    def __init__(
        self,
        change_feed: ChangeFeed,
        clock: Clock,
        tasks: Tasks,
        *,
        heartbeat_interval: float,
        max_queued: int = MAX_QUEUED,
    ) -> None:
        self._change_feed = change_feed
        self._clock = clock
        self._tasks = tasks
        self._heartbeat_interval = heartbeat_interval
        self._max_queued = max_queued
        self._listeners: set[_Listener] = set()
        self._tail_cursor: Cursor | None = None
        """Where the tail is; None while nobody listens, and until it has asked the store where to begin."""
        self._tail_runs = False

    async def latest_cursor(self) -> Cursor:
        """Where the news is at this moment. Raises StoreError."""
        return await self._change_feed.end(now=self._clock.now())

    async def listen(
        self, cursor: Cursor, room: str | None, close_signal: CloseSignal
    ) -> AsyncGenerator[FeedBatch]:
        """What comes after the cursor, of one room or of all, without end. Raises CursorExpired.

        `close_signal` is told when there will be nothing more; whoever listens has to stop then.
        """
        with self._registered(room, close_signal) as listener:
            while True:
                page = await self._read_page(cursor, close_signal)
                for batch in _batches(
                    [one for one in _feed_items(cursor, page.entries) if _concerns(room, one)]
                ):
                    yield batch
                    await asyncio.sleep(0)  # it may be a lot that was missed: others are let in between
                cursor = page.cursor
                if await self._is_at_tail(page):
                    break
            had = cursor.positions_beyond(self._tail_cursor or cursor)
            listener.follows_tail, level = True, False
            while True:
                try:
                    async with asyncio.timeout(self._heartbeat_interval):
                        batch = await listener.take()
                except TimeoutError:
                    if self._tail_cursor and not listener.queued:
                        cursor = cursor.merged(self._tail_cursor)
                    yield FeedBatch((FeedItem(cursor),))
                    continue
                last = batch.items[-1].cursor
                if not level:
                    whole, batch = batch, _unseen(batch, cursor, had)
                    level = batch is whole
                cursor = cursor.merged(last)
                if batch.items:
                    yield batch

    async def _is_at_tail(self, page: FeedPage) -> bool:
        """Whether the listener is where the tail is. One that has read nothing, and is not, waits a moment.

        The tail has read more just now, or has not seen yet that a stream has expired, or has not begun.
        """
        if self._tail_cursor is None:
            await self._clock.sleep(_DRAIN_PAUSE)
        elif page.is_complete and page.cursor.reaches(self._tail_cursor):
            return True
        elif not page.entries:
            await self._clock.sleep(POLL)
        return False

    async def _read_page(self, cursor: Cursor, close_signal: CloseSignal) -> FeedPage:
        """What comes after the cursor. While the store is away it is waited for."""
        began = self._clock.monotonic()
        while True:
            try:
                page = await self._change_feed.read_after(cursor, now=self._clock.now())
            except StoreError:
                if self._clock.monotonic() - began > STORE_AWAY_TIMEOUT:
                    close_signal.close("store")
                await self._clock.sleep(_STORE_RETRY)
                continue
            if page is None:
                raise CursorExpired
            return page

    @contextmanager
    def _registered(self, room: str | None, close_signal: CloseSignal) -> Iterator[_Listener]:
        listener = _Listener(room, close_signal)
        self._listeners.add(listener)
        if not self._tail_runs:
            self._tail_runs = True
            self._tasks.start(self._run_tail(), name="live")
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def _run_tail(self) -> None:
        """The tail; it ends when nobody listens any more."""
        answered = self._clock.monotonic()
        try:
            while self._listeners:
                if await self._wait_for_slow():
                    continue
                try:
                    if self._tail_cursor is None:
                        self._tail_cursor = await self.latest_cursor()
                    page = await self._change_feed.read_after(self._tail_cursor, now=self._clock.now())
                except StoreError:
                    if self._clock.monotonic() - answered > STORE_AWAY_TIMEOUT:
                        self._close_all("store")
                    await self._clock.sleep(_STORE_RETRY)
                    continue
                answered = self._clock.monotonic()
                if page is None:
                    return
                self._distribute(_feed_items(self._tail_cursor, page.entries))
                self._tail_cursor = page.cursor
                await self._wake_listeners()
                if page.is_complete:
                    await self._clock.sleep(POLL)
        finally:
            # Whoever listens still would wait for nothing.
            self._close_all("lost")
            self._tail_cursor = None
            self._tail_runs = False

    def _distribute(self, items: list[FeedItem]) -> None:
        """At once, so that who comes meanwhile gets neither less nor anything twice."""
        by_room: dict[str | None, list[FeedItem]] = {None: items}
        for one in items:
            for room in one.entry.rooms if one.entry else ():
                by_room.setdefault(room, []).append(one)
        batches = {room: _batches(those) for room, those in by_room.items()}
        for listener in self._listeners:
            if listener.follows_tail:
                for batch in batches.get(listener.room, ()):
                    listener.put(batch)

    async def _wake_listeners(self) -> None:
        """Those for whom something is waiting, a few in each round of the event loop."""
        waiting = [one for one in self._listeners if one.queued]
        for begin in range(0, len(waiting), WAKE_BATCH_SIZE):
            for one in waiting[begin : begin + WAKE_BATCH_SIZE]:
                one.wake()
            await asyncio.sleep(0)

    async def _wait_for_slow(self) -> bool:
        """Whether there are listeners who are given a moment; one who has had too many is ended."""
        behind = [one for one in self._listeners if one.queued > self._max_queued]
        for one in behind:
            one.slow_for += _DRAIN_PAUSE
            if one.slow_for > SLOW_TIMEOUT:
                self._listeners.discard(one)
                one.close_signal.close("slow")
        if behind:
            await self._clock.sleep(_DRAIN_PAUSE)
        return bool(behind)

    def _close_all(self, reason: str) -> None:
        for listener in self._listeners:
            listener.close_signal.close(reason)
        self._listeners.clear()


def _feed_items(cursor: Cursor, entries: Sequence[FeedEntry]) -> list[FeedItem]:
    """Each with the place after it, for who was at this one before."""
    items = []
    for entry in entries:
        cursor = cursor.after_entry(entry.partition, entry.position)
        items.append(FeedItem(cursor, entry))
    return items


def _unseen(batch: FeedBatch, cursor: Cursor, seen: Sequence[StreamPosition]) -> FeedBatch:
    """What of it is new to who is further than the tail in some streams; the same where all of it is."""
    new = []
    for one in batch.items:
        cursor = cursor.merged(one.cursor)
        if one.entry and one.entry.position > seen[one.entry.partition]:
            new.append(FeedItem(cursor, one.entry))
    same = len(new) == len(batch.items) and new[0].cursor.positions == batch.items[0].cursor.positions
    return batch if same else FeedBatch(tuple(new))


def _batches(items: Sequence[FeedItem]) -> list[FeedBatch]:
    return [FeedBatch(tuple(items[begin : begin + BATCH_SIZE])) for begin in range(0, len(items), BATCH_SIZE)]


def _concerns(room: str | None, item: FeedItem) -> bool:
    return room is None or (item.entry is not None and room in item.entry.rooms)
