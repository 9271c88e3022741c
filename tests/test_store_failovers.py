"""What failovers cost, with orders, callers and browsers: the figures of docs/store.md.

`make test-stores` runs them; `-s` shows the figures. Orders: calls placed and calls put on hold; lost is one
that was acknowledged and that the store does not know of afterwards.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final, Self

import pytest
from redis.asyncio import RedisCluster

from service.store import keys
from service.tasks import Tasks
from tests.browsers import ApiBrowser, add_browser
from tests.harness import ORIGIN, RunningService, nothing_left, serving
from tests.operators import Operator
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator
from tests.store_servers import LEFT_BEHIND, ClusterGroup, SentinelGroup, running
from tests.waiting import wait_until

pytestmark = [pytest.mark.stores, *LEFT_BEHIND]

BEFORE: Final = 1.5
"""Seconds of life before a failover; as many follow it."""
ORDERS: Final = 10
CALLS: Final = 4
"""A second."""
HELD: Final = "orderHold"
PLACED: Final = "placed"
_turns: Final = count()


class Order:
    def __init__(self, call_id: str, event: str, acknowledged: float) -> None:
        self.call_id, self.event, self.acknowledged = call_id, event, acknowledged


class Traffic:
    """Orders, callers and browsers for as long as it lasts, at two replicas in turn."""

    def __init__(self, simulator: Simulator, operators: list[Operator], browsers: list[ApiBrowser]) -> None:
        self.simulator = simulator
        self.browsers = browsers
        self.orders: list[Order] = []
        self.longest_order = 0.0
        self.longest_call = 0.0
        self.thrown_out: list[str] = []
        self._operators = operators
        self._over = False

    @property
    def operator(self) -> Operator:
        return self._operators[next(_turns) % len(self._operators)]

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        tasks = [
            Tasks().start(each, name="life")
            for each in (
                self._often(self._place, ORDERS),
                self._often(self._arrive, CALLS),
                *(self._beat(browser) for browser in self.browsers),
            )
        ]
        try:
            yield
        finally:
            self._over = True
            await asyncio.gather(*tasks)

    async def _often(self, what: Callable[[int], Coroutine[Any, Any, None]], rate: int) -> None:
        async with asyncio.TaskGroup() as group:
            while not self._over:
                group.create_task(what(next(_turns)))
                await asyncio.sleep(1 / rate)

    async def _order(self, path: str, body: Any, event: str, **headers: str) -> None:
        """Again until it is acknowledged, as whoever wants it done would."""
        begun, is_unsure = time.monotonic(), False
        while True:
            answer = await self.operator.send("POST", path, body, **headers)
            if answer.is_success:
                break
            assert answer.status_code in {404, 409, 503}, answer.text
            if answer.status_code != 503:
                assert event == HELD, answer.text
                # A master that could not say so in time may have taken it: the call is on hold, or has ended.
                phone = next(one for one in self.simulator.phones if one.call_id in path)
                assert is_unsure or phone.call.ended, answer.text
                return
            is_unsure = True
            await asyncio.sleep(0.1)
        now = time.monotonic()
        self.longest_order = max(self.longest_order, now - begun)
        self.orders.append(Order(answer.json()["id"], event, now))

    async def _place(self, number: int) -> None:
        callee = f"+1555333{number:04}"
        self.simulator.numbers[callee] = "busy"
        body = {"to": callee, "room": f"room-{number}", "prepare": "answer"}
        await self._order("/calls", body, PLACED, idempotency_key=f"once-{number}")

    async def _arrive(self, number: int) -> None:
        begun = time.monotonic()
        phone = await self.simulator.dial(from_=f"+1555222{number:04}")
        await phone.until("bridged", timeout=30)
        self.longest_call = max(self.longest_call, time.monotonic() - begun)
        await self._order(f"/calls/{phone.call_id}/hold", None, HELD)
        await phone.hang_up()

    async def _beat(self, browser: ApiBrowser) -> None:
        while not self._over:
            status = (await self.operator.send("POST", f"{browser.path}/heartbeat")).status_code
            if status not in {204, 503}:
                self.thrown_out.append(f"{browser.path}: {status}")
            await asyncio.sleep(0.3)

    async def lost(self) -> list[Order]:
        return [one for one in self.orders if not await self._is_known(one)]

    async def _is_known(self, order: Order) -> bool:
        answer = await self.operator.send("GET", f"/calls/{order.call_id}")
        if answer.status_code == 404:
            return False
        events = [one["event"] for one in answer.json()["timeline"]]
        return order.event == PLACED or HELD in events


class ServiceUnderFailover:
    """Two replicas, and browsers in a room of theirs."""

    def __init__(self, simulator: Simulator, replicas: int) -> None:
        self.simulator = simulator
        self.replicas = replicas
        self.services: list[RunningService] = []
        self.operators: list[Operator] = []
        self.browsers: list[ApiBrowser] = []

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str, replicas: int) -> AsyncIterator[Self]:
        more = {"STORE_REPLICAS": str(replicas), "CALLS_PER_HOUR": "100000"}
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            bridge = cls(await enter(Simulator(SimulatorSettings(time_scale=1))), replicas)
            for _ in range(2):
                bridge.services.append(await enter(serving(bridge.simulator, url, **more)))
                bridge.operators.append(await enter(Operator.of(bridge.services[-1])))
            bridge.simulator.webhooks.map_origin(ORIGIN, *(one.url for one in bridge.services))
            for _ in range(3):
                bridge.browsers.append(await add_browser(bridge.simulator, bridge.operators[0], "browsers"))
            yield bridge

    async def lives_through(self, how: str, trouble: Awaitable[Any]) -> tuple[list[Order], float]:
        """Orders that were lost, and when the trouble was over: another was master."""
        life = Traffic(self.simulator, self.operators, self.browsers)
        async with life.going_on():
            await asyncio.sleep(BEFORE)
            begun = time.monotonic()
            await trouble
            over = time.monotonic()
            await asyncio.sleep(BEFORE)
        lost = await life.lost()
        print(
            f"\nSTORE_REPLICAS={self.replicas} {how}: over after {over - begun:.1f} s; "
            f"{len(lost)} of {len(life.orders)} orders lost; orders waited {life.longest_order:.1f} s, "
            f"callers {life.longest_call:.1f} s at most"
        )
        assert len(life.orders) > ORDERS * 2 * BEFORE
        assert not life.thrown_out
        assert all([await one.seated() for one in self.browsers])
        return lost, over

    def was_known(self) -> bool:
        """No webhook came of a call that the store did not name."""
        return not [one for one in self.services if one.log("event.ignored", reason="call is not known")]

    async def nothing_left(self, redis: Any) -> None:
        for browser in self.browsers:
            assert await browser.leave() == 204
        await nothing_left(self.simulator, redis, seconds=40)
        assert not [line for one in self.services for line in one.log(level="error")]


@pytest.mark.parametrize("replicas", [0, 1, 2])
async def test_sentinels_fail_over(tmp_path: Path, replicas: int) -> None:
    """One replica more than has to confirm, or nobody would be there to confirm afterwards."""
    async with (
        running(SentinelGroup(tmp_path, max(2, 1 + replicas))) as store,
        ServiceUnderFailover.to(store.url, replicas) as bridge,
    ):
        lost, _ = await bridge.lives_through("COORDINATED", store.switch("COORDINATED"))
        assert not lost
        assert bridge.was_known()
        await wait_until(store.whole, seconds=20, what="a replica never came back")
        lost, over = await bridge.lives_through("plain", store.switch())
        assert all(order.acknowledged > over - 1 for order in lost)
        assert not replicas or not lost
        assert bridge.was_known()
        await wait_until(store.whole, seconds=30, what="the old master never became a replica")
        lost, _ = await bridge.lives_through("kill", store.fail_over())
        assert not replicas or not lost
        await bridge.nothing_left((await store.master()).redis)


@pytest.mark.parametrize("replicas", [0, 1])
async def test_a_cluster_fails_over_and_moves_slots(tmp_path: Path, replicas: int) -> None:
    async with (
        running(ClusterGroup(tmp_path)) as cluster,
        ServiceUnderFailover.to(cluster.url, replicas) as bridge,
    ):
        room = keys.room("browsers")
        lost, _ = await bridge.lives_through("planned", cluster.switch(room))
        assert not lost
        await cluster.whole_again()
        lost, _ = await bridge.lives_through("a slot is moved", cluster.migrate(room))
        assert not lost
        assert bridge.was_known()
        lost, _ = await bridge.lives_through("kill", cluster.fail_over(room))
        assert not replicas or not lost
        await cluster.whole_again()
        redis = RedisCluster(host="127.0.0.1", port=cluster.servers[2].port)
        await bridge.nothing_left(redis)
        await redis.aclose()
