"""A machine's clock is wrong, and nobody notices but who looks into the log."""

import asyncio

from redis.asyncio import Redis

from tests.clock_ahead import AHEAD
from tests.harness import API_KEYS, ORIGIN, nothing_left
from tests.operators import Operator
from tests.processes import environment, replica
from tests.simulator.simulator import Simulator
from tests.test_browsers_trouble import key_of
from tests.test_stopping import point_at
from tests.waiting import wait_until

LOOKS = 3.0
"""Seconds in which a worker has looked at everything that is due, more than once."""


async def test_a_replica_whose_clock_is_an_hour_ahead_ends_nothing(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    settings = environment(simulator, REDIS_URL=store_url, API_KEYS=API_KEYS, CALL_LIMIT="1800")
    async with (
        replica(settings) as right,
        replica(settings, module="tests.clock_ahead") as ahead,
        Operator.at(right.url, key_of(API_KEYS)) as operator,
        Operator.at(ahead.url, key_of(API_KEYS)) as other,
    ):
        point_at(simulator, right.url)
        staying, leaving = await simulator.dial(), await simulator.dial()
        for phone in (staying, leaving):
            await phone.until("bridged")
        browser = await operator.ask("POST", "/rooms/sales/participants", {})
        heartbeat = f"/rooms/sales/participants/{browser['participantId']}/heartbeat"

        gate = simulator.gates.hold("removeParticipantFromSession")
        await leaving.hang_up()
        await gate.reached()
        await asyncio.sleep(LOOKS)
        assert gate.held == 1, "whose lease it is does the work, and nobody else"
        gate.release()

        assert staying.stage == "bridged"
        for one in (operator, other):
            assert (await one.send("POST", heartbeat)).status_code == 204
        [call] = [one for one in (await other.ask("GET", "/calls"))["calls"] if one["state"] != "ended"]
        assert call["state"] == "bridged"
        await wait_until(lambda: ahead.log("clock.off"))
        [line] = ahead.log("clock.off")
        assert abs(line["seconds"] - AHEAD) < 5
        assert right.log("clock.off") == []

        simulator.webhooks.map_origin(ORIGIN, ahead.url)
        await other.ask("DELETE", heartbeat.removesuffix("/heartbeat"))
        await staying.hang_up()
        await nothing_left(simulator, redis)
        assert [len(one.log("effect.dead_lettered")) for one in (right, ahead)] == [0, 0]
