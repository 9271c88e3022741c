"""The simulator's calls: BXML, transfers, webhooks."""

import re
from typing import Any

import pytest
from starlette.responses import Response

from tests.simulator import Simulator, SimulatorSettings
from tests.simulator.scripted import ORIGIN, scene, transfer, uui

PARK = '<Response><Pause duration="86400"/></Response>'
BYE = "<Response><Hangup/></Response>"


async def test_a_call_in_hears_the_reply_and_ends_with_the_document() -> None:
    async with scene() as stage:
        stage.service.on(
            "initiate", "<Response><SpeakSentence>Good <s>morning</s></SpeakSentence></Response>"
        )
        phone = await stage.sim.dial(to="+15550001111", from_="+15557650000")
        assert phone.state == "ringing"
        assert re.fullmatch(r"c-[0-9a-f]{8}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", phone.call_id)
        await phone.until("ended")
        await stage.told("disconnect")
        assert phone.heard == ["Good morning"]
        assert phone.cause == "hangup"
        assert phone.first_bxml_ms is not None
        assert phone.first_bxml_ms > 0
        assert set(stage.service.payload("initiate")) == {
            "eventType", "eventTime", "accountId", "applicationId", "to", "from", "direction", "callId",
            "callUrl", "startTime", "stirShaken", "sipCallId",
        }  # fmt: skip
        assert set(stage.service.payload("disconnect")) == {
            "eventType", "eventTime", "accountId", "applicationId", "to", "from", "direction", "callId",
            "callUrl", "startTime", "answerTime", "endTime", "cause", "sipCallId",
        }  # fmt: skip
        assert stage.service.payload("initiate")["from"] == "+15557650000"
        assert {one.credentials for one in stage.service.received} == {("application", "secret")}
        assert stage.sim.complaints == []


async def test_an_empty_response_hangs_up_an_unanswered_call() -> None:
    async with scene() as stage:
        stage.service.on("initiate", "<Response/>")
        phone = await stage.sim.dial()
        await phone.until("ended")
        await stage.told("disconnect")
        assert phone.cause == "hangup"
        assert "answerTime" not in stage.service.payload("disconnect")


@pytest.mark.parametrize(
    "reply",
    ["", "<Response><Dance/></Response>", "<Bxml/>", "<Response><SpeakSentence> </SpeakSentence></Response>"],
)
async def test_invalid_bxml_fails_the_call_and_is_complained_about(reply: str) -> None:
    async with scene() as stage:
        stage.service.on("initiate", reply)
        phone = await stage.sim.dial()
        await phone.until("ended")
        await stage.told("disconnect")
        assert phone.cause == "invalid-bxml"
        assert stage.service.payload("disconnect")["errorMessage"]
        assert len(stage.sim.complaints) == 1


async def test_bxml_of_another_content_type_is_invalid() -> None:
    async def plain(_payload: dict[str, Any]) -> Response:
        return Response(BYE, media_type="text/plain")

    async with scene() as stage:
        stage.service.on("initiate", plain)
        phone = await stage.sim.dial()
        await phone.until("ended")
        assert phone.cause == "invalid-bxml"


async def test_the_far_end_hanging_up_completes_the_transfer() -> None:
    async with scene() as stage:
        stage.service.on("transferComplete", "<Response><SpeakSentence>They left</SpeakSentence></Response>")
        phone = await stage.bridged()
        await phone.far_end_hangs_up()
        await phone.until("ended")
        await stage.told("transferComplete", "transferDisconnect", "disconnect")
        complete, gone = (
            stage.service.payload("transferComplete"),
            stage.service.payload("transferDisconnect"),
        )
        assert phone.heard == ["They left"]
        assert (complete["callId"], complete["cause"], complete["tag"]) == (phone.call_id, "hangup", "a-leg")
        assert complete["direction"] == "inbound"
        assert complete["transferTo"] == "sip:sipx.webrtc.bandwidth.com:5060"
        assert (gone["parentCallId"], gone["direction"], gone["tag"]) == (phone.call_id, "outbound", "b-leg")
        assert gone["callId"] != phone.call_id
        assert gone["to"] == complete["to"]
        assert set(complete) == {
            "eventType", "eventTime", "accountId", "applicationId", "to", "from", "direction", "callId",
            "callUrl", "startTime", "answerTime", "transferCallerId", "transferTo", "cause", "tag",
        }  # fmt: skip
        assert set(gone) == set(complete) | {"parentCallId", "endTime"}
        used = {one.event_type: (one.path, one.credentials) for one in stage.service.received}
        assert used["transferComplete"] == ("/complete", ("verb", "secret"))
        assert used["transferDisconnect"] == ("/leg-gone", ("leg", "secret"))
        assert used["disconnect"] == ("/status", ("application", "secret"))
        assert stage.sim.complaints == []


@pytest.mark.parametrize(
    ("farewell", "order"),
    [
        ("leg-first", ["transferDisconnect", "disconnect"]),
        ("call-first", ["disconnect", "transferDisconnect"]),
    ],
)
async def test_the_caller_hanging_up_ends_the_leg_without_completing(farewell: Any, order: list[str]) -> None:
    async with scene(SimulatorSettings(farewell=farewell)) as stage:
        phone = await stage.bridged()
        leg = phone.leg
        await phone.hang_up()
        assert phone.state == "ended"
        await stage.told(*order)
        assert stage.service.types() == ["initiate", *order]
        assert leg is not None
        assert (leg.cause, phone.cause) == ("hangup", "hangup")


async def test_the_caller_giving_up_while_the_leg_rings_cancels_the_leg() -> None:
    async with scene() as stage:
        stage.sim.interconnect.mode = "timeout"
        seat = await stage.seat()
        stage.service.on("initiate", transfer(uui(seat.token)))
        phone = await stage.sim.dial()
        await phone.until("transferring")
        await phone.hang_up()
        await stage.told("transferDisconnect", "disconnect")
        assert stage.service.payload("transferDisconnect")["cause"] == "cancel"
        assert stage.service.payload("disconnect")["cause"] == "hangup"


async def test_without_a_complete_url_the_verbs_after_the_transfer_run() -> None:
    async with scene() as stage:
        phone = await stage.bridged(complete=False)
        await phone.far_end_hangs_up()
        await phone.until("ended")
        assert phone.heard == ["after the transfer"]
        assert "transferComplete" not in stage.service.types()


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("token", "no live participant"),
        ("member", "in no session"),
        ("subscription", "no subscription"),
        ("deleted", "no live participant"),
        ("used", "has a leg already"),
        ("none", "0 tokens"),
    ],
)
async def test_the_interconnect_admits_nobody_without_a_subscribed_participant(
    trouble: str, reason: str
) -> None:
    async with scene() as stage:
        stage.service.on("transferComplete", BYE)
        seat = await stage.seat(subscribe=trouble != "subscription")
        token = seat.token
        if trouble == "token":
            token = token.swapcase()
        if trouble == "member":
            _, token = await stage.participant()
        if trouble == "deleted":
            await stage.client.delete(f"{stage.webrtc}/participants/{seat.participant_id}")
        value = f"{'ab' * 20};encoding=base64" if trouble == "none" else uui(token)
        stage.service.on("initiate", transfer(value))
        if trouble == "used":
            await (await stage.sim.dial()).until("bridged")
        phone = await stage.sim.dial()
        await phone.until("ended")
        assert stage.service.payload("transferComplete")["cause"] == "rejected"
        (rejection,) = stage.sim.interconnect.rejections
        assert reason in rejection


async def test_the_first_uui_value_has_to_name_the_call() -> None:
    async def recipe(payload: dict[str, Any]) -> Response:
        named = "".join(payload["callId"].split("-")[1:])
        value = f"{named};encoding=base64,{uui(seat.token)}"
        return Response(transfer(value), media_type="application/xml")

    async with scene() as stage:
        seat = await stage.seat()
        stage.service.on("initiate", recipe)
        phone = await stage.sim.dial()
        await phone.until("bridged")
        assert stage.sim.complaints == []
        await phone.hang_up()
        stage.service.on("initiate", transfer(f"{'ab' * 20};encoding=base64,{uui(seat.token)}"))
        await (await stage.sim.dial()).until("bridged")
        assert len(stage.sim.complaints) == 1


async def test_who_hears_whom_follows_the_subscriptions() -> None:
    async with scene() as stage:
        phone = await stage.bridged()
        other = await stage.seat(phone.session_id)
        assert stage.sim.hears(phone) == {other.participant_id}
        path = f"{stage.webrtc}/sessions/{phone.session_id}/participants/{phone.participant_id}/subscriptions"
        assert (await stage.client.put(path)).status_code == 204
        assert stage.sim.hears(phone) == set()


async def test_a_deleted_participant_ends_its_leg_a_removed_one_does_not() -> None:
    async with scene() as stage:
        stage.service.on("transferComplete", PARK)
        phone = await stage.bridged()
        member = f"{stage.webrtc}/sessions/{phone.session_id}/participants/{phone.participant_id}"
        participant = f"{stage.webrtc}/participants/{phone.participant_id}"
        assert (await stage.client.delete(member)).status_code == 204
        assert phone.stage == "bridged"
        assert phone.session_id is None
        assert (await stage.client.delete(participant)).status_code == 204
        assert phone.leg is not None
        assert phone.leg.ended
        await stage.told("transferComplete")
        assert phone.state == "answered"


async def test_the_leg_runs_the_reply_to_transfer_answer_before_it_is_bridged() -> None:
    async with scene() as stage:
        stage.service.on("transferAnswer", "<Response><Tag>welcome</Tag></Response>")
        gate = stage.sim.gates.hold("reply:transferAnswer")
        seat = await stage.seat()
        stage.service.on("initiate", transfer(uui(seat.token), answer=True))
        phone = await stage.sim.dial()
        await gate.reached()
        assert phone.stage == "transferring"
        gate.release()
        await phone.until("bridged")
        assert phone.leg is not None
        assert phone.leg.tag == "welcome"
        payload = stage.service.payload("transferAnswer")
        assert (payload["parentCallId"], payload["callId"]) == (phone.call_id, phone.leg.call_id)
        assert payload["direction"] == "outbound"


@pytest.mark.parametrize(
    ("reply", "cause", "complaints"),
    [("<Response/>", "hangup", 0), (transfer("x;encoding=jwt"), "invalid-bxml", 1)],
)
async def test_a_leg_can_be_lost_over_its_reply(reply: str, cause: str, complaints: int) -> None:
    async with scene() as stage:
        seat = await stage.seat()
        stage.service.on("initiate", transfer(uui(seat.token), answer=True))
        stage.service.on("transferAnswer", reply)
        stage.service.on("transferComplete", PARK)
        phone = await stage.sim.dial()
        await stage.told("transferComplete")
        assert stage.service.payload("transferComplete")["cause"] == cause
        assert phone.state == "answered"
        assert len(stage.sim.complaints) == complaints


@pytest.mark.parametrize(
    ("behaviour", "cause"), [("busy", "busy"), ("reject", "rejected"), ("no-answer", "timeout")]
)
async def test_a_transfer_to_a_number_ends_as_the_number_is_scripted(behaviour: Any, cause: str) -> None:
    async with scene() as stage:
        stage.sim.numbers["+15550009999"] = behaviour
        stage.service.on(
            "initiate",
            '<Response><Transfer callTimeout="1" transferCompleteUrl="/complete">'
            "<PhoneNumber>+15550009999</PhoneNumber></Transfer></Response>",
        )
        stage.service.on("transferComplete", BYE)
        await (await stage.sim.dial()).until("ended")
        complete = stage.service.payload("transferComplete")
        assert complete["cause"] == cause
        assert {"errorMessage", "errorId"} <= set(complete)


async def test_of_two_numbers_the_first_to_answer_is_bridged_and_the_other_cancelled() -> None:
    async with scene() as stage:
        stage.sim.numbers["+15550000002"] = "ring"
        stage.service.on(
            "initiate",
            "<Response><Transfer><PhoneNumber>+15550000001</PhoneNumber>"
            '<PhoneNumber transferDisconnectUrl="/x">+15550000002</PhoneNumber></Transfer></Response>',
        )
        phone = await stage.sim.dial()
        await phone.until("bridged")
        await stage.told("transferDisconnect")
        assert stage.service.payload("transferDisconnect")["cause"] == "cancel"
        assert phone.leg is not None
        assert phone.leg.transfer_to == "+15550000001"


@pytest.mark.parametrize("mode", ["reject", "timeout"])
async def test_the_interconnect_can_refuse_everybody(mode: Any) -> None:
    async with scene() as stage:
        stage.sim.interconnect.mode = mode
        seat = await stage.seat()
        stage.service.on("initiate", transfer(uui(seat.token)))
        stage.service.on("transferComplete", BYE)
        await (await stage.sim.dial()).until("ended")
        expected = {"reject": "rejected", "timeout": "timeout"}[mode]
        assert stage.service.payload("transferComplete")["cause"] == expected


async def test_relative_urls_redirects_and_tags() -> None:
    async with scene() as stage:
        stage.sim.application.initiate_url = f"{ORIGIN}/voice/start"
        stage.service.on(
            "initiate", '<Response><Tag> one </Tag><Redirect redirectUrl="next?n=1"/></Response>'
        )
        stage.service.on("redirect", '<Response><Redirect redirectUrl="/hop" tag=""/></Response>', BYE)
        await (await stage.sim.dial()).until("ended")
        redirects = [one for one in stage.service.received if one.event_type == "redirect"]
        assert [one.path for one in redirects] == ["/voice/next", "/hop"]
        assert redirects[0].payload["tag"] == "one"
        assert "tag" not in redirects[1].payload
        assert "answerTime" not in redirects[0].payload


async def test_gather_collects_keys() -> None:
    async with scene() as stage:
        stage.service.on(
            "initiate",
            '<Response><Gather gatherUrl="/keys" terminatingDigits="#" firstDigitTimeout="60">'
            "<SpeakSentence>Press a key</SpeakSentence></Gather></Response>",
        )
        stage.service.on("gather", BYE)
        phone = await stage.sim.dial()
        await phone.hears("Press a key")
        phone.press("12#")
        await phone.until("ended")
        payload = stage.service.payload("gather")
        assert (payload["digits"], payload["terminatingDigit"]) == ("12", "#")


async def test_bridging_two_calls_parts_them_when_the_target_leaves() -> None:
    async with scene() as stage:
        stage.service.on("initiate", PARK)
        target = await stage.sim.dial()
        await target.until("answered")
        stage.service.on(
            "initiate", f'<Response><Bridge bridgeCompleteUrl="/parted">{target.call_id}</Bridge></Response>'
        )
        stage.service.on("bridgeComplete", BYE)
        phone = await stage.sim.dial()
        await phone.until("bridged")
        assert target.stage == "bridged"
        # Its own BXML has been cut off.
        assert target.call.runner is None
        await target.hang_up()
        await phone.until("ended")
        assert stage.service.payload("bridgeComplete")["callId"] == phone.call_id
        assert "cause" not in stage.service.payload("bridgeComplete")


@pytest.mark.parametrize("url", ["", 'bridgeTargetCompleteUrl="/alone"'])
async def test_bridging_two_calls_parts_them_when_the_caller_leaves(url: str) -> None:
    async with scene() as stage:
        stage.service.on("initiate", PARK)
        target = await stage.sim.dial()
        await target.until("answered")
        stage.service.on("initiate", f"<Response><Bridge {url}>{target.call_id}</Bridge></Response>")
        stage.service.on("bridgeTargetComplete", PARK)
        phone = await stage.sim.dial()
        await phone.until("bridged")
        await phone.hang_up()
        if url:
            await stage.told("bridgeTargetComplete")
            assert stage.service.payload("bridgeTargetComplete")["callId"] == target.call_id
            assert target.state == "answered"
        else:
            await target.until("ended")


async def test_all_that_is_heard_is_kept_in_order() -> None:
    async with scene() as stage:
        stage.sim.application.initiate_url = f"{ORIGIN}/voice/start"
        stage.service.on(
            "initiate",
            '<Response><Ring duration="3" answerCall="false"/><SpeakSentence>Good <s>day</s></SpeakSentence>'
            '<Pause/><Gather firstDigitTimeout="0"><PlayAudio>menu.wav</PlayAudio></Gather>'
            "<PlayAudio>https://audio.test/bye.mp3</PlayAudio></Response>",
        )
        phone = await stage.sim.dial()
        await stage.sim.until(lambda: ("ring",) in phone.sounds)
        assert phone.state == "ringing"
        await phone.until("ended")
        assert phone.sounds == [
            ("ring",),
            ("speak", "Good day"),
            ("play", f"{ORIGIN}/voice/menu.wav"),
            ("play", "https://audio.test/bye.mp3"),
        ]
        assert phone.heard == ["Good day"]


async def test_a_phone_that_ends_fails_who_waits_for_a_bridge() -> None:
    async with scene() as stage:
        stage.service.on("initiate", BYE)
        phone = await stage.sim.dial()
        with pytest.raises(AssertionError, match="ended before bridged"):
            await phone.until("bridged")


async def test_dialling_needs_an_application() -> None:
    async with Simulator() as sim:
        with pytest.raises(ValueError, match="initiate_url"):
            await sim.dial()
