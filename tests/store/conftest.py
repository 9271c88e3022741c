from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from service.store.outbox import Outbox
from service.store.redis.client import Client
from service.store.rooms import Rooms
from tests.store.repeating import RepeatingClient


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[Client]:
    client = Client(store_url)
    yield client
    await client.close()


@pytest.fixture
async def repeating(store_url: str, redis: Redis) -> AsyncIterator[Client]:
    client = RepeatingClient(store_url, redis)
    yield client
    await client.close()


@pytest.fixture
def rooms(repeating: Client) -> Rooms:
    return Rooms(repeating)


@pytest.fixture
def outbox(client: Client) -> Outbox:
    return Outbox(client, worker="w", lease=45)
