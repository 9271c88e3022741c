"""Clients that dawdle, send too much or nothing at all take little of a replica, and no call notices."""

import asyncio
import base64
import os
import re
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from handlers.http.request_guard import BODY_LIMIT, BODY_SECONDS
from tests.harness import API_KEY, API_KEYS, PASSWORD, USERNAME, nothing_left
from tests.processes import ReplicaProcess, environment, replica
from tests.simulator.clock import monotonic
from tests.simulator.simulator import Simulator
from tests.test_stopping import point_at

BASIC = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
WEBHOOK = ("/callbacks/voice", BASIC)
ORDER = ("/api/v1/calls", f"Bearer {API_KEY}")
BOTH = pytest.mark.parametrize("target", [WEBHOOK, ORDER], ids=["webhook", "order"])
IDLE = 1000
AT_EASE = 3.0
"""Seconds in which a call has to be in its room meanwhile, less than slow bodies have; a tenth is usual."""


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Of this process and the replica that it starts: a socket is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * IDLE)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
async def bridge(simulator: Simulator, store_url: str, redis: Redis) -> AsyncIterator[ReplicaProcess]:
    settings = environment(simulator, REDIS_URL=store_url, API_KEYS=API_KEYS, MAX_WEBHOOKS="100")
    async with replica(settings) as bridge:
        point_at(simulator, bridge.url)
        yield bridge
        await nothing_left(simulator, redis)


class RawClient:
    """A connection of its own, and what is said on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def begin(self, target: tuple[str, str], *, length: int) -> None:
        """The head of a request, whose body is to follow."""
        path, authorization = target
        lines = [
            f"POST {path} HTTP/1.1",
            "Host: x",
            f"Authorization: {authorization}",
            "Content-Type: application/json",
            f"Content-Length: {length}" if length else "Transfer-Encoding: chunked",
        ]
        await self.say("\r\n".join([*lines, "", ""]).encode())

    async def say(self, raw: bytes) -> None:
        self._writer.write(raw)
        await self._writer.drain()

    async def status(self) -> int:
        return int((await self._reader.readline()).split()[1])

    async def closed(self) -> None:
        """Read on until the other side closes."""
        await self._reader.read()


@asynccontextmanager
async def clients(bridge: ReplicaProcess, count: int) -> AsyncIterator[list[RawClient]]:
    host, port = bridge.url.removeprefix("http://").split(":")
    pairs = [await asyncio.open_connection(host, int(port)) for _ in range(count)]
    try:
        yield [RawClient(*pair) for pair in pairs]
    finally:
        for _, writer in pairs:
            writer.close()


def resident(bridge: ReplicaProcess) -> float:
    """MB of memory that the replica has at this moment."""
    pages = int(Path(f"/proc/{bridge.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak(bridge: ReplicaProcess) -> float:
    """MB that it ever had."""
    status = Path(f"/proc/{bridge.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024 / 1e6


async def a_call_goes_on_as_always(simulator: Simulator) -> None:
    began = monotonic()
    phone = await simulator.dial()
    await phone.until("bridged")
    assert monotonic() - began < AT_EASE
    await phone.hang_up()


@BOTH
async def test_a_body_that_does_not_come(
    simulator: Simulator, bridge: ReplicaProcess, target: tuple[str, str]
) -> None:
    async with clients(bridge, 50) as slow:
        for one in slow:
            await one.begin(target, length=100)
            await one.say(b'{"eventType"')
        began = monotonic()
        await a_call_goes_on_as_always(simulator)
        async with asyncio.timeout(BODY_SECONDS + 5):
            assert {await one.status() for one in slow} == {408}
            for one in slow:
                await one.closed()
        assert monotonic() - began > BODY_SECONDS - 1
    assert not bridge.log("api.failed")


async def test_a_body_that_drips_is_not_waited_for(bridge: ReplicaProcess) -> None:
    """Each byte in time, and never all of them: it is the whole that has a limit."""
    async with clients(bridge, 1) as (slow,):
        await slow.begin(WEBHOOK, length=10_000)

        async def drip() -> None:
            while True:
                await slow.say(b" ")
                await asyncio.sleep(0.2)

        dripping = asyncio.get_running_loop().create_task(drip())
        async with asyncio.timeout(BODY_SECONDS + 5):
            assert await slow.status() == 408
        dripping.cancel()


@BOTH
async def test_bodies_of_many_megabytes_are_refused_and_not_held(
    simulator: Simulator, bridge: ReplicaProcess, target: tuple[str, str]
) -> None:
    before, size = peak(bridge), 10_000_000
    async with clients(bridge, 20) as generous:

        async def send(one: RawClient, *, declared: bool) -> int:
            await one.begin(target, length=size if declared else 0)
            piece = b" " * 100_000
            for _ in range(size // len(piece)):
                await one.say(piece if declared else b"%x\r\n%s\r\n" % (len(piece), piece))
            return await one.status()

        sent = [send(one, declared=number % 2 == 0) for number, one in enumerate(generous)]
        answers = asyncio.gather(*sent)
        await a_call_goes_on_as_always(simulator)
        assert set(await answers) == {413}
    assert peak(bridge) - before < 50


@BOTH
async def test_a_body_that_is_declared_too_large_is_refused_before_it_comes(
    bridge: ReplicaProcess, target: tuple[str, str]
) -> None:
    async with clients(bridge, 1) as (client,):
        await client.begin(target, length=BODY_LIMIT + 1)
        async with asyncio.timeout(BODY_SECONDS / 2):
            assert await client.status() == 413


async def test_bodies_that_stop_just_below_the_limit_take_no_more_than_the_limit(
    simulator: Simulator, bridge: ReplicaProcess
) -> None:
    """As many as there are places for, and as many more."""
    before = peak(bridge)
    async with clients(bridge, 200) as slow:
        for one in slow:
            await one.begin(WEBHOOK, length=BODY_LIMIT)
            await one.say(b" " * (BODY_LIMIT - 1))
        async with asyncio.timeout(BODY_SECONDS + 5):
            assert {await one.status() for one in slow} == {408}
    assert peak(bridge) - before < 200 * 3 * BODY_LIMIT / 1e6 + 20
    await a_call_goes_on_as_always(simulator)


async def test_a_thousand_idle_connections(simulator: Simulator, bridge: ReplicaProcess) -> None:
    before = resident(bridge)
    async with clients(bridge, IDLE) as idle:
        for number, one in enumerate(idle):
            await one.say(b"" if number % 2 else b"POST /callbacks/voice HTTP/1.1\r\nHost:")
        await asyncio.gather(*(a_call_goes_on_as_always(simulator) for _ in range(5)))
        assert resident(bridge) - before < 50
