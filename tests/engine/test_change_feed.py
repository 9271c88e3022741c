"""The tail of live news: one for all listeners, while there are any, and nothing lost on the way."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from service.clock import SystemClock
from service.engine.change_feed import (
    BATCH_SIZE,
    POLL,
    WAKE_BATCH_SIZE,
    CloseSignal,
    CursorExpired,
    FeedBatch,
    FeedItem,
    FeedReader,
)
from service.store import keys
from service.store.change_feed import PAGE, ChangeFeed, Cursor, FeedPage
from service.store.redis.client import Client
from service.tasks import Tasks
from tests.store_servers import OPTIONS, RedisServer, running
from tests.waiting import wait_until


class FeedParts:
    def __init__(self, url: str, **settings: Any) -> None:
        self.client = Client(url)
        self.tasks = Tasks()
        self.live = FeedReader(
            ChangeFeed(self.client), SystemClock(), self.tasks, **{"heartbeat_interval": 60, **settings}
        )

    @asynccontextmanager
    async def listener(self, cursor: Cursor, room: str | None = None) -> AsyncIterator["FeedListener"]:
        ear = FeedListener()
        hearing = self.tasks.start(ear.listen(self.live, cursor, room), name="hear")
        try:
            yield ear
        finally:
            hearing.cancel()
            await asyncio.wait({hearing})


class FeedListener:
    def __init__(self) -> None:
        self.ended = CloseSignal()
        self.heard: list[FeedItem] = []
        self.batches: list[FeedBatch] = []
        self.lost = False

    async def listen(self, live: FeedReader, cursor: Cursor, room: str | None) -> None:
        try:
            async with aclosing(live.listen(cursor, room, self.ended)) as news:
                async for batch in news:
                    self.batches.append(batch)
                    self.heard.extend(batch.items)
        except CursorExpired:
            self.lost = True

    async def follows(self) -> None:
        """Until it takes from the tail: nobody else gets signs of life."""
        await wait_until(lambda: any(told.entry is None for told in self.heard))

    @property
    def event_data(self) -> list[int]:
        return [msgspec.json.decode(told.entry.data)["word"] for told in self.heard if told.entry]


@pytest.fixture
async def parts(store_url: str) -> AsyncIterator[FeedParts]:
    parts = FeedParts(store_url)
    yield parts
    await wait_until(lambda: not len(parts.tasks), what="the tail goes on although nobody listens")
    await parts.client.close()


@pytest.fixture
async def lively(store_url: str) -> AsyncIterator[FeedParts]:
    """With signs of life."""
    parts = FeedParts(store_url, heartbeat_interval=0.1)
    yield parts
    await wait_until(lambda: not len(parts.tasks), what="the tail goes on although nobody listens")
    await parts.client.close()


async def say(redis: Redis, *words: int, room: str = "lobby") -> None:
    """A room's news, each word in a partition of its own."""
    async with redis.pipeline(transaction=False) as pipe:
        for word in words:
            fields: dict[Any, Any] = {"kind": "room", "at": 1, "rooms": room, "data": f'{{"word": {word}}}'}
            pipe.xadd(keys.news(word % 16), fields)
        await pipe.execute()


STRANGE: tuple[dict[Any, Any], ...] = (
    {"nothing": 1},
    {"kind": "room", "at": "x", "rooms": "lobby", "data": "{}"},
    {"kind": "room", "at": 1, "rooms": "lobby", "data": "{"},
    {"kind": "room", "at": 1, "rooms": "lobby", "data": "[1]"},
    {"kind": b"\xff", "at": 1, "rooms": b"\xff", "data": "{}"},
    {"kind": "room", "at": "9" * 40, "rooms": "lobby", "data": "{}"},
)


@pytest.mark.parametrize("strange", STRANGE)
async def test_what_cannot_be_read_is_passed_over(
    parts: FeedParts, redis: Redis, strange: dict[Any, Any]
) -> None:
    """By who comes and by the tail: otherwise nobody would hear anything until it has expired."""
    beginning = await parts.live.latest_cursor()
    await redis.xadd(keys.news(1), strange)
    await say(redis, 1, 2)
    async with parts.listener(beginning) as ear:
        await wait_until(lambda: sorted(ear.event_data) == [1, 2])
        await redis.xadd(keys.news(1), strange)
        await say(redis, 3)
        await wait_until(lambda: sorted(ear.event_data) == [1, 2, 3])
        assert not ear.lost


async def test_what_was_said_before_while_and_after_somebody_comes(parts: FeedParts, redis: Redis) -> None:
    """More than a page of it, so that the listener is still catching up when the tail gets ahead."""
    beginning = await parts.live.latest_cursor()
    async with parts.listener(beginning) as first:
        count = 40 * PAGE
        await say(redis, *range(count // 2))
        await wait_until(lambda: first.heard)

        async def on() -> None:
            for word in range(count // 2, count, 50):
                await say(redis, *range(word, word + 50))
                await asyncio.sleep(0)

        talking = parts.tasks.start(on(), name="on")
        async with parts.listener(beginning) as second:
            await talking
            await wait_until(lambda: len(first.heard) >= count and len(second.heard) >= count, seconds=20)
        for ear in (first, second):
            assert sorted(ear.event_data) == list(range(count))
            for partition in range(16):
                part = [word for word in ear.event_data if word % 16 == partition]
                assert part == sorted(part)


async def test_every_cursor_is_one_to_go_on_from(parts: FeedParts, redis: Redis) -> None:
    async with parts.listener(await parts.live.latest_cursor()) as whole:
        await say(redis, *range(20))
        await wait_until(lambda: len(whole.heard) == 20)
        await say(redis, *range(20, 40))
        await wait_until(lambda: len(whole.heard) == 40)
        for place in (0, 7, 19, 20, 33, 38):
            async with parts.listener(whole.heard[place].cursor) as later:
                wanted = set(whole.event_data[place + 1 :])
                await wait_until(lambda: len(later.heard) >= len(wanted))  # noqa: B023 - awaited here
                assert set(later.event_data) == wanted
                assert len(later.event_data) == len(wanted)


async def test_a_room_hears_its_own(parts: FeedParts, redis: Redis) -> None:
    beginning = await parts.live.latest_cursor()
    async with parts.listener(beginning, "sales") as sales, parts.listener(beginning) as all_:
        await say(redis, 1, 2, room="lobby")
        await say(redis, 3, room="sales support")
        await wait_until(lambda: len(all_.event_data) == 3 and sales.event_data)
        assert sales.event_data == [3]


async def test_many_listeners_ask_the_store_no_more_than_one(lively: FeedParts, redis: Redis) -> None:
    parts, beginning = lively, await lively.live.latest_cursor()
    async with parts.listener(beginning) as first:
        await first.follows()
        one = await asked_in_a_second(redis)
        listeners = [parts.listener(beginning) for _ in range(50)]
        ears = [await listener.__aenter__() for listener in listeners]
        await say(redis, 1)
        await wait_until(lambda: all(ear.event_data for ear in ears))
        many = await asked_in_a_second(redis)
        for listener in listeners:
            await listener.__aexit__(None, None, None)
    assert 16 / POLL * 0.5 < one <= 16 / POLL * 1.3
    assert many <= 16 / POLL * 1.3
    await wait_until(lambda: not len(parts.tasks))
    assert await asked_in_a_second(redis) == 0


async def test_a_stream_that_has_expired_makes_nobody_spin(parts: FeedParts, redis: Redis) -> None:
    """The tail is where the stream was; whoever comes now begins where there is none."""
    async with parts.listener(await parts.live.latest_cursor()) as first:
        await say(redis, 3, 19)
        await wait_until(lambda: len(first.event_data) == 2)
        await redis.delete(keys.news(3))
        listeners = [parts.listener(await parts.live.latest_cursor()) for _ in range(3)]
        ears = [first, *[await listener.__aenter__() for listener in listeners]]
        assert await asked_in_a_second(redis) <= 16 / POLL * 1.3 + len(listeners) * 3 * 16
        assert await asked_in_a_second(redis) <= 16 / POLL * 1.3
        await say(redis, 35)
        await wait_until(lambda: all(ear.event_data[-1:] == [35] for ear in ears))
        assert [ear.event_data for ear in ears] == [[3, 19, 35], [35], [35], [35]]
        assert not any(ear.ended.reason or ear.lost for ear in ears)
        for listener in listeners:
            await listener.__aexit__(None, None, None)


async def test_a_place_ahead_of_a_stream_that_is_not_there_makes_nobody_spin(
    parts: FeedParts, redis: Redis
) -> None:
    latest = await parts.live.latest_cursor()
    ahead = Cursor(latest.at, ((int(latest.at * 1000) + 500_000, 0),) * len(latest.positions))
    async with parts.listener(ahead) as forged, parts.listener(latest) as other:
        assert await asked_in_a_second(redis) <= 16 / POLL * 1.3 + 2 * 3 * 16
        await say(redis, *range(16))
        await wait_until(lambda: len(other.event_data) == len(forged.event_data) == 16)


class CountingFeed(ChangeFeed):
    """Takes everybody's word for where they are, as long as nothing has been said."""

    asked: list[Cursor]

    async def read_after(self, cursor: Cursor, *, now: float) -> FeedPage | None:
        self.asked.append(cursor)
        page = await super().read_after(cursor, now=now)
        if page is None or page.entries:
            return page
        return FeedPage([], cursor, is_complete=True)


async def test_no_listener_moves_the_tail(store_url: str, redis: Redis) -> None:
    """Whatever becomes of a place that a client names: those who come after it hear what is said."""
    parts = FeedParts(store_url, heartbeat_interval=0.1)
    news = CountingFeed(parts.client)
    news.asked = []
    parts.live = FeedReader(news, SystemClock(), parts.tasks, heartbeat_interval=0.1)
    latest = await parts.live.latest_cursor()
    ahead = Cursor(latest.at, ((int(latest.at * 1000) + 500_000, 0),) * len(latest.positions))
    async with parts.listener(ahead) as first, parts.listener(latest) as other:
        await first.follows()
        await other.follows()
        news.asked.clear()
        await say(redis, *range(16))
        await wait_until(lambda: sorted(other.event_data) == list(range(16)))
        assert ahead not in news.asked, "that is where the tail is"
        assert not other.ended.reason
    await wait_until(lambda: not len(parts.tasks))
    await parts.client.close()


async def test_a_stream_that_begins_anew_on_a_clock_that_is_behind_is_heard(
    parts: FeedParts, redis: Redis
) -> None:
    async with parts.listener(await parts.live.latest_cursor()) as ear:
        await say(redis, 3)
        await wait_until(lambda: ear.event_data)
        await redis.delete(keys.news(3))
        at = int(ear.heard[-1].cursor.at * 1000) - 60_000
        await asked_in_a_second(redis)  # the tail has seen that it is gone
        fields: dict[Any, Any] = {"kind": "room", "at": 1, "rooms": "lobby", "data": '{"word": 19}'}
        await redis.xadd(keys.news(3), fields, id=f"{at}-0")
        await wait_until(lambda: ear.event_data == [3, 19])


async def test_what_all_are_told_is_put_together_once(parts: FeedParts, redis: Redis) -> None:
    """Whoever writes it down does so once for hundreds, and in one piece; what is told in a room too."""
    beginning = await parts.live.latest_cursor()
    rooms = [None, None, "lobby", "lobby", "sales"]
    async with AsyncExitStack() as stack:
        ears = [await stack.enter_async_context(parts.listener(beginning, room)) for room in rooms]
        await say(redis, *range(16))
        await say(redis, 16, room="sales")
        await wait_until(lambda: [len(ear.event_data) for ear in ears] == [17, 17, 16, 16, 1])
        await wait_until(lambda: all(one.follows_tail for one in parts.live._listeners))  # noqa: SLF001 - not told
        await say(redis, *range(20, 30))
        await wait_until(lambda: [len(ear.event_data) for ear in ears] == [27, 27, 26, 26, 1])
        one, other, room, same_room, _ = (ear.batches[-1] for ear in ears)
        assert one is other
        assert room is same_room
        assert len(one.items) == 10


async def test_a_lot_is_told_in_pieces(parts: FeedParts, redis: Redis) -> None:
    async with parts.listener(await parts.live.latest_cursor()) as ear:
        await say(redis, *range(500))
        await wait_until(lambda: len(ear.event_data) == 500)
        assert max(len(batch.items) for batch in ear.batches) == BATCH_SIZE


async def test_a_crowd_of_listeners_lets_others_in_between(lively: FeedParts, redis: Redis) -> None:
    """However many they are: what each makes of its batch takes time, and callers wait meanwhile."""
    parts, rounds, took = lively, 0, Counter[int]()

    class Busy(FeedListener):
        async def listen(self, live: FeedReader, cursor: Cursor, room: str | None) -> None:
            async with aclosing(live.listen(cursor, room, self.ended)) as news:
                async for batch in news:
                    self.heard.extend(batch.items)
                    took[rounds] += batch.items[0].entry is not None

    beginning, crowd = await parts.live.latest_cursor(), [Busy() for _ in range(20 * WAKE_BATCH_SIZE)]
    hearing = [parts.tasks.start(one.listen(parts.live, beginning, None), name="hear") for one in crowd]
    for one in crowd:
        await one.follows()
    await say(redis, 1)
    async with asyncio.timeout(10):
        while took.total() < len(crowd):
            await asyncio.sleep(0)
            rounds += 1
    # A timer and the answer of the store may come in one turn of the loop.
    assert max(took.values()) <= 2 * WAKE_BATCH_SIZE
    for task in hearing:
        task.cancel()
    await asyncio.wait(hearing)


async def asked_in_a_second(redis: Redis) -> int:
    await redis.config_resetstat()
    await asyncio.sleep(1)  # a rate takes time to measure
    stats = await redis.info("commandstats")
    return int(stats.get("cmdstat_evalsha_ro", {}).get("calls", 0))


async def test_who_does_not_keep_up_is_ended_and_others_go_on(
    store_url: str, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.engine.change_feed.SLOW_TIMEOUT", 0.2)
    parts = FeedParts(store_url, max_queued=10, heartbeat_interval=0.05)
    beginning = await parts.live.latest_cursor()
    slow = CloseSignal()
    async with (
        aclosing(parts.live.listen(beginning, None, slow)) as news,
        parts.listener(beginning) as quick,
    ):
        last = (await anext(news)).items[-1].cursor  # a sign of life, after which nothing is taken any more
        await say(redis, *range(30))
        await wait_until(lambda: len(quick.event_data) == 30)
        await wait_until(lambda: slow.reason == "slow")
        await say(redis, 30)
        await wait_until(lambda: len(quick.event_data) == 31)
        assert quick.ended.reason == ""
        async with parts.listener(last) as again:
            await wait_until(lambda: len(again.event_data) == 31)
            assert sorted(again.event_data) == list(range(31))
    await wait_until(lambda: not len(parts.tasks))
    await parts.client.close()


async def test_a_crowd_at_once_makes_nobody_slow(store_url: str, redis: Redis) -> None:
    """More than may wait comes in one page; whoever takes it in time hears all of it."""
    parts = FeedParts(store_url, max_queued=10)
    async with (
        parts.listener(await parts.live.latest_cursor()) as one,
        parts.listener(await parts.live.latest_cursor()) as two,
    ):
        await say(redis, 0)
        await wait_until(lambda: one.heard and two.heard)
        await say(redis, *range(1, 3000))
        await wait_until(lambda: len(one.heard) == len(two.heard) == 3000)
        assert not one.ended.reason
    await wait_until(lambda: not len(parts.tasks))
    await parts.client.close()


async def test_who_comes_back_too_late_is_told(parts: FeedParts, redis: Redis) -> None:
    beginning = await parts.live.latest_cursor()
    await say(redis, *[3] * 5)
    await redis.xtrim(keys.news(3), maxlen=2, approximate=False)
    async with parts.listener(beginning) as late:
        await wait_until(lambda: late.lost)


async def test_a_tail_that_was_overtaken_ends_its_listeners(lively: FeedParts, redis: Redis) -> None:
    async with lively.listener(await lively.live.latest_cursor()) as ear:
        await ear.follows()
        await say(redis, 3)
        await wait_until(lambda: ear.event_data)
        async with redis.pipeline() as pipe:  # at once: the tail must not read in between
            for _ in range(5):
                pipe.xadd(keys.news(3), {"kind": "room", "at": 1, "rooms": "lobby", "data": "{}"})
            pipe.xtrim(keys.news(3), maxlen=2, approximate=False)
            await pipe.execute()
        await wait_until(lambda: ear.ended.reason == "lost")


async def test_signs_of_life(store_url: str, redis: Redis) -> None:
    """They bring the listener on, past what was none of its business."""
    parts = FeedParts(store_url, heartbeat_interval=0.05)
    async with parts.listener(await parts.live.latest_cursor(), "sales") as ear:
        await wait_until(lambda: ear.heard)
        await say(redis, *range(16))
        end = (await parts.live.latest_cursor()).positions
        await wait_until(lambda: ear.heard and ear.heard[-1].cursor.positions == end)
        assert ear.event_data == []
    await wait_until(lambda: not len(parts.tasks))
    await parts.client.close()


@pytest.mark.parametrize("patient", [True, False])
async def test_a_store_that_goes_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, patient: bool
) -> None:
    monkeypatch.setattr("service.engine.change_feed._STORE_RETRY", 0.05)
    monkeypatch.setattr("service.engine.change_feed.STORE_AWAY_TIMEOUT", 30 if patient else 0.2)
    async with running(RedisServer(tmp_path, *OPTIONS, "--appendfsync", "always")) as server:
        parts = FeedParts(server.url)
        beginning = await parts.live.latest_cursor()
        async with parts.listener(beginning) as ear:
            await say(server.redis, 0, 1)
            await wait_until(lambda: len(ear.event_data) == 2)
            server.kill()
            async with parts.listener(beginning) as newcomer:
                if not patient:
                    await wait_until(lambda: ear.ended.reason == newcomer.ended.reason == "store")
                await server.start()
                if patient:
                    await say(server.redis, 2, 3)
                    await wait_until(lambda: len(ear.event_data) == 4 and len(newcomer.event_data) == 4)
                    assert (sorted(ear.event_data), sorted(newcomer.event_data)) == (
                        [0, 1, 2, 3],
                        [0, 1, 2, 3],
                    )
                    assert not ear.ended.reason
        await wait_until(lambda: not len(parts.tasks))
        await parts.client.close()
