"""News in the store: written with the change, once, and read from a cursor on without a gap."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from service.calls.browser import Browser
from service.calls.model import Blame, Call, Direction, Media, Outcome, Phone
from service.calls.refs import PARTITIONS, partition_of_ref, ref_of_call
from service.calls.replies import NoReply
from service.store import keys
from service.store.calls import CallCommit, Calls
from service.store.change_feed import PAGE, ChangeFeed, Cursor, FeedEntry
from service.store.redis.client import Client
from service.store.rooms import Rooms
from tests.store.seats import NOW, PARTITION, ROOM, reserve, seated
from tests.store_servers import ClusterGroup, running

REF = ref_of_call("c-1")
CALL = Call(
    ref=REF,
    call_id="c-1",
    direction=Direction.INBOUND,
    room=ROOM,
    created_at=NOW,
    phone=Phone.RINGING,
    attempt=1,
    from_number="+15550100111",
    to_number="+15550100122",
)
BEGINNING = Cursor(NOW, ((0, 0),) * PARTITIONS)
WEB = "web-abcdefghijklmnop.1"


@pytest.fixture
def news(client: Client) -> ChangeFeed:
    return ChangeFeed(client)


@pytest.fixture
def calls(repeating: Client) -> Calls:
    """Every commit is sent twice, and must leave nothing more behind the second time."""
    return Calls(repeating, ended_days=7)


async def commit(calls: Calls, revision: int, before: Call | None, call: Call, name: str = "") -> bool:
    change = CallCommit(call=call, before=before, event_key="", reply=NoReply(), timeline_entry=None)
    return await calls.commit(revision, change, now=NOW, commit_id=name or str(revision))


async def entries(news: ChangeFeed, cursor: Cursor = BEGINNING) -> list[FeedEntry]:
    page = await news.read_after(cursor, now=NOW)
    assert page is not None
    assert page.is_complete
    return page.entries


async def data(news: ChangeFeed, cursor: Cursor = BEGINNING) -> list[dict[str, Any]]:
    return [msgspec.json.decode(entry.data) for entry in await entries(news, cursor)]


async def write(redis: Redis, partition: int, count: int, *, maxlen: int | None = None) -> None:
    fields: dict[Any, Any] = {"kind": "room", "at": 1, "rooms": "lobby", "data": "{}"}
    for _ in range(count):
        await redis.xadd(keys.news(partition), fields, maxlen=maxlen, approximate=False)


# What is written ------------------------------------------------------------------------------------------


async def test_a_call_is_told_whenever_what_is_shown_of_it_changes(calls: Calls, news: ChangeFeed) -> None:
    up = replace(CALL, phone=Phone.UP, media=Media.JOINING)
    bridged = replace(up, media=Media.BRIDGED, participant_id="p-1", bridged_at=NOW)
    ended = replace(
        bridged, phone=Phone.GONE, media=Media.NONE, ended_at=NOW, outcome=Outcome(Blame.NOBODY, "completed")
    )
    await commit(calls, 0, None, CALL)
    await commit(calls, 1, CALL, up)
    await commit(calls, 2, up, replace(up, requests=3))
    await commit(calls, 3, replace(up, requests=3), bridged)
    await commit(calls, 4, bridged, ended)
    told = await data(news)
    assert [one["state"] for one in told] == ["detached", "joining", "bridged", "ended"]
    assert [one["participantId"] for one in told] == [None, None, "p-1", "p-1"]
    assert told[-1] == {
        "at": "2023-11-14T22:13:20.000Z",
        "id": REF,
        "room": ROOM,
        "state": "ended",
        "direction": "inbound",
        "from": "+1********11",
        "to": "+1********22",
        "participantId": "p-1",
        "outcome": {"blame": "nobody", "reason": "completed"},
    }


async def test_no_number_is_in_the_stream_as_a_whole(calls: Calls, redis: Redis) -> None:
    await commit(calls, 0, None, CALL)
    written = str(await redis.xrange(keys.news(partition_of_ref(REF))))
    assert "********11" in written
    assert "5550100" not in written


async def test_a_call_that_moves_is_told_in_both_rooms(calls: Calls, news: ChangeFeed) -> None:
    await commit(calls, 0, None, CALL)
    await commit(calls, 1, CALL, replace(CALL, room="sales"))
    assert [one.rooms for one in await entries(news)] == [(ROOM,), ("sales", ROOM)]


async def test_what_loses_or_is_a_tombstone_is_not_told(calls: Calls, news: ChangeFeed) -> None:
    await commit(calls, 0, None, replace(CALL, phone=Phone.GONE, attempt=0))
    assert await entries(news) == []
    await commit(calls, 1, None, CALL)
    assert not await commit(calls, 1, CALL, replace(CALL, phone=Phone.UP), "late")
    assert len(await entries(news)) == 1


async def test_members_come_and_go_once(rooms: Rooms, news: ChangeFeed) -> None:
    """The client runs every script twice."""
    await seated(rooms, f"{REF}.1", session="S")
    await reserve(rooms, "p02-other.1")
    await rooms.vacate(ROOM, "p02-other.1", now=NOW)
    await rooms.vacate(ROOM, f"{REF}.1", now=NOW)
    told = await data(news)
    common = {
        "at": "2023-11-14T22:13:20.000Z",
        "room": ROOM,
        "participantId": f"part-{REF}.1",
        "kind": "phone",
        "call": REF,
        "name": None,
    }
    assert told == [{**common, "state": "in"}, {**common, "state": "left"}]
    assert {one.kind for one in await entries(news)} == {"participant"}


async def test_who_moves_on_has_left(rooms: Rooms, news: ChangeFeed) -> None:
    await seated(rooms, f"{REF}.1", session="S")
    await rooms.vacate(ROOM, f"{REF}.1", keep_participant=True, now=NOW)
    assert [one["state"] for one in await data(news)] == ["in", "left"]


@pytest.mark.parametrize(("name", "shown"), [("Ada Löwe", "Ada Löwe"), ("", None)])
async def test_a_browser_has_a_name_and_no_call(
    rooms: Rooms, news: ChangeFeed, name: str, shown: str | None
) -> None:
    await rooms.reserve(ROOM, WEB, wait_if_empty=False, limit=20, now=NOW, browser=Browser(name=name))
    await rooms.take_seat(ROOM, WEB, participant_id="p", new_session_id="S", now=NOW)
    await rooms.vacate(ROOM, WEB, now=NOW)
    told = await data(news)
    assert [(one["kind"], one["call"], one["name"]) for one in told] == [("browser", None, shown)] * 2
    assert [one["state"] for one in told] == ["in", "left"]


async def test_closing_is_told_after_everybodys_leaving(rooms: Rooms, news: ChangeFeed) -> None:
    await seated(rooms, "a.1", session="S")
    await seated(rooms, "b.1")
    await reserve(rooms, "c.1")
    await rooms.close(ROOM, now=NOW)
    told = await entries(news)
    assert [one.kind for one in told] == ["participant"] * 4 + ["room"]
    assert msgspec.json.decode(told[-1].data) == {
        "at": "2023-11-14T22:13:20.000Z",
        "room": ROOM,
        "state": "closed",
    }
    await rooms.vacate(ROOM, "a.1", now=NOW)
    await rooms.close(ROOM, now=NOW)
    assert len(await entries(news)) == 5, "what was told is not told again"


async def test_closing_that_is_sent_again_is_answered_the_same(rooms: Rooms, news: ChangeFeed) -> None:
    """Its reply was lost: whoever asked would be told that nobody was there, and everybody is put out."""
    await seated(rooms, "a.1", session="S")
    assert await rooms.close(ROOM, now=NOW)
    told = len(await entries(news))
    assert await rooms.close(ROOM, now=NOW)
    assert len(await entries(news)) == told
    assert not await rooms.close(ROOM, now=NOW + 1), "another request finds nobody"


async def test_streams_are_trimmed_and_go_by_themselves(rooms: Rooms, redis: Redis, client: Client) -> None:
    await write(redis, PARTITION, 2500)
    await seated(Rooms(client), "a.1", session="S")
    key = keys.news(PARTITION)
    assert 2000 <= await redis.xlen(key) < 2200
    assert 3590 < await redis.ttl(key) <= 3600


# Reading --------------------------------------------------------------------------------------------------


async def test_it_goes_on_after_the_cursor(rooms: Rooms, news: ChangeFeed) -> None:
    await seated(rooms, "a.1", session="S")
    first = await news.end(now=NOW)
    assert await entries(news, first) == []
    await seated(rooms, "b.1")
    [entry] = await entries(news, first)
    assert b"part-b.1" in entry.data
    assert await entries(news, first.after_entry(entry.partition, entry.position)) == []
    assert await news.end(now=NOW) == first.after_entry(entry.partition, entry.position)


async def test_page_by_page(redis: Redis, news: ChangeFeed) -> None:
    await write(redis, 3, 2 * PAGE + 10)
    await write(redis, 9, 5)
    found: list[FeedEntry] = []
    cursor, whole = BEGINNING, False
    while not whole:
        page = await news.read_after(cursor, now=NOW)
        assert page is not None
        found += page.entries
        cursor, whole = page.cursor, page.is_complete
    assert len(found) == len({(one.partition, one.position) for one in found}) == 2 * PAGE + 15
    assert cursor == await news.end(now=NOW)


async def test_what_has_been_trimmed_is_lost(redis: Redis, news: ChangeFeed) -> None:
    await write(redis, 3, 3)
    cursor = await news.end(now=NOW)
    await write(redis, 3, 3, maxlen=4)
    assert await news.read_after(BEGINNING, now=NOW) is None
    assert len(await entries(news, cursor)) == 3
    await write(redis, 3, 1, maxlen=3)
    assert await news.read_after(cursor, now=NOW) is None
    assert await entries(news, await news.end(now=NOW)) == []


async def test_a_stream_that_has_gone_and_begins_anew(rooms: Rooms, redis: Redis, news: ChangeFeed) -> None:
    await seated(rooms, "a.1", session="S")
    cursor = await news.end(now=NOW)
    await redis.delete(keys.news(PARTITION))
    assert await entries(news, cursor) == []
    await seated(rooms, "b.1")
    [entry] = await entries(news, cursor)
    assert b"part-b.1" in entry.data


async def test_a_store_that_has_forgotten_the_last_of_it(
    rooms: Rooms, redis: Redis, news: ChangeFeed
) -> None:
    """As after a failover to a replica that did not have everything."""
    await seated(rooms, "a.1", session="S")
    ms, seq = (await news.end(now=NOW)).positions[PARTITION]
    assert await news.read_after(BEGINNING.after_entry(PARTITION, (ms + 10_000, seq)), now=NOW) is None


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.usefixtures("nothing_for_others")
async def test_on_a_cluster(tmp_path: Path) -> None:
    async with running(ClusterGroup(tmp_path)) as cluster:
        client = Client(cluster.url)
        try:
            rooms, news = Rooms(client), ChangeFeed(client)
            names = [f"room-{n}" for n in range(40)]
            assert len({keys.partition_of_room(name) for name in names}) > 10
            cursor = await news.end(now=NOW)

            async def visit(name: str) -> None:
                await rooms.reserve(name, f"{REF}.1", wait_if_empty=False, limit=20, now=NOW)
                await rooms.take_seat(name, f"{REF}.1", participant_id=name, new_session_id="S", now=NOW)

            await asyncio.gather(*map(visit, names))
            told = await data(news, cursor)
            assert {one["room"] for one in told} == set(names)
            assert len(told) == 40
        finally:
            await client.close()
