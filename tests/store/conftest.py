from collections.abc import AsyncIterator

import pytest

from service.store.client import Client


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[Client]:
    client = Client(store_url)
    yield client
    await client.close()
