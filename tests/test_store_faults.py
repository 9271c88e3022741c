"""The store is there and does not do its work: callers wait on the line, and get in when it is mended.

That it is not there at all is in test_store_down.py.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.harness import RunningService, nothing_left, serving
from tests.proxy import proxy_to
from tests.simulator.simulator import Simulator
from tests.store_servers import OPTIONS, RedisServer, running
from tests.waiting import wait_until

NOBODY: Final = ("REPLICAOF", "127.0.0.1", "1")


class Broken:
    """A store, and a way to it, with one fault at a time."""

    def __init__(self, server: RedisServer, stack: AsyncExitStack) -> None:
        self.server = server
        self._stack = stack

    async def breaks(self, fault: str) -> None:
        asked = self.server.asked
        if fault == "full":
            await asked("CONFIG", "SET", "maxmemory", 1)
        elif fault == "read-only":
            await asked(*NOBODY)
        elif fault == "stale":
            await asked("CONFIG", "SET", "replica-serve-stale-data", "no")
            await asked(*NOBODY)
        elif fault == "loses replicas":
            await asked("CONFIG", "SET", "min-replicas-to-write", 1)
        elif fault == "frozen":
            self._stack.enter_context(self.server.dump())
        elif fault == "restarting":
            self.server.kill()

    async def is_mended(self, fault: str) -> None:
        await self._stack.aclose()
        if fault == "restarting":
            await self.server.start()
        elif fault != "frozen":
            await self.server.asked("REPLICAOF", "NO", "ONE")
            await self.server.asked("CONFIG", "SET", "maxmemory", 0)
            await self.server.asked("CONFIG", "SET", "min-replicas-to-write", 0)


FAULTS: Final = ["full", "read-only", "stale", "loses replicas", "frozen", "restarting"]


@asynccontextmanager
async def breakable(simulator: Simulator, directory: Path) -> AsyncIterator[tuple[Broken, RunningService]]:
    async with (
        AsyncExitStack() as stack,
        running(RedisServer(directory, *OPTIONS)) as server,
        serving(simulator, server.url, WEBHOOK_BUDGET="4") as service,
    ):
        yield Broken(server, stack), service


def answered_well(simulator: Simulator) -> None:
    assert {one.status for one in simulator.deliveries} <= {200, 204}
    assert max(one.ms for one in simulator.deliveries) < 5000


@pytest.mark.parametrize("fault", FAULTS)
async def test_who_calls_meanwhile_gets_in_afterwards(
    simulator: Simulator, tmp_path: Path, fault: str
) -> None:
    async with breakable(simulator, tmp_path) as (store, service):
        await store.breaks(fault)
        phone = await simulator.dial()
        await phone.hears("One moment")
        assert service.log("webhook.degraded")
        await store.is_mended(fault)
        await phone.until("bridged", timeout=20)
        await phone.hang_up()
        answered_well(simulator)
        await nothing_left(simulator, store.server.redis)
        assert not service.log(level="error")


@pytest.mark.parametrize("fault", FAULTS)
async def test_who_is_being_joined_gets_in_afterwards(
    simulator: Simulator, tmp_path: Path, fault: str
) -> None:
    async with breakable(simulator, tmp_path) as (store, service):
        gate = simulator.gates.hold("createParticipant")
        phone = await simulator.dial()
        await gate.reached()
        await store.breaks(fault)
        gate.release()
        await phone.hears("One moment")
        await store.is_mended(fault)
        await phone.until("bridged", timeout=20)
        await phone.hang_up()
        answered_well(simulator)
        await nothing_left(simulator, store.server.redis, seconds=20)
        assert not service.log(level="error")


async def test_who_was_being_joined_does_not_wait_for_the_end_of_that_attempt(
    simulator: Simulator, tmp_path: Path
) -> None:
    """It is written down that somebody works on it for as long as a webhook lasts; nobody does any more."""
    async with (
        AsyncExitStack() as stack,
        running(RedisServer(tmp_path, *OPTIONS)) as server,
        serving(simulator, server.url, WEBHOOK_BUDGET="14") as service,
    ):
        store = Broken(server, stack)
        gate = simulator.gates.hold("createParticipant")
        phone = await simulator.dial()
        await gate.reached()
        await store.breaks("read-only")
        gate.release()
        await phone.hears("One moment")
        await store.is_mended("read-only")
        await phone.until("bridged", timeout=5)
        await phone.hang_up()
        await nothing_left(simulator, server.redis)
        assert not service.log(level="error")


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_bridged_stays_and_is_taken_down(
    simulator: Simulator, tmp_path: Path, fault: str
) -> None:
    async with breakable(simulator, tmp_path) as (store, service):
        phone = await simulator.dial()
        await phone.until("bridged")
        await store.breaks(fault)
        await phone.hang_up()
        await wait_until(lambda: service.log("webhook.answered", reply="deferred"))
        await store.is_mended(fault)
        answered_well(simulator)
        await nothing_left(simulator, store.server.redis, seconds=20)
        assert not service.log(level="error")


async def test_a_store_that_is_slow_and_one_that_is_too_slow(simulator: Simulator, tmp_path: Path) -> None:
    async with (
        running(RedisServer(tmp_path, *OPTIONS)) as server,
        proxy_to(server.port) as proxy,
        serving(simulator, proxy.url) as service,
    ):
        proxy.delay = 0.3
        phone = await simulator.dial()
        await phone.until("bridged", timeout=20)
        assert not service.log("webhook.degraded"), "slow is no fault"

        proxy.delay = 2.0
        other = await simulator.dial()
        await other.hears("One moment")
        assert service.log("webhook.degraded")

        proxy.delay = 0.0
        await other.until("bridged", timeout=20)
        await phone.hang_up()
        await other.hang_up()
        answered_well(simulator)
        await nothing_left(simulator, server.redis, seconds=20)
        assert not service.log(level="error")


async def test_a_name_that_leads_to_a_new_master(simulator: Simulator, tmp_path: Path) -> None:
    """The old one stays up and takes no more writes; nothing but the name says who is master now."""
    async with (
        running(RedisServer(tmp_path, *OPTIONS)) as old,
        running(RedisServer(tmp_path, *OPTIONS)) as new,
        proxy_to(old.port) as proxy,
        serving(simulator, proxy.url) as service,
    ):
        phone = await simulator.dial()
        await phone.until("bridged")
        await new.asked("REPLICAOF", "127.0.0.1", old.port)
        await wait_until(new.is_in_step)
        await new.asked("REPLICAOF", "NO", "ONE")
        proxy.port = new.port
        await old.asked("REPLICAOF", "127.0.0.1", new.port)

        other = await simulator.dial()
        await other.until("bridged", timeout=20)
        await phone.hang_up()
        await other.hang_up()
        answered_well(simulator)
        await nothing_left(simulator, new.redis, seconds=20)
        assert not service.log(level="error")
