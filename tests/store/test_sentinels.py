"""Behind Sentinels: whoever is named master is read from and written to, and nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from service.store.errors import StoreUnavailable
from service.store.redis.client import Client
from service.store.redis.sentinels import Sentinels as OurSentinels
from tests.store.test_backends import KEYS, Writer, client_of, connected, healed, read, write
from tests.store_servers import HOST, LEFT_BEHIND, SERVICE, SentinelGroup, running
from tests.waiting import wait_until

pytestmark = LEFT_BEHIND

LISTENERS = "store.sentinel"


def listening() -> int:
    return sum(task.get_name() == LISTENERS for task in asyncio.all_tasks())


async def heard_everywhere(store: SentinelGroup) -> bool:
    clients = [await one.redis.client_list() for one in store.sentinels]
    return all(any(one["sub"] == "2" for one in those) for those in clients)


class WriteLog:
    """Writes a page after the other, none twice: what is lost stays lost."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.acknowledged: list[str] = []
        self.refused = 0
        self._over = False

    async def _keep(self, partition: int) -> None:
        number = 0
        while not self._over:
            number += 1
            key = f"pstn:{{p{partition:02}}}:alias:{number}"
            try:
                await write(self._client, key, "written")
            except StoreUnavailable:
                self.refused += 1
            else:
                self.acknowledged.append(key)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            for partition in range(4):
                group.create_task(self._keep(partition))
            try:
                yield
            finally:
                self._over = True

    async def lost(self) -> list[str]:
        lost = []
        for first in range(0, len(self.acknowledged), 1000):
            some = self.acknowledged[first : first + 1000]
            found = await read(self._client, some)
            lost += [key for key, value in zip(some, found, strict=True) if value != b"written"]
        return lost


@pytest.mark.parametrize("replicas", [0, 1])
async def test_a_planned_failover_takes_reads_and_writes_along(tmp_path: Path, replicas: int) -> None:
    """The old master takes writes for ten seconds more: who sent it any would have lost them."""
    async with running(SentinelGroup(tmp_path)) as store, client_of(store.url, replicas) as client:
        old = await store.master()
        await write(client, KEYS[0], "0")
        await wait_until(lambda: heard_everywhere(store))
        diary = WriteLog(client)
        with capture_logs() as logs:
            async with diary.kept():
                await store.switch()
                assert await connected(old) == 0
                assert await old.stat("replication", "role") == "master", "the test was too slow"
                assert await read(client, diary.acknowledged[-1:]) == [b"written"]
        assert not await diary.lost()
        assert await connected(await store.master()) > 0
        stages = [line["stage"] for line in logs if line["event"] == "store.master_changed"]
        assert stages == ["announced", "named"], "once each, whoever else says so"


async def test_where_no_sentinel_may_be_listened_to_they_are_asked(tmp_path: Path) -> None:
    """As where their user lacks the command: nothing but what breaks tells of another master."""
    async with running(SentinelGroup(tmp_path)) as store:
        for sentinel in store.sentinels:
            await sentinel.asked("ACL", "SETUSER", "default", "-subscribe")
        with capture_logs() as logs:
            async with client_of(store.url, 1) as client:
                old = await store.master()
                writer = Writer(client)
                async with writer.at_work():
                    await asyncio.sleep(2.5)  # for more than one try
                    await store.switch("COORDINATED")
                assert await connected(old) == 0
                assert not await writer.lost()
        unheard = [line["sentinel"] for line in logs if line["event"] == "sentinel.not_heard"]
        assert sorted(unheard) == sorted(f"127.0.0.1:{one.port}" for one in store.sentinels), "once each"


async def test_who_comes_after_a_planned_failover_is_told_of_the_new_master(tmp_path: Path) -> None:
    """Also by the Sentinel that has led it, which has the old one in its list for ten seconds longer."""
    async with running(SentinelGroup(tmp_path)) as store:
        old = await store.master()
        await store.switch()
        for other in store.sentinels[1:]:
            other.kill()
        async with client_of(store.url) as client:
            await write(client, KEYS[0], "0")
            assert await old.stat("replication", "role") == "master", "the test was too slow"
            assert await connected(old) == 0
            assert await read(client, [KEYS[0]]) == [b"0"]


async def test_a_sentinel_that_comes_back_is_heard_again(tmp_path: Path) -> None:
    async with running(SentinelGroup(tmp_path)) as store:
        async with client_of(store.url) as client:
            away = store.sentinels[0]
            await client.ping()
            assert listening() == 3
            away.kill()
            await store.switch(by=1)
            await away.start()
            await wait_until(lambda: heard_everywhere(store))
            await healed(client)
        assert listening() == 0


class Named(Redis):
    """A Sentinel that names a master, or is away."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False

    async def sentinel_get_master_addr_by_name(
        self,
        service_name: str,
        return_responses: bool = True,  # noqa: FBT002 - the library's
    ) -> Any:
        await asyncio.sleep(0)
        if self.away:
            raise RedisConnectionError("away")
        return (HOST.encode(), 1) if service_name == SERVICE else None


async def test_no_sentinel_is_forgotten_where_several_ask_at_once() -> None:
    """As at every start: the connection asks, and who listens to each of them does."""
    asking = OurSentinels([], SERVICE, {})
    first, *others = named = [Named() for _ in range(3)]
    asking.sentinels = [*named]
    first.away = True
    await asyncio.gather(*(asking.discover_master(SERVICE) for _ in range(8)))
    assert {id(one) for one in asking.sentinels} == {id(one) for one in named}
    first.away = False
    for one in others:
        one.away = True
    assert await asking.discover_master(SERVICE) == (HOST, 1)
    await asking.aclose()
