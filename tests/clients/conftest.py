from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from tests.api.clients import serving_api
from tests.harness import RunningService
from tests.simulator.simulator import Simulator


@pytest.fixture
async def service(simulator: Simulator, store_url: str, redis: Redis) -> AsyncIterator[RunningService]:
    """One replica with keys; calls may be left behind, which end with the simulator."""
    async with serving_api(simulator, store_url) as service:
        yield service
