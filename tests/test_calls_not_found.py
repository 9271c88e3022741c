"""A webhook of a call that the store does not have, for a moment or any more: who may live is not hung up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from redis.asyncio import Redis

from service.calls.refs import ref_of_call
from service.store import keys
from tests.harness import PASSWORD, USERNAME, RunningService, serving
from tests.operators import Operator, bridged, operator_for
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

MOMENT = "One moment, please."


@asynccontextmanager
async def away(redis: Redis, phone: Phone) -> AsyncIterator[None]:
    """As when it is read from a server that lags behind."""
    key = keys.call(ref_of_call(phone.call_id))
    await redis.rename(key, "aside")
    yield
    await redis.rename("aside", key)


async def test_a_leg_that_has_answered_stays(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis) as (service, operator):
        gate = simulator.gates.hold("webhook:transferAnswer")
        phone = await simulator.dial()
        await gate.reached()
        async with away(redis, phone):
            gate.release()
            await wait_until(lambda: service.log(event="webhook.answered", event_type="transferAnswer"))
        await phone.until("bridged")
        assert service.log(event="event.ignored", reason="call is not known")
        await phone.hang_up()
        assert (await operator.until(phone.call_id, "ended"))["outcome"]["cause"] == "hangup"


async def test_who_asks_what_to_do_is_told_to_come_back(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis) as (_, operator):
        phone, _ = await bridged(simulator, operator)
        gate = simulator.gates.hold("reply:transferComplete")
        async with away(redis, phone):
            await phone.far_end_hangs_up("error")
            await gate.reached()
        gate.release()
        await wait_until(lambda: phone.leg is not None and not phone.leg.ended)
        await phone.until("bridged")
        assert phone.heard == [MOMENT]
        await phone.hang_up()


async def test_a_call_that_is_lost_begins_anew(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with serving(simulator, store_url) as service, Operator.of(service) as operator:
        phone, _ = await bridged(simulator, operator)
        await redis.flushall()
        before = phone.leg
        await phone.far_end_hangs_up("error")
        await wait_until(lambda: phone.leg is not before and phone.stage == "bridged")
        assert phone.heard == [MOMENT]
        assert (await operator.until(phone.call_id, "bridged"))["state"] == "bridged"
        await phone.hang_up()
        await operator.until(phone.call_id, "ended")


async def test_a_leg_of_ours_whose_call_is_lost_asks_a_few_times(service: RunningService) -> None:
    path, ends = f"/callbacks/legs/{ref_of_call('c-1')}/1", []
    body = {"eventType": "answer", "callId": "leg", "direction": "outbound"}
    async with httpx.AsyncClient(base_url=service.url, auth=(USERNAME, PASSWORD)) as client:
        for again in ("", "?again=1&since=0", "?again=2&since=0", "?again=3&since=0"):
            document = (await client.post(path + again, json=body)).text
            ends.append("<Redirect" not in document and "<Hangup" in document)
    assert ends == [False, False, False, True]
