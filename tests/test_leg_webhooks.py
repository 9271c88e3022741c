"""Webhooks about the B leg of a transfer that come under the names of the phone's own."""

from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.harness import PASSWORD, USERNAME, RunningService, nothing_left
from tests.operators import Operator
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator


async def told(
    service: RunningService, phone: Phone, event_type: str, *, path: str = "", **more: Any
) -> httpx.Response:
    """Of the leg of a phone, at the same moment for all that is told of it."""
    assert phone.leg is not None
    body = {
        "eventType": event_type,
        "eventTime": "2026-11-29T10:00:00.000Z",
        "callId": phone.leg.call_id,
        "parentCallId": phone.call_id,
        "direction": "outbound",
        **more,
    }
    async with httpx.AsyncClient(base_url=service.url, auth=(USERNAME, PASSWORD)) as client:
        return await client.post(path or "/callbacks/voice", json=body)


@pytest.mark.parametrize("by_ref", [False, True])
async def test_the_end_of_the_leg_is_not_the_end_of_the_phone(
    simulator: Simulator, service: RunningService, redis: Redis, *, by_ref: bool
) -> None:
    async with Operator.of(service) as operator:
        phone = await simulator.dial()
        await phone.until("bridged")
        call = await operator.call(phone.call_id)
        path = f"/callbacks/voice/{call['id']}/1" if by_ref else ""
        assert (await told(service, phone, "disconnect", path=path, cause="hangup")).status_code == 204
        assert (await operator.call(phone.call_id))["state"] == "bridged"
        # The phone's own, of the same moment, is not taken for a repetition of the leg's.
        ends = {"callId": phone.call_id, "parentCallId": phone.call_id, "direction": "inbound"}
        await told(service, phone, "disconnect", cause="hangup", **ends)
        assert (await operator.call(phone.call_id))["state"] == "ended"
        await phone.hang_up()
        await nothing_left(simulator, redis)


@pytest.mark.parametrize("event_type", ["initiate", "answer", "redirect", "gather"])
async def test_a_leg_that_asks_is_told_something_harmless(
    simulator: Simulator, service: RunningService, event_type: str
) -> None:
    """Its call goes on: a hang-up would end the talk, and a transfer would be one into nowhere."""
    phone = await simulator.dial()
    await phone.until("bridged")
    answer = await told(service, phone, event_type)
    assert answer.status_code == 200
    assert "<Tag>" in answer.text
    assert len([one for one in simulator.requests if one.operation == "createParticipant"]) == 1
    await phone.hang_up()


@pytest.mark.parametrize("event_type", ["initiate", "answer", "redirect", "gather"])
async def test_a_colleague_s_leg_is_not_hung_up(
    simulator: Simulator, service: RunningService, event_type: str
) -> None:
    async with Operator.of(service) as operator:
        phone = await simulator.dial()
        await phone.until("bridged")
        await operator.order(phone.call_id, "transfer", to="+15550107777")
        await simulator.until(
            lambda: phone.leg is not None and not phone.leg.ended and phone.leg.transfer_to == "+15550107777"
        )
        answer = await told(service, phone, event_type)
        assert answer.status_code == 200
        assert "<Tag>" in answer.text
        assert "Hangup" not in answer.text
        assert (await operator.call(phone.call_id))["state"] == "detached"
        await phone.hang_up()


@pytest.mark.parametrize("event_type", ["initiate", "answer", "gather"])
async def test_a_leg_that_asks_has_not_answered(
    simulator: Simulator, service: RunningService, event_type: str
) -> None:
    async with Operator.of(service) as operator:
        gate = simulator.gates.hold("webhook:transferAnswer")
        phone = await simulator.dial()
        await gate.reached()
        assert "<Tag>" in (await told(service, phone, event_type)).text
        assert (await operator.call(phone.call_id))["state"] == "transferring"
        gate.release()
        await phone.until("bridged")
        await phone.hang_up()
