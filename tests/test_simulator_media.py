"""The simulator's media plane, with browsers that behave like the SDK: who hears whom, and when not."""

import wave
from pathlib import Path

import pytest

from tests.audible import (
    CLEAR,
    MICROPHONE,
    OTHER_MICROPHONE,
    browser,
    heard,
    hears,
    listen,
    phone,
    seats,
    simulator_with_audio,
)
from tests.simulator.media import sections
from tests.simulator.media.scripts import GREETING
from tests.simulator.scripted import transfer, uui


async def test_two_browsers_and_two_phones_each_hear_the_other_three() -> None:
    async with simulator_with_audio() as stage:
        ann, bob, one, two = await seats(stage, 4)
        first, second = await phone(stage, one), await phone(stage, two)
        assert (first.tone, second.tone) == (440, 550)
        async with browser(stage, ann) as anns, browser(stage, bob) as bobs:
            await anns.publish(MICROPHONE)
            await bobs.publish(OTHER_MICROPHONE)
            phones = {one.participant_id: [440], two.participant_id: [550]}
            await heard(stage, anns.heard, phones | {bob.participant_id: [OTHER_MICROPHONE]})
            await heard(stage, bobs.heard, phones | {ann.participant_id: [MICROPHONE]})
            await hears(stage, first, 550, MICROPHONE, OTHER_MICROPHONE)
            await hears(stage, second, 440, MICROPHONE, OTHER_MICROPHONE)
            first.tone = 700
            await heard(stage, lambda: bobs.heard()[one.participant_id], [700])
            # Offers come one at a time, each newer than the last.
            assert anns.revisions == list(range(1, len(anns.revisions) + 1))
            await stage.sim.until(lambda: all(device.pongs >= 2 for device in stage.sim.media.devices))


async def test_what_a_phone_hears_can_be_measured_and_listened_to(tmp_path: Path) -> None:
    async with simulator_with_audio() as stage:
        ann, seat = await seats(stage, 2)
        ring = await phone(stage, seat)
        async with browser(stage, ann) as anns:
            await anns.publish(MICROPHONE)
            sound = stage.sim.media.heard(ring)
            # Neighbours are quiet, and so is the phone's own tone: nobody hears an echo.
            others = (MICROPHONE - 7, MICROPHONE + 7, ring.tone)
            await stage.sim.until(
                lambda: sound.level(MICROPHONE) > CLEAR and max(map(sound.level, others)) < CLEAR / 20
            )
            sound.recording.save(tmp_path / "heard.wav")
            with wave.open(str(tmp_path / "heard.wav")) as file:
                assert (file.getframerate(), file.getnchannels()) == (48_000, 1)
                assert file.getnframes() / 48_000 == pytest.approx(sound.recording.seconds)


async def test_a_browser_hears_exactly_those_it_subscribes_to() -> None:
    async with simulator_with_audio() as stage:
        ann, one, two, three = await seats(stage, 4)
        for seat in (one, two, three):
            await phone(stage, seat)
        async with browser(stage, ann) as anns:
            await listen(
                stage, ann, [{"participantId": one.participant_id}, {"participantId": two.participant_id}]
            )
            await heard(stage, anns.heard, {one.participant_id: [440], two.participant_id: [550]})
            before = {stream.participant_id: stream_id for stream_id, stream in anns.streams.items()}
            await listen(stage, ann, [{"participantId": one.participant_id}])
            await heard(stage, anns.heard, {one.participant_id: [440]})
            assert anns.unavailable == [before[two.participant_id]]
            await listen(
                stage, ann, [{"participantId": one.participant_id}, {"participantId": three.participant_id}]
            )
            # Its section is used again, by a stream of another name.
            await heard(stage, anns.heard, {one.participant_id: [440], three.participant_id: [660]})
            await listen(stage, ann, [])
            phones = {one.participant_id: [440], two.participant_id: [550], three.participant_id: [660]}
            await heard(stage, anns.heard, phones)
            assert before[two.participant_id] not in anns.streams
            assert anns.sections == 4
            path = f"{stage.webrtc}/sessions/{ann.session_id}/participants/{ann.participant_id}/subscriptions"
            await stage.client.put(path, json={})
            await heard(stage, anns.heard, {})


async def test_streams_are_subscribed_to_by_their_alias() -> None:
    async with simulator_with_audio() as stage:
        ann, bob, one = await seats(stage, 3)
        ring = await phone(stage, one)
        async with browser(stage, ann) as anns, browser(stage, bob) as bobs:
            await anns.publish(MICROPHONE, "voice")
            await anns.publish(OTHER_MICROPHONE, "music")
            await hears(stage, ring, MICROPHONE, OTHER_MICROPHONE)
            for listener in (one, bob):
                await listen(
                    stage, listener, [{"participantId": ann.participant_id, "streamAliases": ["music"]}]
                )
            await hears(stage, ring, OTHER_MICROPHONE)
            await heard(stage, bobs.heard, {ann.participant_id: [OTHER_MICROPHONE]})
            assert [stream.alias for stream in bobs.streams.values()] == ["music"]


async def test_who_leaves_the_session_or_hangs_up_is_heard_no_more() -> None:
    async with simulator_with_audio() as stage:
        ann, bob, one = await seats(stage, 3)
        ring = await phone(stage, one)
        async with browser(stage, ann) as anns, browser(stage, bob) as bobs:
            await anns.publish(MICROPHONE)
            await bobs.publish(OTHER_MICROPHONE)
            await hears(stage, ring, MICROPHONE, OTHER_MICROPHONE)
            await heard(stage, bobs.heard, {one.participant_id: [440], ann.participant_id: [MICROPHONE]})
            await stage.client.delete(
                f"{stage.webrtc}/sessions/{ann.session_id}/participants/{ann.participant_id}"
            )
            await hears(stage, ring, OTHER_MICROPHONE)
            await heard(stage, bobs.heard, {one.participant_id: [440]})
            await heard(stage, anns.heard, {})
            await ring.hang_up()
            await heard(stage, bobs.heard, {})
            await stage.add(ann.session_id, ann.participant_id)
            await heard(stage, bobs.heard, {ann.participant_id: [MICROPHONE]})
            await stage.client.delete(f"{stage.webrtc}/sessions/{ann.session_id}")
            await heard(stage, bobs.heard, {})


async def test_nothing_is_taken_of_a_participant_that_may_not_publish() -> None:
    async with simulator_with_audio() as stage:
        ann, one = await seats(stage, 2)
        ring = await phone(stage, one)
        stage.sim.sessions.participants[ann.participant_id].publish_permissions = ["VIDEO"]
        async with browser(stage, ann) as anns:
            await anns.publish(MICROPHONE)
            assert anns.published["streamMetadata"] == {}
            assert "a=inactive" in sections.parse(anns.published["sdpAnswer"]).sections[1].lines
            await heard(stage, anns.heard, {one.participant_id: [440]})
            await hears(stage, ring)


async def test_a_stream_is_unpublished_and_published_again() -> None:
    async with simulator_with_audio() as stage:
        ann, one = await seats(stage, 2)
        ring = await phone(stage, one)
        async with browser(stage, ann) as anns:
            stream_id = await anns.publish(MICROPHONE)
            await hears(stage, ring, MICROPHONE)
            answer = await anns.unpublish(stream_id)
            assert "a=group:BUNDLE 0" in answer.head
            assert [section.rejected for section in answer.sections] == [False, True]
            await hears(stage, ring)
            answer = await anns.publish_again("another")
            assert "a=group:BUNDLE 0 2" in answer.head
            assert [(section.mid, section.rejected) for section in answer.sections] == [
                ("0", False),
                ("2", False),
            ]
            await hears(stage, ring, MICROPHONE)


async def test_digits_arrive_and_do_not_disturb() -> None:
    async with simulator_with_audio() as stage:
        ann, one = await seats(stage, 2)
        ring = await phone(stage, one)
        async with browser(stage, ann) as anns:
            await anns.publish(MICROPHONE)
            # The SDK's sendDtmf throws otherwise.
            assert sections.parse(anns.published["sdpAnswer"]).sections[1].events == {110: "48000"}
            await hears(stage, ring, MICROPHONE)
            for key in "7*#":
                await anns.press(key)
            await stage.sim.until(lambda: stage.sim.media.digits(ann.participant_id) == "7*#")
            await hears(stage, ring, MICROPHONE)


async def test_a_phone_that_greets_repeats_what_it_hears() -> None:
    async with simulator_with_audio() as stage:
        ann, one = await seats(stage, 2)
        stage.service.on("initiate", transfer(uui(one.token)))
        ring = await stage.sim.dial()
        ring.script = "echo"
        async with browser(stage, ann) as anns:
            await anns.publish(MICROPHONE)
            greeting = GREETING[3][0]
            await stage.sim.until(
                lambda: bool(anns.streams) and anns.hears(one.participant_id).level(greeting) > 0.01
            )
            await stage.sim.until(lambda: anns.hears(one.participant_id).level(MICROPHONE) > CLEAR)
