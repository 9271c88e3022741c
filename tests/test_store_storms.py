"""Calls come and go for a while on every kind of store, and what may happen to that kind happens meanwhile.

`make test-stores` runs them: they take long, and one wants Debian's Redis.
"""

import asyncio
import random  # noqa: TID251 - seeded, so that a storm can be had again
import shutil
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.sentinel import Sentinel

from service.store import keys
from service.tasks import Tasks
from tests.harness import ORIGIN, nothing_left, serving
from tests.simulator.simulator import Simulator
from tests.store_servers import (
    LEFT_BEHIND,
    OPTIONS,
    SERVICE,
    ClusterGroup,
    RedisServer,
    SentinelGroup,
    running,
)
from tests.test_storm import Storm

pytestmark = [pytest.mark.stores, *LEFT_BEHIND]

SECONDS: Final = 30
WAVE: Final = 15
ROOMS: Final = '{"+15551110000": "a", "+15551110001": "a", "+15551110002": "b", "+15551110003": "c"}'


async def storm(
    simulator: Simulator, url: str, redis: Any, trouble: Awaitable[None], **settings: str
) -> None:
    """Waves of calls for SECONDS, through two replicas, with `trouble` at the store meanwhile."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        replicas = [await enter(serving(simulator, url, ROOM_MAP=ROOMS, **settings)) for _ in range(2)]
        simulator.webhooks.map_origin(ORIGIN, *(replica.url for replica in replicas))
        weather = Storm(simulator, 1)
        troubled = Tasks().start(weather.trouble(), name="trouble")
        broken = asyncio.ensure_future(trouble)  # noqa: TID251 - awaited below, where its failure is the test's
        ends, number = loop.time() + SECONDS, 0
        while loop.time() < ends or not broken.done():
            await asyncio.gather(*(weather.call(number + n) for n in range(WAVE)))
            number += WAVE
        await broken
        troubled.cancel()
        weather.calm()
        await nothing_left(simulator, redis, seconds=60)
        slow = [one for one in simulator.deliveries if one.status is None or one.ms > 8000]
        assert not slow, slow
        assert {one.status for one in simulator.deliveries} <= {200, 204}
        assert not [line for replica in replicas for line in replica.log(level="error")]
        bridged = len(replicas[0].log("call.changed", after="bridged"))
        assert bridged > number / 20, f"{bridged} of {number} calls, most of which hang up at once"


async def test_the_redis_of_debian(simulator: Simulator, tmp_path: Path) -> None:
    binary = shutil.which("redis-server")
    assert binary, "there is no redis-server: apt-get install redis-server"
    server = RedisServer(tmp_path, *OPTIONS, "--appendfsync", "always", binary=binary)
    dice = random.Random(1)

    async def trouble() -> None:
        for _ in range(4):
            await asyncio.sleep(dice.uniform(2, 4))
            server.kill()
            await asyncio.sleep(dice.uniform(0, 1))
            await server.start()
            await asyncio.sleep(dice.uniform(1, 2))
            await server.redis.client_pause(int(dice.uniform(100, 1500)))

    async with running(server):
        await storm(simulator, server.url, server.redis, trouble())


async def test_a_cluster(simulator: Simulator, tmp_path: Path) -> None:
    async with running(ClusterGroup(tmp_path)) as cluster:

        async def trouble() -> None:
            await asyncio.sleep(5)
            await cluster.fail_over(keys.room("a"))
            await cluster.whole_again()
            await asyncio.sleep(2)
            await cluster.migrate(keys.room("b"))

        redis = RedisCluster(host="127.0.0.1", port=cluster.servers[2].port)
        await storm(simulator, cluster.url, redis, trouble(), STORE_REPLICAS="1")
        await redis.aclose()


async def test_sentinels(simulator: Simulator, tmp_path: Path) -> None:
    async with running(SentinelGroup(tmp_path)) as store:

        async def trouble() -> None:
            await asyncio.sleep(5)
            await store.fail_over()

        build: Callable[..., Sentinel] = Sentinel  # the library has not typed it
        sentinel = build([("127.0.0.1", one.port) for one in store.sentinels])
        redis: Redis = sentinel.master_for(SERVICE)
        await storm(simulator, store.url, redis, trouble(), STORE_REPLICAS="1")
        await redis.aclose()
        await sentinel.aclose()
