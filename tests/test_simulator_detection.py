"""The simulator's answering machine detection: who answers, and when whoever asked is told."""

import asyncio
from typing import Any

import pytest
from starlette.responses import Response

from tests.simulator import SimulatorSettings
from tests.simulator.scripted import ORIGIN, ScriptedScene, scene

PARK = '<Response><Pause duration="86400"/></Response>'
NUMBER = "+15550002222"
SYNC = {"mode": "sync"}
CALLBACK = {"callbackUrl": f"{ORIGIN}/machine", "username": "amd", "password": "secret"}


async def sync_result(stage: ScriptedScene, **fields: Any) -> Any:
    stage.service.on("answer", PARK)
    await stage.place(machineDetection=SYNC | fields)
    await stage.told("answer")
    return stage.service.payload("answer")["machineDetectionResult"]


@pytest.mark.parametrize(("behaviour", "value"), [("answer", "human"), ("voicemail", "answering-machine")])
async def test_the_answer_waits_for_a_synchronous_detection(behaviour: Any, value: str) -> None:
    async with scene() as stage:
        stage.sim.numbers[NUMBER] = behaviour
        stage.service.on("answer", PARK)
        phone = await stage.place(machineDetection=SYNC)
        await phone.until("answered")
        assert stage.service.types() == []
        await stage.told("answer")
        result = stage.service.payload("answer")["machineDetectionResult"]
        assert result == {"value": value, "duration": "PT2S"}
        assert stage.service.types() == ["answer"]
        assert stage.sim.complaints == []


@pytest.mark.parametrize(("behaviour", "value"), [("answer", "human"), ("voicemail", "answering-machine")])
async def test_an_asynchronous_detection_is_an_event_of_its_own(behaviour: Any, value: str) -> None:
    async with scene() as stage:
        stage.sim.numbers[NUMBER] = behaviour
        stage.service.on("answer", PARK)
        phone = await stage.place(machineDetection=CALLBACK, tag="mine")
        await stage.told("answer", "machineDetectionComplete")
        assert stage.service.types() == ["answer", "machineDetectionComplete"]
        assert "machineDetectionResult" not in stage.service.payload("answer")
        received = stage.service.received[1]
        assert (received.path, received.credentials) == ("/machine", ("amd", "secret"))
        assert received.payload["machineDetectionResult"] == {"value": value, "duration": "PT2S"}
        assert (received.payload["callId"], received.payload["tag"]) == (phone.call_id, "mine")
        assert set(received.payload) == {
            "eventType", "eventTime", "accountId", "applicationId", "to", "from", "direction", "callId",
            "callUrl", "enqueuedTime", "startTime", "answerTime", "machineDetectionResult", "tag",
        }  # fmt: skip
        assert not stage.sim.deliveries[1].synchronous
        assert stage.sim.complaints == []


@pytest.mark.parametrize("detection", [SYNC, CALLBACK])
async def test_a_call_that_ends_is_not_detected(detection: dict[str, Any]) -> None:
    async with scene() as stage:
        stage.service.on("answer", PARK)
        phone = await stage.place(machineDetection=detection)
        await phone.until("answered")
        await phone.hang_up()
        await stage.told("disconnect")
        await asyncio.sleep(0.1)
        assert set(stage.service.types()) <= {"answer", "disconnect"}
        assert detection == CALLBACK or "answer" not in stage.service.types()


async def test_a_call_that_is_redirected_still_is() -> None:
    async with scene() as stage:
        stage.service.on("answer", PARK)
        stage.service.on("redirect", PARK)
        phone = await stage.place(machineDetection=CALLBACK)
        await stage.told("answer")
        await stage.client.post(phone.call.call_url, json={"redirectUrl": f"{ORIGIN}/redirect"})
        await stage.told("redirect", "machineDetectionComplete")


@pytest.mark.parametrize(
    ("behaviour", "fields", "duration"),
    [
        ("answer", {}, "PT2S"),
        ("voicemail", {}, "PT8.5S"),
        ("voicemail", {"detectionTimeout": 5}, "PT5S"),
    ],
)
async def test_a_delayed_result_comes_after_the_message_of_a_machine(
    behaviour: Any, fields: dict[str, Any], duration: str
) -> None:
    async with scene(SimulatorSettings(machine_message=6.5)) as stage:
        stage.sim.numbers[NUMBER] = behaviour
        assert (await sync_result(stage, delayResult=True, **fields))["duration"] == duration


@pytest.mark.parametrize(
    ("value", "duration"),
    [("silence", "PT3S"), ("timeout", "PT4S"), ("error", "PT2S"), ("tone-detected", "PT2S")],
)
async def test_other_results_can_be_had(value: Any, duration: str) -> None:
    async with scene() as stage:
        stage.sim.detections[NUMBER] = value
        result = await sync_result(stage, silenceTimeout=3, detectionTimeout=4)
        assert result == {"value": value, "duration": duration}


async def test_a_slow_detection_runs_into_its_timeout() -> None:
    async with scene(SimulatorSettings(detection_delay=16, time_scale=0.001)) as stage:
        assert await sync_result(stage) == {"value": "timeout", "duration": "PT15S"}


async def test_nothing_is_detected_unless_it_was_asked_for() -> None:
    async with scene() as stage:
        stage.sim.numbers[NUMBER] = "voicemail"
        stage.service.on("answer", "<Response/>")
        phone = await stage.place()
        await phone.until("ended")
        await stage.told("disconnect")
        assert "machineDetectionResult" not in stage.service.payload("answer")


async def test_nothing_is_detected_unless_somebody_answers() -> None:
    async with scene() as stage:
        stage.sim.numbers[NUMBER] = "busy"
        phone = await stage.place(machineDetection=SYNC)
        await phone.until("ended")
        await stage.told("disconnect")
        assert stage.service.types() == ["disconnect"]


async def test_the_result_has_a_fallback() -> None:
    async def first_fails(_payload: dict[str, Any]) -> Response:
        return Response(status_code=204 if stage.service.received[-1].path == "/fallback" else 500)

    async with scene() as stage:
        stage.service.on("answer", PARK)
        stage.service.on("machineDetectionComplete", first_fails)
        fallback = {
            "fallbackUrl": f"{ORIGIN}/fallback",
            "fallbackUsername": "f",
            "fallbackPassword": "secret",
        }
        await stage.place(machineDetection=CALLBACK | fallback)
        await stage.sim.until(lambda: len(stage.sim.deliveries) == 3)
        results = [one for one in stage.service.received if one.event_type == "machineDetectionComplete"]
        assert [one.path for one in results] == ["/machine", "/fallback"]
        assert results[1].credentials == ("f", "secret")


async def test_every_field_is_taken_and_none_is_echoed() -> None:
    async with scene() as stage:
        stage.service.on("answer", PARK)
        seconds = ["detectionTimeout", "silenceTimeout", "speechThreshold", "speechEndThreshold"]
        full = CALLBACK | dict.fromkeys([*seconds, "machineSpeechEndThreshold"], 5) | {
            "mode": "async", "delayResult": False, "callbackMethod": "POST", "fallbackMethod": "POST",
            "fallbackUrl": f"{ORIGIN}/fallback", "fallbackUsername": "f", "fallbackPassword": "secret",
        }  # fmt: skip
        created = await stage.client.post(stage.voice, json=stage.order(machineDetection=full))
        assert created.status_code == 201
        assert "machineDetection" not in created.json()
        methods = {"mode": "sync", "callbackMethod": "POST", "fallbackMethod": "POST", "callbackUrl": None}
        assert (await stage.place(machineDetection=methods)).state != "ended"
        assert stage.sim.complaints == []


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        None,
        {"mode": "async"},
        CALLBACK | {"mode": "sometimes"},
        CALLBACK | {"mode": "sync"},
        CALLBACK | {"detectionTimeout": 4.5},
        CALLBACK | {"detectionTimeout": "4"},
        CALLBACK | {"silenceTimeout": 0},
        CALLBACK | {"speechThreshold": True},
        CALLBACK | {"delayResult": "true"},
        CALLBACK | {"callbackUrl": "/machine"},
        CALLBACK | {"callbackUrl": "http://bridge.test/machine"},
        CALLBACK | {"callbackMethod": "GET"},
        CALLBACK | {"username": "x" * 1025},
        CALLBACK | {"fallbackUrl": "/fallback"},
        CALLBACK | {"fallbackUrl": "http://bridge.test/fallback", "fallbackUsername": "f"},
        CALLBACK | {"callbackTimeout": 5},
        {"mode": "sync", "fallbackUrl": f"{ORIGIN}/fallback"},
    ],
)
async def test_what_is_asked_for_is_validated(wrong: Any) -> None:
    async with scene() as stage:
        answer = await stage.client.post(stage.voice, json=stage.order(machineDetection=wrong))
        assert (answer.status_code, answer.json()["type"]) == (400, "validation")
        assert len(stage.sim.complaints) == 1
        assert stage.sim.phones == []
