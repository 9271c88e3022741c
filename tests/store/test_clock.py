"""The clock that all replicas share: the store's, and steady whatever becomes of that or of a machine's.

The clock of a store that runs cannot be set here: its scripts are given another time in place of its own.
"""

import asyncio
import copy
import hashlib
import time
from collections.abc import AsyncIterator, Mapping

import pytest
import structlog
from redis.asyncio import Redis

from service.clock import SystemClock
from service.metrics import Metrics
from service.store import keys
from service.store.clock import JUMP_LIMIT, StoreClock, read_time
from service.store.errors import StoreUnavailable
from service.store.redis.client import Client
from service.store.redis.scripts import Result, Script, Value
from service.store.replicas import ReplicaReport, Replicas

NEAR = 0.5
"""Seconds; a machine that runs tests is busy."""
JUMPS = [3600, -3600, 90_000, 20, -20, -6]


class SetStore(Client):
    """Whose clock is ahead by `ahead` seconds. A trip may fail once, or take `slow` seconds to get there."""

    ahead = 0
    jumps_to = 0
    """With the next question about the time."""
    fails = ""
    slow = 0.0

    async def run(self, script: Script, keys: Mapping[str, str], args: Mapping[str, Value]) -> Result:
        if script.name == self.fails:
            self.fails = ""
            raise StoreUnavailable("away")
        if script.name == "clock_ask" and self.jumps_to:
            self.ahead, self.jumps_to = self.jumps_to, 0
        await asyncio.sleep(self.slow)
        return await super().run(self._set(script), keys, args)

    def _set(self, script: Script) -> Script:
        then = copy.copy(script)
        time = f"{{redis.call('TIME')[1] + {self.ahead}, redis.call('TIME')[2]}}"
        assert script.source.count("redis.call('TIME')") == 1
        then.source = script.source.replace("redis.call('TIME')", time)
        then.sha = hashlib.sha1(then.source.encode(), usedforsecurity=False).hexdigest()
        then.by_sha, then.by_source = (script.by_sha[0], then.sha), (script.by_source[0], then.source)
        return then


class Machine(SystemClock):
    """Whose clock is wrong by `wall` seconds, and whose count of seconds is set by `shift`."""

    def __init__(self, wall: float = 0.0) -> None:
        self.wall = wall
        self.shift = 0.0

    def now(self) -> float:
        return super().now() + self.wall

    def elapsed(self) -> float:
        return time.monotonic() + self.shift


class Replica:
    def __init__(self, client: Client, name: str, wall: float = 0.0) -> None:
        self.machine = Machine(wall)
        self.metrics = Metrics()
        self.clock = StoreClock(
            client, machine=self.machine, elapsed=self.machine.elapsed, metrics=self.metrics
        )
        self._name = name
        self._replicas = Replicas(client, self.clock)

    async def report(self) -> None:
        await self._replicas.write(ReplicaReport(id=self._name, at=self.clock.now()))

    @property
    def off(self) -> float:
        """By how much its time is ahead of the one that is right, which is also the store's here."""
        return self.clock.now() - SystemClock().now()


@pytest.fixture
async def client(store_url: str, redis: Redis) -> AsyncIterator[SetStore]:
    client = SetStore(store_url)
    yield client
    await client.close()


async def begun(client: SetStore, *walls: float) -> list[Replica]:
    replicas = [Replica(client, f"{n}", wall) for n, wall in enumerate(walls)]
    for one in replicas:
        await one.clock.start()
    return replicas


async def offset(redis: Redis) -> float:
    held = await redis.get(keys.clock())
    return int(held.split()[0]) / 1000 if isinstance(held, bytes) else 0.0


@pytest.mark.parametrize("wall", [0.0, 3600.0, -3600.0])
async def test_all_begin_with_the_stores_time_whatever_theirs_is(client: SetStore, wall: float) -> None:
    [one] = await begun(client, wall)
    assert abs(one.off) < NEAR
    assert abs((await read_time(client)).shared - one.clock.now()) < NEAR
    await one.report()
    assert abs(one.off) < NEAR


@pytest.mark.parametrize("seconds", JUMPS)
async def test_nobody_notices_that_the_stores_clock_jumps(
    client: SetStore, redis: Redis, seconds: int
) -> None:
    first, second = await begun(client, 0, 0)
    client.ahead = seconds
    with structlog.testing.capture_logs() as lines:
        for one in (first, second, first, second):
            await one.report()
            assert abs(one.off) < NEAR, "it goes on as if nothing had been"
    assert abs(await offset(redis) + seconds) < NEAR
    [line] = [line for line in lines if line["event"] == "clock.jumped"]
    assert abs(line["seconds"] - seconds) < NEAR
    [third] = await begun(client, 0)
    assert abs(third.off) < NEAR, "who begins now goes by the same"
    read = await read_time(client)
    assert abs(read.shared - third.clock.now()) < NEAR > abs(read.offset + seconds)


async def test_there_is_no_offset_when_the_store_is_right_again(client: SetStore, redis: Redis) -> None:
    first, second = await begun(client, 0, 0)
    for seconds in (3600, 0):
        client.ahead = seconds
        for one in (first, second):
            await one.report()
    assert abs(await offset(redis)) < NEAR
    assert abs(first.off) < NEAR > abs(second.off)


async def test_two_who_find_it_at_once_agree(client: SetStore, redis: Redis) -> None:
    replicas = await begun(client, *([0.0] * 8))
    for seconds in (3600, -90_000):
        client.ahead = seconds
        await asyncio.gather(*(one.report() for one in replicas))
        await asyncio.gather(*(one.report() for one in replicas))
    assert abs(await offset(redis) - 90_000) < NEAR
    assert all(abs(one.off) < NEAR for one in replicas)


async def test_who_comes_second_changes_nothing(client: SetStore) -> None:
    """It was about an offset that is not the one any more."""
    ask, key = Script("clock_ask"), {"clock": keys.clock()}
    for was, instead, is_now in ((0, -3_600_000, -3_600_000), (0, 7, -3_600_000), (-3_600_000, 0, 0)):
        _, offset, *_ = await client.run(ask, key, {"was": was, "instead": instead})
        assert offset == is_now


@pytest.mark.parametrize("seconds", [JUMP_LIMIT - 1, 1 - JUMP_LIMIT])
async def test_a_little_is_followed_and_never_backwards(
    client: SetStore, redis: Redis, seconds: float
) -> None:
    """As after a correction by NTP, or a failover to a server whose clock is as good as that of most."""
    [one] = await begun(client, 0)
    client.ahead = int(seconds)
    before = one.clock.now()
    await one.report()
    assert await offset(redis) == 0
    seen = [one.clock.now() for _ in range(100)]
    assert sorted([before, *seen]) == [before, *seen]
    if seconds > 0:
        assert abs(one.off - seconds) < NEAR
    else:
        assert seen[-1] == seen[0], "it stands still until the store's has come up to it"
        one.machine.shift += 1 - seconds
        assert one.clock.now() > seen[-1] + 0.5


async def test_a_replica_that_has_slept_does_not_take_the_others_back(client: SetStore, redis: Redis) -> None:
    awake, asleep = await begun(client, 0, 0)
    asleep.machine.shift -= 3600
    await awake.report()
    await asleep.report()
    assert await offset(redis) == 0
    assert abs(asleep.off) < NEAR > abs(awake.off)


async def test_nor_does_one_that_has_slept_while_the_store_was_away(client: SetStore, redis: Redis) -> None:
    [asleep] = await begun(client, 0)
    asleep.machine.shift -= 3600
    seconds, _ = await redis.time()
    now = 1000 * seconds
    await redis.set(keys.clock(), f"0 {now} {now - 60_000}")  # the others have asked since it is back
    await asleep.report()
    assert await offset(redis) == 0
    assert abs(asleep.off) < NEAR


async def test_one_that_begins_while_the_clock_is_wrong_goes_by_the_others(
    client: SetStore, redis: Redis
) -> None:
    [old] = await begun(client, 0)
    client.ahead = 3600
    [new] = await begun(client, 0)
    assert abs(new.off - 3600) < NEAR, "nobody has told it yet"
    for one in (old, new, old, new):
        await one.report()
    assert abs(old.off) < NEAR > abs(new.off)


async def test_what_the_store_forgets_is_written_down_again(client: SetStore, redis: Redis) -> None:
    """FLUSHALL, or a failover to a replica that had not heard of it yet."""
    first, second = await begun(client, 0, 0)
    client.ahead = 3600
    await first.report()
    await redis.flushdb()
    await second.report()
    await first.report()
    assert abs(await offset(redis) + 3600) < NEAR
    assert abs(first.off) < NEAR > abs(second.off)


async def test_a_store_that_was_away_has_not_jumped_unless_it_has(client: SetStore, redis: Redis) -> None:
    """As with a failover that takes a minute, to a server whose clock is right, and to one whose is not."""
    [one] = await begun(client, 0)
    for seconds, jumped in ((60, 0), (120, 3600)):
        client.ahead, one.machine.shift = seconds + jumped, seconds
        await one.report()
        assert abs(one.off - seconds) < NEAR
        assert abs(await offset(redis) + jumped) < NEAR


async def test_the_key_ends_by_itself(client: SetStore, redis: Redis) -> None:
    await begun(client, 0)
    assert 24 * 3600 < await redis.ttl(keys.clock()) <= 7 * 24 * 3600


async def test_a_jump_that_could_not_be_written_down_is_found_again(client: SetStore, redis: Redis) -> None:
    [one] = await begun(client, 0)
    client.ahead, client.fails = 3600, "clock_ask"
    with pytest.raises(StoreUnavailable):
        await one.report()
    for _ in range(2):
        assert abs(one.off) < NEAR
        await one.report()
    assert abs(await offset(redis) + 3600) < NEAR


async def test_a_clock_that_jumps_again_at_once(client: SetStore, redis: Redis) -> None:
    [one] = await begun(client, 0)
    client.ahead, client.jumps_to = 3600, -3600
    for _ in range(2):
        await one.report()
        assert abs(one.off) < NEAR
    assert abs(await offset(redis) - 3600) < NEAR


@pytest.mark.parametrize("jumps", [(-960, 1200), (1200, -960), (1200, 4800), (-960, -4000)])
async def test_who_has_missed_one_jump_notices_the_next(client: SetStore, jumps: tuple[int, int]) -> None:
    """The other has written the first one down before both ask again."""
    one, other = await begun(client, 0.0, 0.0)
    client.ahead = jumps[0]
    await one.report()
    client.ahead = jumps[1]
    await other.report()
    await one.report()
    assert abs(one.off) < NEAR
    assert abs(other.off) < NEAR


async def test_a_slow_trip_does_not_move_it(client: SetStore) -> None:
    [one] = await begun(client, 0)
    before = one.off
    client.slow = 0.5
    await one.report()
    assert abs(one.off - before) < 0.02, "the answer fits what it was: nothing better is known"


async def test_a_machine_whose_clock_is_off_is_told_of_once(client: SetStore) -> None:
    [one] = await begun(client, 0)

    def shown() -> float:
        return one.metrics.registry.get_sample_value("pstn_clock_off_seconds") or 0.0

    async def lines(wall: float) -> list[tuple[str, str]]:
        one.machine.wall = wall
        with structlog.testing.capture_logs() as found:
            await one.report()
            await one.report()
        return [(line["event"], line["log_level"]) for line in found]

    assert await lines(4) == []
    assert await lines(3600) == [("clock.off", "warning")]
    assert abs(shown() - 3600) < NEAR
    assert abs(one.off) < NEAR
    assert await lines(-7) == []
    assert await lines(0) == [("clock.right", "info")]
    assert abs(shown()) < NEAR
    assert await lines(-7) == [("clock.off", "warning")]


async def test_who_only_looks_needs_no_key_and_writes_none(client: SetStore, redis: Redis) -> None:
    assert abs((await read_time(client)).shared - SystemClock().now()) < NEAR
    assert await redis.keys() == []


@pytest.mark.parametrize("paused", [6, 20, 60, 3600])
async def test_the_stores_machine_stands_still_for_a_while(
    client: SetStore, redis: Redis, paused: int
) -> None:
    """It goes on with the time of before, and NTP sets it right then: neither is anybody's."""
    replicas = await begun(client, 0, 0)
    for one in replicas:
        await one.report()
    for passed, ahead in ((paused, 0), (5, paused + 5)):
        client.ahead = ahead
        for one in replicas:
            one.machine.shift += passed
        for one in 2 * replicas:
            await one.report()
    assert max(abs(one.off - paused - 5) for one in replicas) < NEAR
    assert abs(await offset(redis)) < NEAR


async def test_who_sleeps_while_the_store_is_away_takes_nobody_back(client: SetStore) -> None:
    awake, asleep = await begun(client, 0, 0)
    for one in (awake, asleep):
        await one.report()
    for passed in (9, 5, 6):
        client.ahead += passed
        awake.machine.shift += passed
        await awake.report()
    await asleep.report()
    await awake.report()
    assert max(abs(one.off - 20) for one in (awake, asleep)) < NEAR
