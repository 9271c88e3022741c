"""Real parts for the tests: one store server for each test process, one simulator for each test."""

import asyncio
import gc
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from service.store.redis.embedded import EmbeddedServer
from tests.cli import preloaded_process
from tests.harness import RunningService, nothing_left, serving
from tests.leaked_processes import adopt_orphans, assert_no_processes
from tests.operators import Operator
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator
from tests.store_servers import RedisServer, launched


def pytest_configure() -> None:
    adopt_orphans()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    preloaded_process.end()
    assert_no_processes(session)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--redis-server", metavar="PATH", help="a server to test with, not the embedded one")


@pytest.fixture(scope="session")
def store_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a real server, started by our own launcher unless another one is named."""
    with tempfile.TemporaryDirectory(prefix="bridge-store-") as directory:
        binary = request.config.getoption("--redis-server")
        if binary:
            with launched(RedisServer(Path(directory), binary=binary)) as url:
                yield url
            return
        server = EmbeddedServer(Path(directory))
        url = asyncio.run(server.start())
        yield url
        asyncio.run(server.stop())


@pytest.fixture
async def redis(store_server: str) -> AsyncIterator[Redis]:
    """The store, empty."""
    async with Redis.from_url(store_server) as client:
        await client.flushall()
        yield client


@pytest.fixture
def store_url(store_server: str, redis: Redis) -> str:
    """Where the emptied store is."""
    assert redis is not None
    return store_server


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorSettings()) as simulator:
        yield simulator


@pytest.fixture
async def service(simulator: Simulator, store_url: str, redis: Redis) -> AsyncIterator[RunningService]:
    """One replica with default settings; whoever uses it has to leave nothing behind."""
    async with serving(simulator, store_url) as service:
        yield service
        await nothing_left(simulator, redis)


@pytest.fixture
def nothing_for_others() -> Iterator[None]:
    """What a test leaves to the garbage collector is collected under its own filter for warnings."""
    yield
    gc.collect()


@pytest.fixture
async def operator(service: RunningService) -> AsyncIterator[Operator]:
    """Somebody with a key that may do everything, at that replica."""
    async with Operator.of(service) as operator:
        yield operator
