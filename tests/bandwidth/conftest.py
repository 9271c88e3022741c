from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.bandwidth.api_client import HttpClient
from tests.bandwidth.support import Loopback
from tests.clocks import SetClock


@pytest.fixture
async def bandwidth() -> AsyncIterator[Loopback]:
    async with Loopback().serving() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as lines:
        yield lines
