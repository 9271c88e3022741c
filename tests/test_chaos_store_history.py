"""The history of the store that the chaos judge reads: it is what the store has after each step."""

from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.chaos.store_history import StoreState, UnknownCommand, history
from tests.store_servers import HOST, OPTIONS, RedisServer, running
from tests.stores import RestartableStore
from tests.waiting import wait_until


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[RestartableStore]:
    store = RestartableStore(tmp_path / "store")
    await store.start()
    yield store
    await store.stop()


async def test_the_history_is_what_the_store_has(store: RestartableStore) -> None:
    """Also after a kill, and of a step that was cut off nothing."""
    lua = "redis.call('HSET', KEYS[1], 'a', 1); redis.call('PEXPIRE', KEYS[1], 60000)"
    async with Redis.from_url(store.url) as redis:
        await redis.eval(lua, 1, "hash")
        await redis.zadd("zset", {"one": 1, "two": 2, "three": 3})
        await redis.zremrangebyscore("zset", "(1", "2")
        await redis.zadd("zset", {"three": 5, "four": 4}, lt=True)
        await redis.set("text", "x", px=60_000)
        await redis.set("text", "y")
        await redis.sadd("set", "a", "b")
    await store.kill()
    [part] = store.journal.glob("*.incr.aof")
    with part.open("ab") as file:
        file.write(b"*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nDEL\r\n$4\r\nhash\r\n*2\r\n$3\r\nDE")
    await store.start()
    async with Redis.from_url(store.url) as redis:
        await redis.srem("set", "a", "b")
        await redis.hset("hash", "b", "2")
    steps, now = history(store.journal), StoreState()
    for one in steps:
        now.play(one)
    assert [name for name, *_ in steps[0]] == [b"HSET", b"PEXPIREAT"]
    assert now.keys == {
        "hash": {b"a": b"1", b"b": b"2"},
        "zset": {b"one": 1.0, b"three": 3.0, b"four": 4.0},
        "text": b"y",
    }
    assert now.expires.keys() == {"hash"}


async def _is_written_anew(server: RedisServer) -> bool:
    """The server has begun its journal with what it took over, and files are not changed any more."""
    begun = int(await server.stat("persistence", "aof_rewrites"))
    return begun > 0 and await server.stat("persistence", "aof_rewrite_in_progress") == "0"


async def test_the_history_of_a_server_that_has_taken_over_a_copy(tmp_path: Path) -> None:
    """What it had before is gone; all that it was given stands in the first step."""
    async with (
        running(RedisServer(tmp_path, *OPTIONS)) as master,
        running(RedisServer(tmp_path, *OPTIONS)) as copy,
    ):
        await copy.redis.set("before", "x")
        await master.redis.hset("hash", mapping={"a": "1", "b": "2"})
        await master.redis.pexpire("hash", 60_000)
        await master.redis.zadd("zset", {"one": 1, "two": 2})
        await master.redis.set("text", "x")
        await master.redis.sadd("set", "a", "b")
        await master.redis.xadd("stream", {"a": "1"})
        await copy.asked("REPLICAOF", HOST, master.port)
        await wait_until(copy.is_in_step)
        await master.redis.set("text", "y")
        journal = copy.directory / "appendonlydir"
        await wait_until(lambda: _is_written_anew(copy))
        await wait_until(lambda: [b"SET", b"text", b"y"] in chain(*history(journal)))
        steps, now = history(journal), StoreState()
    for one in steps:
        now.play(one)
    assert [len(one) for one in steps] == [7, 1]
    assert now.keys == {
        "hash": {b"a": b"1", b"b": b"2"},
        "zset": {b"one": 1.0, b"two": 2.0},
        "text": b"y",
        "set": {b"a", b"b"},
        "stream": 1,
    }
    assert now.expires.keys() == {"hash"}


def test_a_manifest_that_is_being_written_does_not_count_yet(tmp_path: Path) -> None:
    (tmp_path / "a.1.incr.aof").write_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nx\r\n")
    for name in ("a.manifest", "temp-a.manifest"):
        (tmp_path / name).write_text("file a.1.incr.aof seq 1 type i\n")
    assert history(tmp_path) == [[[b"SET", b"k", b"x"]]]


def test_there_is_no_history_of_a_store_that_began_with_what_cannot_be_read(tmp_path: Path) -> None:
    files = [("a.1.base.rdb", "b"), ("a.0.incr.aof", "h"), ("a.1.incr.aof", "i")]
    lines = [f"file {name} seq 1 type {kind}\n" for name, kind in files]
    (tmp_path / "a.manifest").write_text("".join(lines))
    for name, _ in files:
        (tmp_path / name).write_bytes(b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n")
    assert history(tmp_path) == [[[b"DEL", b"a"]]]
    (tmp_path / "a.1.base.rdb").write_bytes(b"x" * 1000)
    assert history(tmp_path) == []
    assert history(tmp_path / "none") == []


def test_a_command_that_is_not_known_is_told() -> None:
    with pytest.raises(UnknownCommand, match="BITOP"):
        StoreState().play([[b"BITOP", b"AND", b"a", b"b"]])
