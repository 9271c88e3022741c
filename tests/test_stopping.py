"""Replicas come and go: stopped by SIGTERM, killed, restarted; no call is dropped by it."""

import asyncio
import signal

from redis.asyncio import Redis

from handlers.app.container import running_services
from tests.harness import (
    ORIGIN,
    PASSWORD,
    SECOND,
    SHORT_TIMEOUTS,
    USERNAME,
    nothing_left,
    point_at_two,
    settings_for,
)
from tests.processes import environment, replica
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until


def point_at(simulator: Simulator, url: str) -> None:
    simulator.webhooks.map_origin(ORIGIN, url)
    application = simulator.application
    application.initiate_url = application.status_url = f"{ORIGIN}/callbacks/voice"
    application.username, application.password = USERNAME, PASSWORD


async def test_sigterm_lets_webhooks_in_flight_finish(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with replica(environment(simulator, REDIS_URL=store_url)) as leaving:
        point_at(simulator, leaving.url)
        gate = simulator.gates.hold("createParticipant")
        answered = simulator.gates.hold("webhook:transferAnswer")
        phone = await simulator.dial()
        await gate.reached()
        leaving.signal(signal.SIGTERM)
        gate.release()
        await answered.reached()
        assert await leaving.ended() == 0
    async with replica(environment(simulator, REDIS_URL=store_url)) as coming:
        point_at(simulator, coming.url)
        answered.release()
        await phone.until("bridged")
        assert phone.heard == []
        await phone.hang_up()
        await nothing_left(simulator, redis)


async def test_a_call_outlives_the_replica_that_bridged_it(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with replica(environment(simulator, REDIS_URL=store_url)) as first:
        point_at(simulator, first.url)
        phone = await simulator.dial()
        await phone.until("bridged")
        first.signal(signal.SIGKILL)
        await first.ended()
    assert phone.stage == "bridged"
    async with replica(environment(simulator, REDIS_URL=store_url)) as second:
        point_at(simulator, second.url)
        await phone.hang_up()
        await nothing_left(simulator, redis)


async def test_a_join_of_a_killed_replica_is_taken_over_by_its_fallback(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    settings = environment(simulator, REDIS_URL=store_url, BASE_CALLBACK_URL=SECOND, WEBHOOK_BUDGET="2")
    async with replica(settings) as first, replica(settings) as second:
        point_at_two(simulator, [first.url], [second.url])
        simulator.application.status_url = f"{SECOND}/callbacks/voice"
        gate = simulator.gates.hold("addParticipantToSession")
        phone = await simulator.dial()
        await gate.reached()
        first.signal(signal.SIGKILL)
        await first.ended()
        gate.release()

        await phone.until("bridged", timeout=10)

        joins = [line for line in second.log("call.changed") if line["reply"] == "join"]
        assert [line["attempt"] for line in joins] == [2]
        await simulator.until(lambda: len(simulator.ledger.alive().participants) == 1)
        await simulator.until(lambda: len(simulator.ledger.alive().sessions) == 1)
        await phone.hang_up()
        await nothing_left(simulator, redis)


async def test_a_replica_that_was_frozen_in_a_join_comes_back_to_a_call_that_others_have_bridged(
    store_url: str, redis: Redis
) -> None:
    async with Simulator(SimulatorSettings(callback_timeout=2.0)) as simulator:
        settings = environment(simulator, REDIS_URL=store_url, BASE_CALLBACK_URL=SECOND, WEBHOOK_BUDGET="1.5")
        async with replica(settings) as first, replica(settings) as second:
            point_at_two(simulator, [first.url], [second.url])
            gate = simulator.gates.hold("createParticipant")
            phone = await simulator.dial()
            await gate.reached()
            first.signal(signal.SIGSTOP)
            gate.release()
            await phone.until("bridged", timeout=15)
            assert phone.heard == []
            first.signal(signal.SIGCONT)
            await simulator.until(lambda: len(simulator.ledger.alive().participants) == 1, timeout=20)
            await simulator.until(lambda: len(simulator.ledger.alive().sessions) == 1, timeout=20)
            assert phone.stage == "bridged"
            await phone.hang_up()
            await nothing_left(simulator, redis)


async def test_a_create_that_is_cut_off_is_in_doubt(simulator: Simulator, store_url: str) -> None:
    async with replica(environment(simulator, REDIS_URL=store_url, SHUTDOWN_GRACE="1")) as leaving:
        point_at(simulator, leaving.url)
        gate = simulator.gates.hold("createParticipant")
        phone = await simulator.dial()
        await gate.reached()
        await wait_until(lambda: leaving.log("create.done"))
        leaving.signal(signal.SIGTERM)
        assert await leaving.ended() == 0
        [line] = leaving.log("create.in_doubt")
        assert (line["operation"], line["error"], line["ref"]) == (
            "create-participant",
            "cut-off",
            leaving.log("call.changed")[0]["ref"],
        )
        gate.release()
        await phone.hang_up()


async def test_what_is_cut_off_still_writes_down_what_it_owes(simulator: Simulator, store_url: str) -> None:
    written: list[str] = []

    async def write() -> None:
        await asyncio.sleep(0.1)  # as a store takes that is busy
        written.append("owed")

    settings = settings_for(simulator, store_url, SHUTDOWN_GRACE="1")
    async with running_services(settings, run_worker=False, timeouts=SHORT_TIMEOUTS) as bridge:

        async def hangs() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                bridge.tasks.start(write(), name="owe")

        bridge.tasks.start(hangs(), name="hangs")
        await asyncio.sleep(0)
    assert written == ["owed"]
