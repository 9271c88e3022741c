"""What all lives of a turn share: the simulator, the operators' API, the way to the replicas, the records."""

import asyncio
import random  # noqa: TID251 - each life has seeded dice of its own
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import httpx
import msgspec

from service.tasks import Tasks
from tests.chaos.api import OperatorApi
from tests.chaos.fleet import ReplicaAddress
from tests.chaos.records import Records
from tests.operators import NO_TLS
from tests.simulator.clock import monotonic
from tests.simulator.simulator import Simulator
from tests.simulator.webhooks import DeliveryFault

Dice = random.Random
TIMEOUT = 5.0
"""Seconds that a page waits for the answer to a heartbeat (handlers/page/src/api_client.js)."""


class ReplicaAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`status` None: nobody has answered. Times are monotonic seconds."""

    status: int | None
    sent_at: float
    over: float
    json: Any = None
    cookie: str = ""

    @property
    def is_success(self) -> bool:
        return self.status is not None and self.status < 300


class ReplicaClient:
    """To the replicas as a browser goes it: one request, one answer or none, at either of them."""

    def __init__(self, addresses: list[ReplicaAddress]) -> None:
        self.hosts = [one.host for one in addresses]
        self.clients = [httpx.AsyncClient(base_url=one.url, verify=NO_TLS, timeout=15) for one in addresses]

    async def ask(
        self, at: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> ReplicaAnswer:
        """`at`: which of the two addresses is asked."""
        sent_at = monotonic()
        try:
            answer = await self.clients[at % 2].request(method, path, json=body, headers=headers)
        except httpx.TransportError:
            return ReplicaAnswer(status=None, sent_at=sent_at, over=monotonic())
        is_json = "json" in answer.headers.get("content-type", "")
        return ReplicaAnswer(
            status=answer.status_code,
            sent_at=sent_at,
            over=monotonic(),
            json=answer.json() if is_json else None,
            cookie=answer.headers.get("set-cookie", "").partition(";")[0],
        )

    async def close(self) -> None:
        for client in self.clients:
            await client.aclose()


class ScenarioContext:
    def __init__(
        self, simulator: Simulator, api: OperatorApi, records: Records, fate: Callable[[], DeliveryFault]
    ) -> None:
        self.simulator = simulator
        self.api = api
        self.records = records
        self.heartbeat_fault = fate
        """What becomes of the next heartbeat on its way."""
        self.replicas = ReplicaClient(api.addresses)
        self.parting = asyncio.Event()
        """The storm is over: browsers that have stayed leave now."""
        self.settled = asyncio.Event()
        """Everything is settled: listeners that have stayed hear the last of it now."""
        self._tasks = Tasks()
        self._staying: list[asyncio.Task[None]] = []
        self._listening: list[asyncio.Task[None]] = []

    def stay(self, life: Coroutine[Any, Any, None]) -> None:
        """Let a browser go on until `part`."""
        self._staying.append(self._tasks.start(life, name="browser"))

    def listen(self, life: Coroutine[Any, Any, None]) -> None:
        """Let a listener go on until `end`."""
        self._listening.append(self._tasks.start(life, name="listener"))

    async def part(self) -> None:
        self.parting.set()
        await asyncio.gather(*self._staying)

    async def end(self) -> None:
        self.settled.set()
        await asyncio.gather(*self._listening)
        await self.replicas.close()


ScenarioFunction = Callable[[ScenarioContext, int, Dice], Awaitable[None]]
"""Of a number, until it is over."""


async def within(event: asyncio.Event, seconds: float) -> bool:
    """Wait so long; True as soon as the event is there."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
