"""The connection that everybody shares: who gets what, and what becomes of all when it breaks."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeout

from service.store.link import Link
from service.tasks import Tasks

LIMIT = 0.4
"""Seconds."""


def link_to(url: str) -> Link:
    pool = ConnectionPool.from_url(
        url, socket_timeout=None, retry=Retry(NoBackoff(), 0), client_name="shared"
    )
    return Link(pool.make_connection, LIMIT)


@pytest.fixture
async def link(store_url: str) -> AsyncIterator[Link]:
    link = link_to(store_url)
    yield link
    await link.drop()


async def connections(redis: Redis) -> list[str]:
    """Those of the link, by their ids."""
    return [one["id"] for one in await redis.client_list() if one["name"] == "shared"]


async def reads(redis: Redis) -> int:
    return int((await redis.info("stats"))["total_reads_processed"])


async def test_everybody_gets_their_own_answers_over_one_connection(link: Link, redis: Redis) -> None:
    asked = [link.send([("SET", f"k{n}", n), ("GET", f"k{n}")]) for n in range(200)]
    assert await asyncio.gather(*asked) == [[b"OK", str(n).encode()] for n in range(200)]
    assert len(await connections(redis)) == 1


async def test_what_is_sent_at_once_is_one_write(link: Link, redis: Redis) -> None:
    await link.send([("PING",)])
    await reads(redis)
    before = await reads(redis)
    await asyncio.gather(*(link.send([("PING",)]) for _ in range(50)))
    assert await reads(redis) - before == 2, "its own, and the fifty"


async def test_what_the_server_refuses_is_an_answer(link: Link, redis: Redis) -> None:
    first, wrong, last = await link.send([("SET", "a", 1), ("HGET", "a", "x"), ("GET", "a")])
    assert (first, last) == (b"OK", b"1")
    assert isinstance(wrong, ResponseError)
    assert await link.send([("GET", "a")]) == [b"1"]
    assert len(await connections(redis)) == 1


async def test_who_gives_up_waiting_takes_nothing_from_the_others(link: Link, redis: Redis) -> None:
    await link.send([("SET", "a", 1)])
    held = await connections(redis)
    await redis.client_pause(200)
    impatient = Tasks().start(link.send([("GET", "none")]), name="impatient")
    patient = Tasks().start(link.send([("GET", "a")]), name="patient")
    await asyncio.sleep(0.05)
    impatient.cancel()
    assert await patient == [b"1"]
    assert impatient.cancelled()
    assert await connections(redis) == held


async def test_a_server_that_hangs_is_given_up_by_all_and_connected_to_anew(link: Link, redis: Redis) -> None:
    await link.send([("PING",)])
    held = await connections(redis)
    await redis.client_pause(int(3000 * LIMIT))
    begun = time.monotonic()
    found = await asyncio.gather(*(link.send([("GET", "a")]) for _ in range(3)), return_exceptions=True)
    assert LIMIT <= time.monotonic() - begun < 2 * LIMIT
    assert [type(one) for one in found] == [RedisTimeout] * 3
    assert len({id(one) for one in found}) == 3, "one for each: tracebacks are written into them"
    await redis.client_unpause()
    assert await link.send([("PING",)]) == [b"PONG"]
    assert await connections(redis) != held


async def test_a_connection_that_the_server_has_closed_is_not_used_again(link: Link, redis: Redis) -> None:
    await link.send([("PING",)])
    (held,) = await connections(redis)
    await redis.client_kill_filter(_id=held)
    await asyncio.sleep(0.1)
    assert await link.send([("PING",)]) == [b"PONG"], "without an error"
    assert await connections(redis) != [held]


async def test_who_waits_learns_that_the_connection_is_gone(link: Link, redis: Redis) -> None:
    await link.send([("PING",)])
    (held,) = await connections(redis)
    waiting = [Tasks().start(link.send([("BLPOP", "none", 1)]), name="waiting") for _ in range(2)]
    await asyncio.sleep(0.05)
    await redis.client_kill_filter(_id=held)
    for one in waiting:
        with pytest.raises(RedisConnectionError):
            await one


async def test_they_connect_together(store_url: str, redis: Redis) -> None:
    link = link_to(store_url)
    await asyncio.gather(*(link.send([("PING",)]) for _ in range(20)))
    assert len(await connections(redis)) == 1
    await link.drop()
    await asyncio.sleep(0.05)
    assert await connections(redis) == []


async def test_a_server_that_is_not_there() -> None:
    with pytest.raises(RedisConnectionError):
        await link_to("redis://127.0.0.1:1").send([("PING",)])


async def test_a_server_that_takes_the_connection_and_says_nothing() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100):
            pass
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        begun = time.monotonic()
        with pytest.raises(RedisTimeout):
            await link_to(f"redis://127.0.0.1:{port}").send([("PING",)])
        assert time.monotonic() - begun < 2 * LIMIT
        await asyncio.sleep(0.05)


async def test_all_who_wait_for_it_have_the_outcome_of_one_attempt() -> None:
    attempts = 0

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        while await reader.read(100):
            pass
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    link = link_to(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    begun = time.monotonic()
    impatient = Tasks().start(link.send([("PING",)]), name="impatient")
    asyncio.get_running_loop().call_later(LIMIT / 4, impatient.cancel)
    found = await asyncio.gather(*(link.send([("PING",)]) for _ in range(20)), return_exceptions=True)
    assert attempts == 1
    assert time.monotonic() - begun < 10 * LIMIT, "not one after the other"
    assert {type(one) for one in found} == {RedisTimeout}
    assert len({id(one) for one in found}) == 20, "one for each: tracebacks are written into them"
    await asyncio.sleep(0.05)
    server.close()
