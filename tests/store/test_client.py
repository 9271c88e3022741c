"""Many runs of one script in one round trip."""

import pytest
from redis.asyncio import Redis

from service.store.errors import StoreUnavailable
from service.store.redis.client import Client
from service.store.redis.scripts import Script

GET = Script("get")


async def trips(redis: Redis) -> int:
    """How often the server has read from its clients."""
    return int((await redis.info("stats"))["total_reads_processed"])


async def test_each_has_its_own_answer(client: Client, redis: Redis) -> None:
    await redis.mset({"a": "1", "b": "2"})
    assert await client.run_many(GET, [({"value": key}, {}) for key in ("a", "none", "b")]) == [
        b"1",
        None,
        b"2",
    ]
    assert await client.run_many(GET, []) == []


async def test_all_of_them_take_one_trip(client: Client, redis: Redis) -> None:
    await client.run(GET, {"value": "a"}, {})
    await trips(redis)
    before = await trips(redis)
    await client.run_many(GET, [({"value": str(n)}, {}) for n in range(20)])
    assert await trips(redis) - before == 2, "its own, and the question itself"


async def test_a_server_that_does_not_know_the_script_is_told_it(client: Client, redis: Redis) -> None:
    await redis.mset({"a": "1", "b": "2"})
    await redis.script_flush()
    assert await client.run_many(GET, [({"value": key}, {}) for key in ("a", "b")]) == [b"1", b"2"]
    assert await redis.script_exists(GET.sha) == [True]


async def test_an_error_of_one_is_an_error_of_all(client: Client, redis: Redis) -> None:
    await redis.set("a", "1")
    await redis.hset("h", "field", "1")
    with pytest.raises(StoreUnavailable, match="get"):
        await client.run_many(GET, [({"value": key}, {}) for key in ("a", "h", "a")])
    assert await client.run(GET, {"value": "a"}, {}) == b"1", "the connection is still in step"


async def test_names_are_checked(client: Client) -> None:
    with pytest.raises(TypeError, match="get takes keys"):
        await client.run_many(GET, [({"key": "a"}, {})])


async def test_a_store_that_is_not_there() -> None:
    client = Client("unix:///nonexistent/socket")
    with pytest.raises(StoreUnavailable, match="get"):
        await client.run_many(GET, [({"value": "a"}, {})])
    await client.close()
