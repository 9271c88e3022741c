"""Transfers of one call that are ordered at the same time: what is up of them stays counted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis

from service.calls.events import OrderTransfer
from service.calls.model import Call, Direction, Intent, Phone
from service.engine.errors import RequestRefusal
from service.engine.operators import Operators
from service.engine.order_result import OrderResult
from service.engine.timeouts import DEFAULT_TIMEOUTS
from service.store.concurrent_calls import ConcurrentCalls
from service.store.outbound_quota import OutboundQuota
from service.store.redis.client import Client
from service.tasks import Tasks
from tests.test_toll_fraud import an_hour_passes
from tests.waiting import wait_until

NOW = 1_700_000_000.0


class CallTable:
    """An engine and its calls: the first order comes too early, and is answered after the second."""

    def __init__(self) -> None:
        self.first = True
        self.done = asyncio.Event()
        self.calls: dict[str, Call] = {}

    def call(self, ref: str, intent: Intent) -> Call:
        phone = {"direction": Direction.INBOUND, "phone": Phone.UP, "intent": intent}
        return Call(ref=ref, call_id="", room="r", created_at=NOW, **phone)  # type: ignore[arg-type] # as named

    async def order(self, ref: str, event: OrderTransfer) -> OrderResult:
        if self.first:
            self.first = False
            early = self.call(ref, Intent.BRIDGE)
            await self.done.wait()
            return OrderResult(early, refusal="not now")
        self.calls[ref] = self.call(ref, Intent.TRANSFER)
        return OrderResult(self.calls[ref])

    async def read_many(self, refs: list[str]) -> list[Call]:
        return [self.calls[ref] for ref in refs if ref in self.calls]


async def write(once: Callable[[], Awaitable[None]], what: str) -> None:
    await once()


def operators(client: Client, engine: CallTable) -> Operators:
    """For transfers: what else they can do is not asked for."""
    unused: dict[str, Any] = dict.fromkeys(
        ("calls", "rooms", "voice", "callbacks", "application_id", "budget")
    )
    refs = iter("abcd")
    used: dict[str, Any] = {
        "event_handler": engine,
        "outbound_quota": OutboundQuota(client, per_hour=2),
        "concurrent_calls": ConcurrentCalls(client, engine, lambda: NOW),  # type: ignore[arg-type] # what is used of it
        "calls_per_hour": 2,
        "timeouts": DEFAULT_TIMEOUTS,
        "clock": SimpleNamespace(now=lambda: NOW),
        "tasks": Tasks(),
        "retry_writer": SimpleNamespace(retry_until_stored=write),
        "new_ref": lambda: next(refs),
    }
    return Operators(**unused, **used)


@pytest.fixture
async def client(store_url: str, redis: Redis) -> AsyncIterator[Client]:
    client = Client(store_url)
    yield client
    await client.close()


async def test_one_that_is_refused_does_not_uncount_the_other(client: Client, redis: Redis) -> None:
    engine = CallTable()
    ordering = operators(client, engine)

    async def transfer(ref: str) -> OrderResult | RequestRefusal:
        return await ordering.order(ref, OrderTransfer(NOW, "+15550008888"), api_key="shop")

    early = Tasks().start(transfer("r1"), name="early")
    await wait_until(lambda: not engine.first)
    for ref in ("r1", "r2"):
        assert isinstance(await transfer(ref), OrderResult)
        engine.done.set()
        assert (await early) == OrderResult(engine.call("r1", Intent.BRIDGE), refusal="not now")
    await an_hour_passes(redis)
    refused = await transfer("r3")
    assert isinstance(refused, RequestRefusal)
    assert refused.reason == "calls-at-once"
    assert list(engine.calls) == ["r1", "r2"]
