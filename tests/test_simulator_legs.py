"""The simulator's two-legs way into WebRTC: a call of its own to the interconnect, bridged with a phone."""

from typing import Any

import pytest

from tests.simulator import Phone
from tests.simulator.scripted import ORIGIN, ScriptedScene, scene

PARK = '<Response><Pause duration="86400"/></Response>'
BYE = "<Response><Hangup/></Response>"
BOTH = 'bridgeCompleteUrl="/parted" bridgeTargetCompleteUrl="/alone" username="bridge" password="secret"'
REDIRECT = {"redirectUrl": f"{ORIGIN}/redirect"}


def bridge(target: str, urls: str = BOTH) -> str:
    return (
        f"<Response><Bridge {urls}>{target}</Bridge>"
        "<SpeakSentence>after the bridge</SpeakSentence></Response>"
    )


async def parked(stage: ScriptedScene) -> Phone:
    """A phone that has called in and is waiting."""
    stage.service.on("initiate", PARK)
    phone = await stage.sim.dial()
    await stage.sim.until(lambda: phone.document == PARK and phone.state == "answered")
    return phone


async def waiting(stage: ScriptedScene) -> Phone:
    """A leg into WebRTC that is waiting."""
    stage.service.on("answer", PARK)
    leg = await stage.into_webrtc((await stage.seat()).token)
    await stage.sim.until(lambda: leg.document == PARK)
    return leg


async def legs(stage: ScriptedScene, executor: str = "leg", urls: str = BOTH) -> tuple[Phone, Phone]:
    """Phone and leg, bridged by one of them."""
    if executor == "leg":
        phone = await parked(stage)
        stage.service.on("answer", bridge(phone.call_id, urls))
        leg = await stage.into_webrtc((await stage.seat()).token)
    else:
        leg = await waiting(stage)
        stage.service.on("initiate", bridge(leg.call_id, urls))
        phone = await stage.sim.dial()
    await phone.until("bridged")
    await leg.until("bridged")
    return phone, leg


@pytest.mark.parametrize("executor", ["leg", "phone"])
async def test_a_bridged_phone_is_in_the_session_of_its_leg(executor: str) -> None:
    async with scene() as stage:
        phone, leg = await legs(stage, executor)
        (session,) = stage.sim.sessions.sessions
        (participant,) = stage.sim.sessions.participants
        assert (phone.participant_id, phone.session_id) == (participant, session)
        assert (leg.participant_id, leg.session_id) == (participant, session)
        other = await stage.seat(session)
        assert stage.sim.hears(phone) == stage.sim.hears(leg) == {other.participant_id}
        state = (await stage.client.get(leg.call.call_url)).json()
        assert (state["to"], state["state"], state["parentCallId"]) == (
            stage.sim.interconnect.uri,
            "answered",
            None,
        )
        answer = stage.service.payload("answer")
        assert (answer["callId"], answer["to"]) == (leg.call_id, stage.sim.interconnect.uri)
        assert leg.call.callbacks.last is not None
        assert leg.call.callbacks.last.url == f"{ORIGIN}/over"
        assert stage.sim.complaints == []


async def test_a_leg_is_no_phone_and_can_be_reached() -> None:
    async with scene() as stage:
        phone, leg = await legs(stage)
        stage.service.on("answer", PARK)
        called = await stage.place()
        assert stage.sim.phones == [phone, called]
        assert stage.sim.legs_into_webrtc() == [leg]
        assert await stage.sim.called(stage.sim.interconnect.uri) is leg
        assert await stage.sim.called("+15550002222") is called
        assert set(stage.sim.ledger.alive().calls) == {phone.call_id, leg.call_id, called.call_id}
        await stage.sim.until(lambda: called.document == PARK)
        assert called.call.callbacks.first is not None
        assert called.call.callbacks.first.url == f"{ORIGIN}/answer"
        await leg.hang_up()
        assert stage.sim.legs_into_webrtc() == []
        assert leg.call_id not in stage.sim.ledger.alive().calls


async def test_a_leg_of_a_transfer_is_not_among_them() -> None:
    async with scene() as stage:
        phone = await stage.bridged()
        assert stage.sim.phones == [phone]
        assert stage.sim.legs_into_webrtc() == []


async def test_a_leg_runs_other_verbs_before_it_is_bridged() -> None:
    async with scene() as stage:
        phone = await parked(stage)
        stage.service.on("answer", '<Response><Pause/><Redirect redirectUrl="/ready"/></Response>')
        stage.service.on("redirect", bridge(phone.call_id))
        leg = await stage.into_webrtc((await stage.seat()).token)
        await phone.until("bridged")
        assert leg.stage == "bridged"
        assert stage.service.payload("redirect")["callId"] == leg.call_id


async def test_an_outbound_phone_is_bridged_once_it_has_answered() -> None:
    async with scene() as stage:
        stage.sim.numbers["+15550002222"] = "ring"
        leg = await waiting(stage)
        stage.service.on("answer", bridge(leg.call_id))
        phone = await stage.place()
        assert phone.state == "ringing"
        phone.pick_up()
        await phone.until("bridged")
        assert phone.participant_id == leg.participant_id


@pytest.mark.parametrize("executor", ["leg", "phone"])
@pytest.mark.parametrize("leaver", ["leg", "phone"])
@pytest.mark.parametrize("how", ["hangup", "completed", "redirect"])
async def test_who_stays_is_told(executor: str, leaver: str, how: str) -> None:
    async with scene() as stage:
        for event_type in ("bridgeComplete", "bridgeTargetComplete", "redirect"):
            stage.service.on(event_type, PARK)
        phone, leg = await legs(stage, executor)
        gone, stays = (leg, phone) if leaver == "leg" else (phone, leg)
        if how == "hangup":
            await gone.hang_up()
        else:
            update = {"state": "completed"} if how == "completed" else REDIRECT
            assert (await stage.client.post(gone.call.call_url, json=update)).status_code == 200
        told, untold = "bridgeComplete", "bridgeTargetComplete"
        if leaver == executor:
            told, untold = untold, told
        await stage.told(told, "redirect" if how == "redirect" else "disconnect")
        await stage.sim.until(lambda: stays.document == PARK)
        assert untold not in stage.service.types()
        (received,) = [one for one in stage.service.received if one.event_type == told]
        assert received.payload["callId"] == stays.call_id
        assert not {"cause", "errorMessage", "errorId"} & set(received.payload)
        assert received.path == ("/alone" if told == "bridgeTargetComplete" else "/parted")
        assert received.credentials == ("bridge", "secret")
        assert stays.stage == "answered"
        assert gone.stage == ("answered" if how == "redirect" else "ended")
        assert phone.participant_id is None
        assert stage.sim.hears(phone) == set()
        assert stage.sim.complaints == []


@pytest.mark.parametrize("executor", ["leg", "phone"])
async def test_a_deleted_participant_ends_its_leg(executor: str) -> None:
    async with scene() as stage:
        told = "bridgeTargetComplete" if executor == "leg" else "bridgeComplete"
        stage.service.on(told, PARK)
        phone, leg = await legs(stage, executor)
        assert phone.participant_id is not None
        removed = f"{stage.webrtc}/sessions/{phone.session_id}/participants/{phone.participant_id}"
        deleted = f"{stage.webrtc}/participants/{phone.participant_id}"
        assert (await stage.client.delete(removed)).status_code == 204
        assert phone.stage == "bridged"
        assert phone.session_id is None
        assert (await stage.client.delete(deleted)).status_code == 204
        assert (leg.state, leg.cause) == ("ended", "hangup")
        await stage.told(told, "disconnect")
        assert phone.state == "answered"
        assert stage.service.payload("disconnect")["callId"] == leg.call_id


@pytest.mark.parametrize("how", ["hangup", "redirect"])
async def test_without_its_url_the_target_is_hung_up(how: str) -> None:
    async with scene() as stage:
        stage.service.on("redirect", PARK)
        phone, leg = await legs(stage, urls='bridgeCompleteUrl="/parted"')
        if how == "hangup":
            await leg.hang_up()
        else:
            await stage.client.post(leg.call.call_url, json=REDIRECT)
        await phone.until("ended")
        assert phone.cause == "hangup"
        assert "bridgeComplete" not in stage.service.types()


async def test_without_its_url_the_verbs_after_the_bridge_run() -> None:
    async with scene() as stage:
        phone, leg = await legs(stage, "phone", urls="")
        await leg.hang_up()
        await phone.until("ended")
        assert phone.sounds == [("speak", "after the bridge")]
        assert "bridgeComplete" not in stage.service.types()


async def test_a_leg_takes_one_phone_after_another() -> None:
    async with scene() as stage:
        phone, leg = await legs(stage)
        stage.service.on("bridgeComplete", PARK)
        await phone.hang_up()
        await stage.sim.until(lambda: leg.document == PARK)
        stage.service.on("initiate", bridge(leg.call_id))
        following = await stage.sim.dial()
        await following.until("bridged")
        assert following.participant_id == leg.participant_id


@pytest.mark.parametrize(
    ("target", "cause"),
    [("bridged", "busy"), ("ringing", "rejected"), ("ended", "unknown"), ("missing", "unknown")],
)
async def test_a_bridge_that_fails_tells_why(target: str, cause: str) -> None:
    async with scene() as stage:
        stage.service.on("bridgeComplete", PARK)
        if target == "bridged":
            _, other = await legs(stage, "phone")
        elif target == "ringing":
            stage.sim.numbers["+15550002222"] = "ring"
            other = await stage.place()
        else:
            other = await waiting(stage)
            await other.hang_up()
        call_id = "c-missing" if target == "missing" else other.call_id
        before = other.stage
        stage.service.on("initiate", bridge(call_id))
        phone = await stage.sim.dial()
        await stage.told("bridgeComplete")
        failed = stage.service.payload("bridgeComplete")
        assert (failed["callId"], failed["cause"]) == (phone.call_id, cause)
        assert call_id in failed["errorMessage"]
        assert failed["errorId"]
        assert (phone.stage, other.stage) == ("answered", before)
        assert stage.sim.complaints == []


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("token", "no live participant"),
        ("member", "in no session"),
        ("subscription", "no subscription"),
        ("used", "has a leg already"),
    ],
)
async def test_a_leg_needs_the_token_of_a_subscribed_participant(trouble: str, reason: str) -> None:
    async with scene() as stage:
        stage.service.on("answer", PARK)
        seat = await stage.seat(subscribe=trouble != "subscription")
        token = seat.token.swapcase() if trouble == "token" else seat.token
        if trouble == "member":
            _, token = await stage.participant()
        if trouble == "used":
            await (await stage.into_webrtc(token)).until("answered")
        leg = await stage.into_webrtc(token)
        await leg.until("ended")
        await stage.told("disconnect")
        (rejection,) = stage.sim.interconnect.rejections
        assert reason in rejection
        payload = stage.service.payload("disconnect")
        assert (payload["callId"], payload["cause"]) == (leg.call_id, "rejected")
        assert (payload["errorMessage"], payload["sipResponseCode"]) == (rejection, 603)
        assert leg.participant_id is None
        assert leg not in stage.sim.legs_into_webrtc()
        assert stage.service.types().count("answer") == (trouble == "used")


@pytest.mark.parametrize(("mode", "cause"), [("reject", "rejected"), ("timeout", "timeout")])
async def test_a_leg_can_be_refused_or_left_ringing(mode: Any, cause: str) -> None:
    async with scene() as stage:
        stage.sim.interconnect.mode = mode
        leg = await stage.into_webrtc((await stage.seat()).token, callTimeout=1)
        if mode == "timeout":
            assert stage.sim.legs_into_webrtc() == [leg]
        await leg.until("ended")
        assert stage.sim.legs_into_webrtc() == []
        await stage.told("disconnect")
        assert stage.service.payload("disconnect")["cause"] == cause
        assert stage.service.payload("disconnect")["errorMessage"]
