from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from tests.cli.shell import Shell
from tests.harness import RunningService
from tests.simulator.simulator import Simulator


@pytest.fixture
async def shell(
    simulator: Simulator, service: RunningService, store_url: str, redis: Redis
) -> AsyncIterator[Shell]:
    """Somebody at the machine of a service that takes calls."""
    yield Shell.at(simulator, service, store_url)
    await redis.delete("pstn:{p00}:paused")
