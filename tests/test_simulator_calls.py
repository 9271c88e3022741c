"""The simulator's calls API: createCall, updateCall, getCallState, listCalls."""

from pathlib import Path
from typing import Any

import pytest

from tests.simulator import SimulatorSettings
from tests.simulator.scripted import ORIGIN, scene, transfer

PARK = '<Response><Pause duration="86400"/></Response>'
ROOT = Path(__file__).parents[1]
GRANT = {"grant_type": "client_credentials"}


async def test_an_outbound_call_is_answered_and_hung_up() -> None:
    async with scene() as stage:
        stage.service.on("answer", PARK)
        created = await stage.client.post(stage.voice, json=stage.order(tag="mine", callbackTimeout=5))
        assert created.status_code == 201
        content = created.json()
        assert created.headers["location"] == content["callUrl"]
        assert content["password"] == "*****"
        assert "uui" not in content
        phone = await stage.sim.called("+15550002222")
        await phone.until("answered")
        await stage.sim.until(lambda: phone.document == PARK)
        answer = stage.service.payload("answer")
        assert (answer["callId"], answer["tag"]) == (content["callId"], "mine")
        assert answer["direction"] == "outbound"
        assert (await stage.client.get(content["callUrl"])).json()["state"] == "answered"
        update = await stage.client.post(
            content["callUrl"], json={"state": "completed", "redirectMethod": "POST"}
        )
        assert (update.status_code, update.content) == (200, b"")
        await stage.sim.until(lambda: "disconnect" in stage.service.types())
        assert {one.credentials for one in stage.service.received} == {("call", "secret")}
        state = (await stage.client.get(content["callUrl"])).json()
        assert (state["state"], state["disconnectCause"]) == ("disconnected", "hangup")
        assert stage.sim.complaints == []


@pytest.mark.parametrize(
    ("behaviour", "cause", "sip", "message"),
    [
        ("busy", "busy", 486, "Callee is busy"),
        ("reject", "rejected", 603, "Callee rejected the call"),
        ("no-answer", "timeout", None, "Callee did not answer"),
    ],
)
async def test_an_unanswered_outbound_call_tells_why(
    behaviour: Any, cause: str, sip: int | None, message: str
) -> None:
    async with scene() as stage:
        stage.sim.numbers["+15550002222"] = behaviour
        await stage.client.post(stage.voice, json=stage.order(callTimeout=1))
        await stage.sim.until(lambda: "disconnect" in stage.service.types())
        payload = stage.service.payload("disconnect")
        assert (payload["cause"], payload.get("sipResponseCode")) == (cause, sip)
        assert payload["errorMessage"] == message
        assert {"errorId", "sipCallId"} <= set(payload)
        assert "answerTime" not in payload
        state = (await stage.client.get(payload["callUrl"])).json()
        assert (state["errorMessage"], state["errorId"]) == (message, payload["errorId"])
        assert stage.service.types() == ["disconnect"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": "5550002222"},
        {"from": "Anonymous"},
        {"applicationId": "other"},
        {"answerUrl": "/relative"},
        {"answerUrl": "http://bridge.test/answer"},
        {"disconnectUrl": "http://bridge.test/over"},
        {"callTimeout": 301},
        {"callbackTimeout": 0.5},
        {"uui": "token"},
        {"uui": "x" * 400},
        {"tag": "x" * 4097},
        {"answerMethod": "GET"},
        {"colour": "red"},
    ],
)
async def test_create_call_is_validated(wrong: dict[str, Any]) -> None:
    async with scene() as stage:
        answer = await stage.client.post(stage.voice, json=stage.order(**wrong))
        assert answer.status_code == 400
        assert answer.json()["type"] == "validation"
        assert len(stage.sim.complaints) == 1
        assert stage.sim.phones == []


async def test_update_call_redirects_a_live_call_out_of_its_transfer() -> None:
    async with scene() as stage:
        seat = await stage.seat()
        stage.service.on("initiate", transfer(f"{seat.token};encoding=jwt"))
        stage.service.on("redirect", PARK)
        gate = stage.sim.gates.hold("reply:initiate")
        phone = await stage.sim.dial()
        await gate.reached()
        redirect = {"redirectUrl": f"{ORIGIN}/redirect", "username": "r", "password": "secret", "tag": "new"}
        early = await stage.client.post(phone.call.call_url, json=redirect)
        assert (early.status_code, early.json()["id"]) == (409, "")
        gate.release()
        await phone.until("bridged")
        assert (await stage.client.post(phone.call.call_url, json=redirect)).status_code == 200
        await stage.sim.until(lambda: {"redirect", "transferDisconnect"} <= set(stage.service.types()))
        assert stage.service.payload("redirect")["tag"] == "new"
        assert phone.state == "answered"
        assert "transferComplete" not in stage.service.types()
        assert stage.sim.complaints == []


@pytest.mark.parametrize(
    "body",
    [
        {"state": "active"},
        {"state": "completed", "redirectUrl": f"{ORIGIN}/x"},
        {"state": "completed", "tag": "x"},
        {"redirectUrl": "/relative"},
        {"redirectUrl": "http://bridge.test/x", "username": "u"},
        {"state": "asleep"},
    ],
)
async def test_update_call_is_validated(body: dict[str, Any]) -> None:
    async with scene() as stage:
        stage.service.on("initiate", PARK)
        phone = await stage.sim.dial()
        await phone.until("answered")
        assert (await stage.client.post(phone.call.call_url, json=body)).status_code == 400
        assert len(stage.sim.complaints) == 1
        assert phone.state == "answered"


@pytest.mark.parametrize("status", [404, 409])
async def test_a_call_that_is_over_cannot_be_updated(status: Any) -> None:
    async with scene(SimulatorSettings(ended_call_status=status)) as stage:
        stage.service.on("initiate", PARK)
        phone = await stage.sim.dial()
        await phone.until("answered")
        await phone.hang_up()
        answer = await stage.client.post(phone.call.call_url, json={"state": "completed"})
        assert (answer.status_code, answer.json()["type"]) == (status, "validation")
        assert stage.sim.complaints == []


async def test_completing_an_unanswered_call_in_rejects_it() -> None:
    async with scene() as stage:
        stage.service.on("initiate", PARK)
        gate = stage.sim.gates.hold("reply:initiate")
        phone = await stage.sim.dial()
        await gate.reached()
        assert (await stage.client.post(phone.call.call_url, json={"state": "completed"})).status_code == 200
        assert phone.cause == "rejected"


async def test_calls_are_listed_in_pages() -> None:
    async with scene() as stage:
        stage.service.on("answer", PARK)
        for number in ("+15550000001", "+15550000002", "+15550000001"):
            await stage.client.post(stage.voice, json=stage.order(to=number))
        first = await stage.client.get(stage.voice, params={"to": "+15550000001", "pageSize": 1})
        assert len(first.json()) == 1
        second = await stage.client.get(first.links["next"]["url"])
        assert second.json()[0]["callId"] != first.json()[0]["callId"]
        assert "next" not in second.links
        future = await stage.client.get(stage.voice, params={"minStartTime": "2999-01-01T00:00:00Z"})
        assert future.json() == []


async def test_a_call_can_take_a_while_to_be_seen() -> None:
    async with scene(SimulatorSettings(call_visible_after=60)) as stage:
        stage.service.on("answer", PARK)
        created = await stage.client.post(stage.voice, json=stage.order())
        assert (await stage.client.get(created.json()["callUrl"])).status_code == 404
        assert (await stage.client.get(stage.voice)).json() == []
