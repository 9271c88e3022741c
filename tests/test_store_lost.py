"""A store that loses what it held is told of: in the log, in the metrics, and once."""

from pathlib import Path
from typing import Any

from msgspec.structs import replace
from redis.asyncio import Redis

from tests.harness import SHORT_TIMEOUTS, RunningService, serving
from tests.operators import operator_for
from tests.scraping import scraped, wait_for_metric
from tests.simulator.simulator import Simulator
from tests.store_servers import OPTIONS, RedisServer, running
from tests.waiting import wait_until

OFTEN = replace(SHORT_TIMEOUTS, store_check=0.1)


async def said(service: RunningService, event: str) -> dict[str, Any]:
    await wait_until(lambda: bool(service.log(event)), what=f"nobody says {event}")
    [line] = service.log(event)
    return line


async def test_nothing_is_said_while_all_is_well(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, OFTEN) as (service, _):
        assert (await said(service, "store.marked"))["partitions"] == 16
        async with serving(simulator, store_url, OFTEN) as other:
            await redis.bgrewriteaof()
            await redis.script_flush()
            phone = await simulator.dial()
            await phone.until("bridged")
            await phone.hang_up()
            looks = (await scraped(other.url)).get("pstn_store_seconds_count", script="marker")
            await wait_for_metric(other.url, "pstn_store_seconds_count", looks + 3, script="marker")
            for one in (service, other):
                assert not one.log("store.state_lost")
                assert not one.log("store.evicted")
                assert (await scraped(one.url)).get("pstn_store_losses_total") == 0
            assert not other.log("store.marked")


async def test_a_store_that_is_emptied(simulator: Simulator, store_url: str, redis: Redis) -> None:
    """Every replica says so once, whichever of them has put the marker back."""
    async with (
        serving(simulator, store_url, OFTEN) as service,
        serving(simulator, store_url, OFTEN) as other,
    ):
        for one in (service, other):
            await wait_for_metric(one.url, "pstn_store_seconds_count", 2, script="marker")
        for losses in (1, 2):
            await redis.flushall()
            for one in (service, other):
                page = await wait_for_metric(one.url, "pstn_store_losses_total", losses)
                assert page.get("pstn_store_losses_total") == losses
        # Both write to one log here. The second time had been told by the first.
        lines = service.log("store.state_lost")
        assert [(line["level"], line["partitions"], line["back_s"]) for line in lines] == [
            ("error", 16, 0)
        ] * 2
        assert all("PstnStoreLost" in line["hint"] for line in lines)


async def test_a_store_that_evicts(simulator: Simulator, tmp_path: Path) -> None:
    options = (*OPTIONS, "--maxmemory-policy", "allkeys-lru")
    async with (
        running(RedisServer(tmp_path, *options)) as server,
        serving(simulator, server.url, OFTEN) as service,
    ):
        await wait_for_metric(service.url, "pstn_store_seconds_count", 3, script="ask_all")
        used = int(await server.stat("memory", "used_memory"))
        await server.redis.config_set("maxmemory", used + 100_000)
        for n in range(200):
            await server.redis.set(f"k{n}", b"x" * 10_000)
        line = await said(service, "store.evicted")
        assert line["level"] == "error"
        assert line["keys"] > 0
        assert "noeviction" in line["hint"]
        assert "only for calls that end from now on" in line["hint"]
        assert (await wait_for_metric(service.url, "pstn_store_evicted_keys")).get(
            "pstn_store_evicted_keys"
        ) > 0
        await server.redis.config_set("maxmemory", 0)


async def test_a_store_that_is_back_with_an_older_file(simulator: Simulator, tmp_path: Path) -> None:
    """Its markers are those of five minutes ago."""
    async with (
        running(RedisServer(tmp_path, *OPTIONS)) as server,
        serving(simulator, server.url, OFTEN) as service,
    ):
        await said(service, "store.marked")
        for key in await server.redis.keys("*:marker"):
            held: Any = await server.redis.get(key)
            id_, at = held.split()
            await server.redis.set(key, b"%s %d" % (id_, int(at) - 300_000))
        line = await said(service, "store.state_lost")
        assert line["partitions"] == 0
        assert 290 < line["back_s"] < 310
