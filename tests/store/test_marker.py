"""The marker of each partition: what it takes for lost, and what not."""

from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from service.calls.refs import PARTITIONS
from service.clock import SystemClock
from service.store import keys
from service.store.health import EvictedKeys, EvictionCounter
from service.store.marker import DataLoss, Markers
from service.store.redis.client import Client
from service.store.redis.scripts import Script
from tests.store_servers import OPTIONS, RedisServer, running

NOTHING: Final = DataLoss(0, 0)
ALL: Final = DataLoss(PARTITIONS, 0)


@pytest.fixture
def markers(repeating: Client) -> Markers:
    return Markers(repeating, SystemClock(), every=0)


async def goes_back(redis: Redis, seconds: float, partition: int = 3) -> None:
    """As a file of so long ago has it."""
    held: Any = await redis.get(keys.marker(partition))
    id_, at = held.split()
    await redis.set(keys.marker(partition), b"%s %d" % (id_, int(at) - int(seconds * 1000)))


async def test_it_is_put_where_there_is_none_and_found_from_then_on(client: Client) -> None:
    one, other = Markers(client, SystemClock(), every=0), Markers(client, SystemClock(), every=0)
    assert await one.check("a") == (NOTHING, PARTITIONS)
    assert await other.check("b") == (NOTHING, 0)
    for _ in range(3):
        assert await one.check("c") == (NOTHING, 0)


async def test_it_goes_by_itself_when_nobody_looks_any_more(markers: Markers, redis: Redis) -> None:
    await markers.check("a")
    assert 29 * 86_400 < await redis.ttl(keys.marker(0)) <= 30 * 86_400


async def test_a_store_that_was_emptied(client: Client, redis: Redis) -> None:
    """Each process finds out, whoever puts the marker back, and once."""
    one, other = Markers(client, SystemClock(), every=0), Markers(client, SystemClock(), every=0)
    await one.check("a")
    await other.check("b")
    await redis.flushall()
    assert await one.check("c") == (ALL, 0)
    assert await other.check("d") == (ALL, 0)
    assert await one.check("e") == await other.check("f") == (NOTHING, 0)


async def test_a_part_of_it(markers: Markers, redis: Redis) -> None:
    await markers.check("a")
    await redis.delete(keys.marker(5))
    assert await markers.check("b") == (DataLoss(1, 0), 0)


async def test_an_older_file(client: Client, redis: Redis) -> None:
    markers = Markers(client, SystemClock(), every=0)
    await markers.check("a")
    await goes_back(redis, 300)
    lost, _ = await markers.check("b")
    assert lost.lost_partitions == 0
    assert lost.rolled_back_seconds == pytest.approx(300, abs=5)
    assert await markers.check("c") == (NOTHING, 0)


async def test_what_a_failover_may_lose_is_not_told_again(client: Client, redis: Redis) -> None:
    markers = Markers(client, SystemClock(), every=0)
    await markers.check("a")
    await goes_back(redis, 25)
    assert await markers.check("b") == (NOTHING, 0)


async def test_the_servers_own_clock_may_be_anywhere(client: Client, redis: Redis) -> None:
    """What it says would have an older file look newer once it has been ahead."""
    script = Script("marker")
    assert "TIME" not in script.source
    markers = Markers(client, SystemClock(), every=0)
    await markers.check("a")
    held: Any = await redis.get(keys.marker(0))
    assert abs(int(held.split()[1]) / 1000 - SystemClock().now()) < 5


async def test_it_is_written_when_it_is_time(client: Client, redis: Redis) -> None:
    markers = Markers(client, SystemClock(), every=60)
    await markers.check("a")
    before = await redis.get(keys.marker(1))
    await markers.check("b")
    assert await redis.get(keys.marker(1)) == before


async def test_evictions_are_counted_from_the_first_look(client: Client, redis: Redis) -> None:
    evictions = EvictionCounter(client)
    assert await evictions.read() == EvictedKeys(0, 0)
    used = int((await redis.info("memory"))["used_memory"])
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    await redis.config_set("maxmemory", used + 200_000)
    try:
        for n in range(100):
            await redis.set(f"k{n}", b"x" * 10_000)
    finally:
        await redis.config_set("maxmemory", 0)
        await redis.config_set("maxmemory-policy", "noeviction")
    found = await evictions.read()
    assert found is not None
    assert found.total == found.new > 10
    assert await evictions.read() == EvictedKeys(found.total, 0)
    assert await EvictionCounter(client).read() == EvictedKeys(found.total, 0), (
        "of long ago, as far as anybody knows"
    )
    await redis.config_resetstat()
    assert await evictions.read() == EvictedKeys(0, 0)


async def test_who_may_not_ask_does_so_once(tmp_path: Path) -> None:
    async with running(RedisServer(tmp_path, *OPTIONS)) as server:
        await server.asked("ACL", "SETUSER", "narrow", "on", ">pw", "~*", "+@all", "-info")
        client = Client(server.url.replace("//", "//narrow:pw@"))
        evictions = EvictionCounter(client)
        assert await evictions.read() is None
        await server.asked("ACL", "SETUSER", "narrow", "+info")
        assert await evictions.read() is None
        await client.close()
