"""A replica that is told to end goes without anybody noticing: announced, served to the end, handed over."""

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from redis.asyncio import Redis

from handlers.app.container import running_services
from handlers.http.draining import Drain
from service.engine.timeouts import DEFAULT_TIMEOUTS
from service.settings import load
from service.tasks import Tasks
from tests.clocks import SetClock
from tests.harness import ORIGIN, nothing_left
from tests.operators import NO_TLS
from tests.processes import ReplicaProcess, environment, replica
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.test_stopping import point_at
from tests.waiting import wait_until

LOOK = 0.1
"""Seconds between two looks of the load balancer."""
DELAY = "3"


class LoadBalancer:
    """Sends webhooks to the replicas that say they are ready, in turn, as often as it looks."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._replicas: list[ReplicaProcess] = []

    @asynccontextmanager
    async def before(self, *replicas: ReplicaProcess) -> AsyncIterator[None]:
        self._replicas = list(replicas)
        point_at(self._simulator, replicas[0].url)
        looking = Tasks().start(self._look(), name="balancer")
        yield
        looking.cancel()

    def add(self, one: ReplicaProcess) -> None:
        self._replicas.append(one)

    async def _look(self) -> None:
        async with httpx.AsyncClient(verify=NO_TLS) as client:
            while True:
                ready = [one.url for one in self._replicas if await _ready(client, one)]
                self._simulator.webhooks.map_origin(ORIGIN, *ready)
                await asyncio.sleep(LOOK)


async def _ready(client: httpx.AsyncClient, one: ReplicaProcess) -> bool:
    try:
        return (await client.get(f"{one.url}/readyz")).status_code == 200
    except httpx.TransportError:
        return False


class Load:
    """Calls that come all the time; some hang up soon, others stay."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._tasks = Tasks()
        self._coming = self._tasks.start(self._come(), name="load")
        self.staying: list[Phone] = []

    async def _come(self) -> None:
        for number in itertools.count():
            self._tasks.start(self._call(stays=number % 5 == 0), name="call")
            await asyncio.sleep(0.05)

    async def _call(self, *, stays: bool) -> None:
        phone = await self._simulator.dial()
        await phone.until("bridged", timeout=10)
        if stays:
            self.staying.append(phone)
        else:
            await phone.hang_up()

    async def stop(self) -> None:
        self._coming.cancel()
        assert await self._tasks.wait(15) == 0


async def test_a_rolling_restart_under_load(simulator: Simulator, store_url: str, redis: Redis) -> None:
    settings = environment(simulator, REDIS_URL=store_url, DRAIN_DELAY=DELAY)
    async with AsyncExitStack() as stack:
        old = [await stack.enter_async_context(replica(settings)) for _ in range(2)]
        balancer = LoadBalancer(simulator)
        await stack.enter_async_context(balancer.before(*old))
        load = Load(simulator)
        for leaving in old:
            balancer.add(await stack.enter_async_context(replica(settings)))
            leaving.signal(signal.SIGTERM)
            assert await leaving.ended() == 0
        await load.stop()

        assert len(simulator.deliveries) > 150
        failed = [one for one in simulator.deliveries if one.status not in {200, 204}]
        assert not failed, failed[0]
        assert {phone.stage for phone in load.staying} == {"bridged"}
        for phone in load.staying:
            await phone.hang_up()
        await nothing_left(simulator, redis, seconds=20)
        assert {phone.cause for phone in simulator.phones} == {"hangup"}


async def test_it_says_so_and_serves_until_the_second_signal(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    settings = environment(simulator, REDIS_URL=store_url, DRAIN_DELAY="600")
    async with replica(settings) as leaving, httpx.AsyncClient(base_url=leaving.url, verify=NO_TLS) as client:
        point_at(simulator, leaving.url)
        assert "connection" not in (await client.get("/livez")).headers
        leaving.signal(signal.SIGTERM)
        await wait_until(lambda: leaving.log("service.stopping"))
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json() == {"ready": False, "checks": {"service": "stopping"}}
        assert answer.headers["connection"] == "close"
        assert (await client.get("/livez")).status_code == 200
        phone = await simulator.dial()
        await phone.until("bridged")
        await phone.hang_up()
        await nothing_left(simulator, redis)

        leaving.signal(signal.SIGTERM)
        assert await leaving.ended() == 0
        assert leaving.log("service.stopped")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_is_in_flight_is_answered_after_the_second_signal(
    simulator: Simulator, store_url: str, redis: Redis, number: signal.Signals
) -> None:
    settings = environment(simulator, REDIS_URL=store_url, DRAIN_DELAY="600")
    async with replica(settings) as staying, replica(settings) as leaving:
        point_at(simulator, leaving.url)
        gate = simulator.gates.hold("createParticipant")
        phone = await simulator.dial()
        await gate.reached()
        leaving.signal(number)
        await wait_until(lambda: leaving.log("service.stopping"))
        leaving.signal(number)
        simulator.webhooks.map_origin(ORIGIN, staying.url)
        gate.release()
        await phone.until("bridged")
        assert await leaving.ended() == 0
        await phone.hang_up()
        await nothing_left(simulator, redis)


async def test_connections_that_are_kept_open_are_closed(simulator: Simulator, store_url: str) -> None:
    async with replica(environment(simulator, REDIS_URL=store_url)) as leaving:
        host, port = leaving.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"ok\n")
        leaving.signal(signal.SIGTERM)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert await leaving.ended() == 0


async def test_what_a_worker_holds_is_handed_over_at_once(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    """Not when its lease has run out: that would be three quarters of a minute."""
    settings = environment(simulator, REDIS_URL=store_url)
    async with replica(settings, "--no-worker") as answering:
        point_at(simulator, answering.url)
        async with AsyncExitStack() as leaving:
            await leaving.enter_async_context(
                running_services(load(settings), run_worker=True, timeouts=DEFAULT_TIMEOUTS)
            )
            phones = [await simulator.dial() for _ in range(3)]
            for phone in phones:
                await phone.until("bridged")
            gate = simulator.gates.hold("removeParticipantFromSession")
            for phone in phones:
                await phone.hang_up()
            await gate.reached(count=3)
            ending = Tasks().start(leaving.aclose(), name="leaving")
            await asyncio.sleep(0)  # one turn of the loop: it has been told to end
            gate.release()
            await ending
        assert simulator.ledger.alive().participants, "the one that ends has done all by itself"
        async with running_services(load(settings), run_worker=True, timeouts=DEFAULT_TIMEOUTS):
            await nothing_left(simulator, redis, seconds=10)


async def test_what_begins_at_the_last_moment_is_finished_too(simulator: Simulator, store_url: str) -> None:
    """A worker that has just been given something, say, begins with it after everybody was told to end."""
    told, ends = asyncio.Event(), []
    async with AsyncExitStack() as leaving:
        settings = load(environment(simulator, REDIS_URL=store_url))
        service = running_services(settings, run_worker=False, timeouts=DEFAULT_TIMEOUTS)
        bridge = await leaving.enter_async_context(service)

        async def last() -> None:
            for _ in range(20):
                await bridge.store.ping()
            ends.append("last")

        async def first() -> None:
            await told.wait()
            bridge.tasks.start(last(), name="last")
            ends.append("first")

        bridge.tasks.start(first(), name="first")
        ending = Tasks().start(leaving.aclose(), name="leaving")
        await asyncio.sleep(0)  # one turn of the loop: it waits for what is under way
        told.set()
        await ending
        assert ends == ["first", "last"]


def test_the_first_time_begins_the_delay_and_the_second_ends_it() -> None:
    clock = SetClock()
    stopping = Drain(5, clock)
    assert (stopping.has_begun, stopping.is_over) == (False, False)
    stopping.signal()
    assert (stopping.has_begun, stopping.is_over) == (True, False)
    clock.advance(5)
    assert stopping.is_over
    hurried = Drain(5, clock)
    hurried.signal()
    hurried.signal()
    assert hurried.is_over
