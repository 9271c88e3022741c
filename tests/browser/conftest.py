"""Chromium for each test, and the service with a Bandwidth that has a media plane."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.browser.chromium import chromium, running, tone
from tests.browser.people import BrowserSetup, Person
from tests.harness import nothing_left, serving
from tests.operators import Operator
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator

REQUIRED = os.environ.get("BROWSER_TESTS") == "required"  # noqa: TID251 - ours, not the service's
HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if HERE in item.path.parents and chromium() is None and not REQUIRED:
        pytest.skip("there is no Chromium, so the page was NOT tested (Debian: apt-get install chromium)")


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorSettings(media=True)) as simulator:
        yield simulator


@pytest.fixture
async def stage(
    simulator: Simulator, store_url: str, redis: Redis, tmp_path: Path
) -> AsyncIterator[BrowserSetup]:
    """Everything that people need to meet; afterwards nothing of it is left."""
    settings = {"BW_DEVICE_URL": simulator.device_url, "BASE_CALLBACK_URL": "http://localhost"}
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            serving(simulator, store_url, ROOM_POLICY="sales", **settings)
        )
        simulator.webhooks.map_origin("http://localhost", service.url)
        operator = await stack.enter_async_context(Operator.of(service))

        async def arrive(hz: int) -> Person:
            microphone = tone(tmp_path / f"{hz}.wav", hz)
            browser = await stack.enter_async_context(running(microphone))
            return Person(await browser.new_page(), hz)

        yield BrowserSetup(simulator, service, operator, arrive)
        await operator.reset_rooms()
        await nothing_left(simulator, redis, seconds=20)
