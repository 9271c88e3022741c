"""How the simulator delivers webhooks, and what tests may do to them."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from tests.simulator import SimulatorSettings
from tests.simulator.journal import PhoneChanged, RequestAnswered, SpeechHeard, WebhookDelivered
from tests.simulator.scripted import ORIGIN, scene
from tests.simulator.webhooks import DeliveryFault

PARK = '<Response><Pause duration="86400"/></Response>'
BYE = "<Response><Hangup/></Response>"


async def test_the_fallback_is_asked_after_a_failure_and_its_bxml_runs() -> None:
    async with scene() as stage:
        app = stage.sim.application
        app.initiate_fallback_url = f"{ORIGIN}/fallback"
        app.fallback_username, app.fallback_password = "fallback", "secret"
        stage.service.on(
            "initiate", 503, "<Response><SpeakSentence>from the fallback</SpeakSentence></Response>"
        )
        phone = await stage.sim.dial()
        await phone.until("ended")
        assert phone.heard == ["from the fallback"]
        initiates = [one for one in stage.service.received if one.event_type == "initiate"]
        assert [one.path for one in initiates] == ["/initiate", "/fallback"]
        assert initiates[1].credentials == ("fallback", "secret")
        assert initiates[0].payload == initiates[1].payload


@pytest.mark.parametrize("failure", ["status", "timeout", "connection"])
async def test_without_a_fallback_a_failed_webhook_ends_the_call(failure: str) -> None:
    never = asyncio.Event()

    async def silence(_payload: dict[str, Any]) -> Response:
        await never.wait()
        return Response(BYE, media_type="application/xml")

    async with scene(SimulatorSettings(callback_timeout=0.1)) as stage:
        stage.service.on("initiate", 500 if failure == "status" else silence)
        if failure == "connection":
            stage.sim.map_origin(ORIGIN, "http://127.0.0.1:9")
        phone = await stage.sim.dial()
        await phone.until("ended")
        assert phone.cause == "callback-error"
        never.set()


async def test_a_notification_is_retried_only_when_the_connection_failed() -> None:
    async with scene() as stage:
        stage.service.on("initiate", BYE)
        stage.service.on("disconnect", 500)
        await stage.sim.dial()
        await stage.told("disconnect")
        stage.sim.application.status_url = "http://127.0.0.1:9/status"
        stage.sim.deliveries.clear()
        await stage.sim.dial()
        await stage.sim.until(
            lambda: [one.event_type for one in stage.sim.deliveries].count("disconnect") == 2
        )
        assert stage.service.types().count("disconnect") == 1


async def test_a_challenge_can_come_before_the_credentials() -> None:
    async with scene() as stage:
        stage.service.challenges = True
        stage.sim.webhooks.challenge_first = True
        stage.service.on("initiate", PARK)
        phone = await stage.sim.dial()
        await phone.until("answered")
        assert [one.credentials for one in stage.service.received] == [None, ("application", "secret")]
        assert [one.status for one in stage.sim.deliveries] == [401, 200]


async def test_duplicates_go_out_together_and_one_reply_is_executed() -> None:
    async with scene() as stage:
        stage.sim.webhooks.duplicate = {"initiate"}
        stage.service.on("initiate", "<Response><SpeakSentence>once</SpeakSentence></Response>")
        phone = await stage.sim.dial()
        await phone.until("ended")
        await stage.sim.until(lambda: stage.service.types().count("initiate") == 2)
        assert phone.heard == ["once"]
        first, second = (one.payload for one in stage.service.received if one.event_type == "initiate")
        assert first == second


async def test_a_delivery_can_be_repeated_byte_for_byte() -> None:
    async with scene() as stage:
        stage.service.on("initiate", PARK)
        phone = await stage.sim.dial()
        await phone.until("answered")
        stage.service.on("initiate", BYE)
        assert await stage.sim.repeat(stage.sim.deliveries[0]) == (200, BYE.encode())
        assert stage.service.received[0] == stage.service.received[1]
        assert phone.state == "answered"


async def test_dropped_and_delayed_webhooks() -> None:
    async with scene(SimulatorSettings(farewell="leg-first")) as stage:
        stage.sim.webhooks.drop = {"transferDisconnect"}
        phone = await stage.bridged()
        stage.sim.webhooks.delay["initiate"] = 0.1
        stage.service.on("initiate", PARK)
        late = await stage.sim.dial()
        await late.hang_up()
        await phone.hang_up()
        await stage.sim.until(lambda: len(stage.sim.deliveries) == 4)
        assert stage.service.types() == ["initiate", "disconnect", "disconnect", "initiate"]
        assert late.cause == "cancel"


async def test_each_try_of_a_webhook_can_have_a_fate_of_its_own() -> None:
    asked: list[tuple[str, str]] = []

    def fate(event_type: str, url: str) -> DeliveryFault:
        asked.append((event_type, url.removeprefix(ORIGIN)))
        lost = event_type == "initiate" and not url.endswith("/fallback")
        return DeliveryFault(lost=lost, copies=1 if lost else 2)

    async with scene(SimulatorSettings(callback_timeout=0.1)) as stage:
        stage.sim.application.initiate_fallback_url = f"{ORIGIN}/fallback"
        stage.sim.webhooks.delivery_fault = fate
        stage.service.on("initiate", BYE)
        phone = await stage.sim.dial()
        await phone.until("ended")
        await stage.sim.until(lambda: len(stage.service.received) == 4)
        assert asked == [("initiate", "/initiate"), ("initiate", "/fallback"), ("disconnect", "/status")]
        assert sorted(one.path for one in stage.service.received) == [*["/fallback"] * 2, *["/status"] * 2]
        assert stage.sim.webhooks.failed == []


async def test_what_no_address_has_answered_is_kept() -> None:
    async with scene(SimulatorSettings(callback_timeout=0.1)) as stage:
        stage.sim.application.initiate_fallback_url = "http://127.0.0.1:9/fallback"
        stage.service.on("initiate", 500)
        phone = await stage.sim.dial()
        await phone.until("ended")
        [failed] = stage.sim.webhooks.failed
        assert (failed.event_type, failed.call_id) == ("initiate", phone.call_id)
        assert [one.status for one in failed.tries] == [500, None]


async def test_hanging_up_while_the_webhook_is_in_flight_ignores_its_reply() -> None:
    async with scene() as stage:
        stage.service.on("initiate", "<Response><SpeakSentence>too late</SpeakSentence></Response>")
        gate = stage.sim.gates.hold("webhook:initiate")
        phone = await stage.sim.dial()
        await gate.reached()
        await phone.hang_up()
        await stage.told("disconnect")
        assert stage.service.types() == ["disconnect"]
        gate.release()
        await stage.told("initiate")
        assert phone.heard == []
        assert phone.cause == "cancel"


async def test_an_observer_sees_every_step() -> None:
    seen: list[Any] = []
    async with scene() as stage:
        stage.sim.observe(seen.append)
        stage.service.on("initiate", "<Response><SpeakSentence>hello</SpeakSentence></Response>")
        await (await stage.sim.dial()).until("ended")
        await stage.session()
        await stage.told("disconnect")
    kinds = {type(one) for one in seen}
    assert kinds == {RequestAnswered, WebhookDelivered, PhoneChanged, SpeechHeard}
    assert [one.stage for one in seen if isinstance(one, PhoneChanged)] == ["ringing", "answered", "ended"]


async def test_a_simulator_with_everything_in_flight_stops_quickly() -> None:
    # Stopping waits a second at most for answers; these have to be let go before that.
    async with asyncio.timeout(1), scene() as stage:
        stage.service.on("initiate", PARK)
        stage.sim.gates.hold("getSession")
        stage.sim.faults.add("createSession", hang=True)
        stage.sim.faults.add("createParticipant", delay=60)
        await (await stage.sim.dial()).until("answered")
        paths = [("POST", "sessions"), ("POST", "participants"), ("GET", "sessions/x")]
        async with asyncio.TaskGroup() as group:
            for method, path in paths:
                group.create_task(abandoned(stage.client, method, f"{stage.webrtc}/{path}"))


async def abandoned(client: httpx.AsyncClient, method: str, path: str) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await client.request(method, path, timeout=0.1)


@pytest.mark.parametrize("trusted", [True, False])
async def test_credentials_go_over_https_or_to_a_mapped_origin_only(*, trusted: bool) -> None:
    async with scene() as stage:
        if trusted:
            stage.sim.map_origin(stage.service.url)
        url = f"{stage.service.url}/next"
        stage.service.on(
            "initiate", f'<Response><Redirect redirectUrl="{url}" username="u" password="p"/></Response>'
        )
        stage.service.on("redirect", BYE)
        phone = await stage.sim.dial()
        await phone.until("ended")
        assert phone.cause == ("hangup" if trusted else "invalid-bxml")
        assert ("redirect" in stage.service.types()) is trusted


async def test_an_origin_can_be_mapped_to_several_replicas() -> None:
    async with scene() as stage:
        stage.sim.map_origin(ORIGIN, stage.service.url, "http://127.0.0.1:9")
        stage.service.on("initiate", PARK)
        first, second = await stage.sim.dial(), await stage.sim.dial()
        await first.until("answered")
        await second.until("ended")
        assert second.cause == "callback-error"


async def test_participant_events_go_to_the_callback_url() -> None:
    async with scene() as stage:
        body = {"callbackUrl": f"{ORIGIN}/participants?key=1", "tag": "mine"}
        created = await stage.client.post(f"{stage.webrtc}/participants", json=body)
        participant_id = created.json()["participant"]["id"]
        await stage.sim.participant_event(participant_id, "onLeave")
        (received,) = stage.service.received
        assert (received.path, received.credentials) == ("/participants", None)
        assert set(received.payload) == {"event", "timestamp", "participantId", "deviceId", "tag"}
        assert (received.payload["event"], received.payload["participantId"]) == ("onLeave", participant_id)
        silent, _ = await stage.participant()
        with pytest.raises(ValueError, match="no callbackUrl"):
            await stage.sim.participant_event(silent, "onLeave")
