"""The client on a cluster and behind Sentinels: found, moved, failed over, and healed by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.crc import key_slot

from service.store.clock import StoreClock
from service.store.errors import StoreUnavailable
from service.store.redis.client import Client
from service.store.redis.scripts import Script
from service.store.replicas import ReplicaReport, Replicas
from tests.proxy import proxy_to
from tests.store_servers import HOST, LEFT_BEHIND, OPTIONS, ClusterGroup, RedisServer, SentinelGroup, running
from tests.waiting import wait_until

pytestmark = LEFT_BEHIND

GET = Script("get")
NAME = Script("call_name")
UNCONFIRMED = "0 of 1 replicas have confirmed"
KEYS = [f"pstn:{{p{n:02}}}:alias:x" for n in range(16)]


@asynccontextmanager
async def client_of(url: str, replicas: int = 0) -> AsyncIterator[Client]:
    client = Client(url, replicas=replicas)
    try:
        yield client
    finally:
        await client.close()


async def write(client: Client, key: str, value: str) -> None:
    await client.run(NAME, {"alias": key}, {"ref": value, "ttl": 60_000})


async def read(client: Client, keys: list[str]) -> list[bytes]:
    return await client.run_many(GET, [({"value": key}, {}) for key in keys])


async def healed(client: Client) -> None:
    """Every key can be written again, with as many replicas as are asked for."""

    async def works() -> bool:
        try:
            for key in KEYS:
                await write(client, key, "healed")
            await client.ping()
        except StoreUnavailable:
            return False
        return True

    await wait_until(works, seconds=45, what="the client never recovered")


async def connected(server: RedisServer) -> int:
    """How many connections of ours it has."""
    return sum(one["name"] == "pstn-bridge" for one in await server.redis.client_list())


class Writer:
    """Writes what it counts, on and on, and remembers what was acknowledged last."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.acknowledged = dict.fromkeys(KEYS, 0)
        self.refused = 0
        self._over = False

    async def on(self, key: str) -> None:
        count = 0
        while not self._over:
            count += 1
            try:
                await write(self._client, key, str(count))
            except StoreUnavailable:
                self.refused += 1
                # What was not acknowledged may have been written all the same.
                continue
            self.acknowledged[key] = count

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Ends when every key has been written once more after what was done meanwhile."""
        async with asyncio.TaskGroup() as group:
            for key in KEYS:
                group.create_task(self.on(key))
            try:
                yield
                before = dict(self.acknowledged)
                await wait_until(
                    lambda: all(self.acknowledged[key] > before[key] for key in KEYS),
                    seconds=20,
                    what=lambda: f"writes stand still: {before} {self.acknowledged}",
                )
            finally:
                # Not cancelled: before Python 3.12 asyncio.wait_for, in the client library, may swallow that.
                self._over = True

    async def lost(self) -> dict[str, tuple[int, bytes]]:
        found = await read(self._client, KEYS)
        return {
            key: (self.acknowledged[key], value)
            for key, value in zip(KEYS, found, strict=True)
            if int(value or 0) < self.acknowledged[key]
        }


async def test_a_cluster_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    async with running(ClusterGroup(tmp_path)) as cluster, client_of(cluster.url, replicas=1) as client:
        writer = Writer(client)
        async with writer.at_work():
            await cluster.fail_over(KEYS[0])
            await cluster.migrate(KEYS[1])
        assert not await writer.lost()
        await healed(client)


async def test_a_planned_failover_in_a_cluster_takes_reads_and_writes_along(tmp_path: Path) -> None:
    """The old master sends readers away too, since none of our connections asks for a replica."""
    async with running(ClusterGroup(tmp_path)) as cluster, client_of(cluster.url) as client:
        writer = Writer(client)
        async with writer.at_work():
            old = await cluster.switch(KEYS[0])
            before = dict(writer.acknowledged)
            found = await read(client, KEYS)
            assert all(int(value or 0) >= before[key] for key, value in zip(KEYS, found, strict=True))
        assert not await writer.lost()
        assert await old.stat("replication", "role") == "slave"
        await old.asked("CONFIG", "RESETSTAT")
        await read(client, KEYS)
        assert "cmdstat_evalsha_ro" not in await old.redis.info("commandstats"), "it is not read from"


async def test_sentinels_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    async with running(SentinelGroup(tmp_path)) as store, client_of(store.url, replicas=1) as client:
        writer = Writer(client)
        async with writer.at_work():
            await store.fail_over()
        assert not await writer.lost()
        await healed(client)


async def test_a_fresh_client_may_be_used_by_many_at_once(tmp_path: Path) -> None:
    async with running(ClusterGroup(tmp_path)) as cluster, client_of(cluster.url) as client:
        await asyncio.gather(*(write(client, key, key) for key in KEYS))
        assert await read(client, KEYS) == [key.encode() for key in KEYS]
        found = [await one.redis.info("commandstats") for one in cluster.servers]
        asked = [one["cmdstat_cluster|slots"]["calls"] for one in found if "cmdstat_cluster|slots" in one]
        assert asked == [1], "where the slots are is asked once"
        clock = StoreClock(client)
        await clock.start()
        replicas = Replicas(client, clock)
        for id_ in ("a", "b"):
            await replicas.write(ReplicaReport(id=id_, at=1))
        await replicas.drop("a")
        assert [one.id for one in await replicas.read()] == ["b"], (
            "they lie in one slot, and the time with them"
        )


async def test_more_at_once_than_there_are_connections(client: Client) -> None:
    await asyncio.gather(*(write(client, KEYS[0], "1") for _ in range(150)))


async def test_a_master_that_does_not_come_back(tmp_path: Path) -> None:
    async with running(ClusterGroup(tmp_path)) as cluster, client_of(cluster.url) as client:
        await write(client, KEYS[0], "1")
        await cluster.fail_over(KEYS[0], back=False)
        await healed(client)


async def test_a_cluster_that_was_away_altogether(tmp_path: Path) -> None:
    async with running(ClusterGroup(tmp_path)) as cluster, client_of(cluster.url) as client:
        await write(client, KEYS[0], "1")
        for server in cluster.servers:
            server.kill()
        with pytest.raises(StoreUnavailable):
            await write(client, KEYS[0], "2")
        for server in cluster.servers:
            await server.start()
        await healed(client)


async def test_a_cluster_that_is_another_one_by_now(tmp_path: Path) -> None:
    """Nobody whom the client has got to know is left; the address it was given leads to others."""
    cluster, other = ClusterGroup(tmp_path), ClusterGroup(tmp_path)
    async with (
        running(cluster),
        proxy_to(cluster.servers[0].port) as proxy,
        client_of(proxy.url.replace("redis", "redis+cluster", 1)) as client,
    ):
        await write(client, KEYS[0], "1")
        await cluster.stop()
        async with running(other):
            proxy.port = other.servers[0].port
            await healed(client)


async def test_connections_to_a_node_that_was_restarted_fail_nobody(tmp_path: Path) -> None:
    async with running(ClusterGroup(tmp_path)) as cluster, client_of(cluster.url) as client:
        master = await cluster.master_of(KEYS[0])
        await asyncio.gather(*(write(client, KEYS[0], "1") for _ in range(50)))
        assert int(await master.stat("clients", "connected_clients")) > 20
        master.kill()
        await master.start()
        await cluster.whole_again()
        assert await cluster.master_of(KEYS[0]) is master
        await write(client, KEYS[0], "2")


async def test_a_slot_that_is_moved_key_by_key(tmp_path: Path) -> None:
    """What is not there any more is asked for where it goes to; nothing is written on both sides."""
    async with running(ClusterGroup(tmp_path)) as cluster, client_of(cluster.url, replicas=1) as client:
        here, there = KEYS[0], KEYS[0] + "-new"
        await write(client, here, "1")
        source = await cluster.master_of(here)
        await source.redis.delete("{p00}:confirmed")
        target = next(one for one in cluster.servers[::2] if one is not source)
        slot = key_slot(here.encode())
        await target.asked("CLUSTER", "SETSLOT", slot, "IMPORTING", await cluster.id_of(source))
        await source.asked("CLUSTER", "SETSLOT", slot, "MIGRATING", await cluster.id_of(target))

        await write(client, there, "2")
        assert await client.run(GET, {"value": there}, {}) == b"2"
        with pytest.raises(StoreUnavailable, match="TryAgain"):
            await write(client, here, "3")
        assert await target.asked("CLUSTER", "COUNTKEYSINSLOT", slot) == 2, "the new one, and the mark"

        await source.asked("MIGRATE", HOST, target.port, here, 0, 5000, "REPLACE")
        for server in (target, source):
            await server.asked("CLUSTER", "SETSLOT", slot, "NODE", await cluster.id_of(target))
        await healed(client)


async def test_a_master_that_takes_no_more_writes_is_not_read_from_either(tmp_path: Path) -> None:
    """The name leads to another by now; who reads hears nothing of that."""
    old, new = RedisServer(tmp_path, *OPTIONS), RedisServer(tmp_path, *OPTIONS)
    async with (
        running(old),
        running(new),
        proxy_to(old.port) as proxy,
        client_of(proxy.url, replicas=1) as client,
    ):
        await new.asked("REPLICAOF", HOST, old.port)
        await healed(client)
        await read(client, KEYS)
        proxy.port = new.port
        await new.asked("REPLICAOF", "NO", "ONE")
        await old.asked("REPLICAOF", HOST, new.port)
        assert await connected(old) > 1, "to read and to write"
        await healed(client)
        assert await connected(old) == 0


async def test_a_write_that_no_replica_confirms_does_not_count(tmp_path: Path) -> None:
    replica = RedisServer(tmp_path, *OPTIONS)
    async with running(RedisServer(tmp_path, *OPTIONS)) as master, running(replica):
        await replica.asked("REPLICAOF", HOST, master.port)
        async with client_of(master.url, replicas=1) as client, client_of(master.url, replicas=1) as other:
            await healed(client)
            with replica.dump():
                with pytest.raises(StoreUnavailable, match=UNCONFIRMED):
                    await write(client, KEYS[0], "1")
                # Another connection, and nothing to be written any more: it is no more confirmed than before.
                free = {"pin": "pstn:{p00}:pin:0000"}
                with pytest.raises(StoreUnavailable, match=UNCONFIRMED):
                    await other.run(Script("pin_release"), free, {"name": "none", "now": 0})
                assert await client.run(GET, {"value": KEYS[0]}, {}) == b"1", "reading waits for nobody"
            await healed(client)
            await healed(other)


async def test_a_master_without_replicas_is_not_ready_where_they_are_asked_for(tmp_path: Path) -> None:
    async with running(RedisServer(tmp_path, *OPTIONS)) as server:
        async with client_of(server.url, replicas=1) as client:
            with pytest.raises(StoreUnavailable, match=UNCONFIRMED):
                await client.ping()
        async with client_of(server.url) as client:
            await client.ping()
