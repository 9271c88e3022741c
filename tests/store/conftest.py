from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from service.store.outbox import Outbox
from service.store.redis.client import Client
from service.store.redis.scripts import Result, Script
from service.store.rooms import Rooms
from tests.store.repeating import RepeatingClient
from tests.store.script_returns import returns_of


@pytest.fixture(autouse=True)
def replies_are_as_headers_say(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every reply of a script, in every test here, has the form that its file declares."""
    run, run_many, others = Client.run, Client.run_many, list[str]()

    def compare(script: Script, reply: Result) -> None:
        if not returns_of(script.name).fits(reply):
            others.append(f"{script.name}: {reply}")

    async def run_compared(client: Client, script: Script, *bound: Any) -> Result:
        reply = await run(client, script, *bound)
        compare(script, reply)
        return reply

    async def run_many_compared(client: Client, script: Script, each: Any) -> list[Result]:
        replies = await run_many(client, script, each)
        for reply in replies:
            compare(script, reply)
        return replies

    monkeypatch.setattr(Client, "run", run_compared)
    monkeypatch.setattr(Client, "run_many", run_many_compared)
    yield others
    assert not others, "replies that the headers of their scripts do not declare"


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
