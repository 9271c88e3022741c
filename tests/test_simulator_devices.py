"""The simulator's gateway for browsers: sockets that are lost, closed and refused, and what is told."""

import asyncio
import logging
import subprocess
import sys

import aiohttp
import httpx
import pytest
from aiortc import RTCSessionDescription

from tests.audible import MICROPHONE, browser, heard, hears, listen, phone, seats, simulator_with_audio
from tests.simulator.media.peers import peer_connection
from tests.simulator.scripted import ORIGIN, scene


async def test_the_token_in_the_address_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with simulator_with_audio() as stage:
        ann = await stage.seat()
        async with browser(stage, ann) as anns:
            await anns.call("ping", {})
        assert ann.token not in caplog.text


async def test_a_participant_that_is_deleted_takes_its_browser_along() -> None:
    async with simulator_with_audio() as stage:
        ann = await stage.seat()
        async with browser(stage, ann) as anns:
            await anns.publish(MICROPHONE)
            assert len(stage.sim.ledger.alive().devices) == 1
            await stage.client.delete(f"{stage.webrtc}/participants/{ann.participant_id}")
            await stage.sim.until(lambda: anns.closed == [1000])
            assert stage.sim.ledger.alive().devices == []


async def test_a_lost_socket_comes_back_to_what_it_missed() -> None:
    async with simulator_with_audio() as stage:
        ann, one = await seats(stage, 2)
        ring = await phone(stage, one)
        stage.sim.sessions.participants[ann.participant_id].callback_url = f"{ORIGIN}/participants"
        async with browser(stage, ann) as anns:
            await anns.publish(MICROPHONE)
            await heard(stage, anns.heard, {one.participant_id: [440]})
            [device] = stage.sim.media.devices
            stage.sim.media.drop(ann.participant_id)
            await stage.sim.until(lambda: not device.connected)
            assert stage.sim.ledger.alive().devices == [device.id]
            await listen(stage, ann, [{"participantId": ann.participant_id}])
            await heard(stage, anns.heard, {})
            assert stage.sim.media.devices == [device]
            await listen(stage, ann, [])
            await heard(stage, anns.heard, {one.participant_id: [440]})
            await hears(stage, ring, MICROPHONE)
            assert anns.closed == [1006]
        told = ["onConnect", "onDisconnect", "onConnect", "onLeave"]
        await heard(stage, lambda: [one for one in stage.service.types() if one in told], told)
        payload = stage.service.payload("onLeave")
        assert payload.keys() == {"event", "timestamp", "participantId", "deviceId"}
        assert isinstance(payload["timestamp"], str)
        assert (payload["participantId"], payload["deviceId"]) == (ann.participant_id, device.id)


async def test_an_offer_that_was_lost_comes_again_as_a_newer_one() -> None:
    async with simulator_with_audio() as stage:
        ann, one = await seats(stage, 2)
        async with browser(stage, ann) as anns:
            await stage.sim.until(lambda: anns.revisions == [1])
            anns.deaf = True
            await phone(stage, one)
            [device] = stage.sim.media.devices
            await stage.sim.until(lambda: device.subscribing.revision == 2)
            # Its answer comes after the offer.
            await anns.call("ping", {})
            anns.deaf = False
            stage.sim.media.drop(ann.participant_id)
            await heard(stage, anns.heard, {one.participant_id: [440]})
            assert anns.revisions == [1, 3]


async def test_a_reply_that_was_lost_follows_on_the_next_socket() -> None:
    async with simulator_with_audio() as stage, asyncio.TaskGroup() as tasks:
        ann = await stage.seat()
        async with browser(stage, ann) as anns:
            anns.pause = 0.5
            peer = peer_connection()
            peer.createDataChannel("__heartbeat__", negotiated=True, id=0)
            offer = await peer.createOffer()
            first = await anns.propose(offer.sdp)
            # The second has to wait until the first has led to a connection; a ping comes after it.
            second = tasks.create_task(anns.propose(offer.sdp))
            await asyncio.sleep(0)
            await anns.call("ping", {})
            [device] = stage.sim.media.devices
            stage.sim.media.drop(ann.participant_id)
            await stage.sim.until(lambda: not device.connected)
            await peer.setLocalDescription(offer)
            await peer.setRemoteDescription(RTCSessionDescription(first["sdpAnswer"], "answer"))
            assert (await second).keys() == {"endpointId", "sdpAnswer", "streamMetadata"}
            assert anns.opened == 2
            await peer.close()


async def test_participant_events_can_be_switched_off() -> None:
    async with simulator_with_audio(participant_events=False) as stage:
        ann = await stage.seat()
        stage.sim.sessions.participants[ann.participant_id].callback_url = f"{ORIGIN}/participants"
        async with browser(stage, ann):
            pass
        await stage.sim.until(lambda: not stage.sim.media.devices)
        assert stage.service.received == []


async def test_a_browser_that_does_not_come_back_is_given_up() -> None:
    async with simulator_with_audio(device_grace=0.1) as stage:
        ann = await stage.seat()
        async with browser(stage, ann) as anns:
            anns.comes_back = False
            stage.sim.media.drop(ann.participant_id)
            await stage.sim.until(lambda: not stage.sim.media.devices)


async def test_a_gateway_that_forgets_leaves_the_browser_without_media() -> None:
    async with simulator_with_audio() as stage:
        ann, one = await seats(stage, 2)
        ring = await phone(stage, one)
        async with browser(stage, ann) as anns:
            await anns.publish(MICROPHONE)
            await hears(stage, ring, MICROPHONE)
            [before] = stage.sim.media.devices
            stage.sim.media.forget(ann.participant_id)
            await hears(stage, ring)
            await stage.sim.until(lambda: [one.connected for one in stage.sim.media.devices] == [True])
            assert stage.sim.media.devices != [before]
            assert stage.sim.media.devices[0].subscribing.revision == 0
            await stage.sim.until(lambda: anns.states == ["closed", "closed"])


@pytest.mark.parametrize(("code", "back"), [(1011, True), (1000, False)])
async def test_the_code_of_a_close_says_whether_to_come_back(code: int, back: bool) -> None:
    async with simulator_with_audio() as stage:
        ann = await stage.seat()
        async with browser(stage, ann) as anns:
            [before] = stage.sim.media.devices
            await stage.sim.media.close(ann.participant_id, code)
            await stage.sim.until(lambda: anns.closed == [code] and anns.opened == 1 + back)
            await stage.sim.until(lambda: stage.sim.media.devices == [before] * back)


@pytest.mark.parametrize("frame", ["no JSON", '{"jsonrpc": "2.0"}'])
async def test_a_frame_that_is_no_json_rpc_closes_the_socket(frame: str) -> None:
    async with simulator_with_audio() as stage, aiohttp.ClientSession() as client:
        seat = await stage.seat()
        async with client.ws_connect(f"{stage.sim.device_url}/v3/?token={seat.token}&uniqueId=1") as socket:
            await socket.send_str(frame)
            assert (await socket.receive()).data == 1007
        await stage.client.delete(f"{stage.webrtc}/participants/{seat.participant_id}")


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("offerSdp", {"sdpOffer": "v=0\r\nm=audio what", "mediaMetadata": {}}),
        ("offerSdp", {"sdpOffer": 1}),
        ("answerSdp", {"sdpAnswer": "unasked"}),
        ("openSesame", {}),
    ],
)
async def test_a_call_that_cannot_be_done_gets_an_error(method: str, params: dict[str, object]) -> None:
    async with simulator_with_audio() as stage, browser(stage, await stage.seat()) as anns:
        await stage.sim.until(lambda: anns.revisions == [1])
        with pytest.raises(AssertionError, match="-32000"):
            await anns.call(method, params)
        await anns.call("ping", {})


async def test_a_token_of_nobody_is_refused_for_good_or_for_ever() -> None:
    async with simulator_with_audio() as stage, aiohttp.ClientSession() as client:
        url = f"{stage.sim.device_url}/v3/?token=nobody&client=browser&uniqueId=1"
        async with client.ws_connect(url) as socket:
            assert (await socket.receive()).data == 1000
        stage.sim.media.refusal = 401
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(url)
        assert refused.value.status == 401


async def test_without_media_nothing_of_it_is_there() -> None:
    async with scene() as stage:
        with pytest.raises(RuntimeError, match="without media"):
            _ = stage.sim.media
        seat = await stage.seat()
        response = await stage.client.get(f"/v3/?token={seat.token}", headers={"Upgrade": "websocket"})
        assert response.status_code == httpx.codes.NOT_FOUND
    code = (
        "import sys; from tests.simulator import Simulator; Simulator(); "
        "sys.exit(bool({'aiortc', 'av', 'numpy', 'websockets'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603, ASYNC221 - ours
