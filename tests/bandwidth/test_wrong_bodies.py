"""Answers to creates that are of no use: what they have made is known by its id, where there is one."""

from collections.abc import MutableMapping
from typing import Any

import pytest

from service.bandwidth.api_client import HttpClient
from service.bandwidth.create_call import CreateCallRequest
from service.bandwidth.errors import BandwidthError
from service.bandwidth.unreadable_responses import QUIET_PERIOD
from service.bandwidth.voice import VoiceApi
from service.bandwidth.webrtc import WebRtcApi
from tests.bandwidth.support import BASIC, Loopback, Reply
from tests.clocks import SetClock
from tests.scraping import MetricsPage

ID = "6b3cb0c2-0001-4f5e-8a51-9f2a7c1d0e4f"
PARTICIPANT = {"participant": {"id": ID}}
ORDER = CreateCallRequest(
    to="+15551112222",
    from_="+15553334444",
    application_id="a",
    answer_url="https://a/",
    disconnect_url="https://a/",
    username="u",
    password="p",
)
PAGES: list[bytes | dict[str, Any]] = [
    b"",
    b"[]",
    b'<html><script>var a = {"id": "x", "callId": "x", "participant": {"id": "x"}}</script>',
    {"error": {"id": "request-1", "callId": "request-1"}},
    {"tag": '"id": "x", "callId": "x"'},
    b'{"id":"6b3cb0c2-0001',
    b'{"callId":"c-6b3cb0c2',
    b'{"participant":{"id":"6b3cb0c2',
    {"id": "a b", "callId": "a b", "participant": {"id": "a b"}},
    {"id": "..", "callId": "..", "participant": {"id": ".."}},
    {"id": "../x", "callId": "../x", "participant": {"id": "../x"}},
    b'{"id":"../x","tag":"',
    b'{"callId":"../x","tag":"',
    b'{"participant":{"id":"../x"',
]


@pytest.fixture
def webrtc(http: HttpClient, bandwidth: Loopback) -> WebRtcApi:
    return WebRtcApi(http, bandwidth.url, "55555", BASIC)


@pytest.fixture
def voice(http: HttpClient, bandwidth: Loopback) -> VoiceApi:
    return VoiceApi(http, bandwidth.url, "55555", BASIC)


async def participant(webrtc: WebRtcApi) -> BandwidthError:
    with pytest.raises(BandwidthError) as caught:
        await webrtc.create_participant(tag="t", callback_url=None, timeout=5)
    assert caught.value.code == "invalid-response"
    return caught.value


@pytest.mark.parametrize(
    "body",
    [
        {**PARTICIPANT, "token": 12345},
        {**PARTICIPANT, "token": ""},
        {**PARTICIPANT, "token": None},
        {**PARTICIPANT, "token": {"a": [1]}},
        PARTICIPANT,
        {"id": "request-1", **PARTICIPANT},
        {"token": "eyJ0", "participant": {"tag": 5, "id": ID}, "tag": "\ud800"},
        b'{"participant":{"id":"%b","tag":"t"},"token":"eyJ0' % ID.encode(),
        b'{"participant":{"id":"%b","tag":"\xff"},"token":"t"} and more' % ID.encode(),
    ],
)
async def test_a_participant_without_a_usable_token_is_known(
    webrtc: WebRtcApi, bandwidth: Loopback, body: bytes | dict[str, Any]
) -> None:
    bandwidth.answers(Reply(200, body))
    error = await participant(webrtc)
    assert error.created_id == ID


@pytest.mark.parametrize(
    "body",
    [{"id": ID, "tag": 5}, b'{"id":"%b","tag":"t' % ID.encode(), b'{"tag":"\xff","id":"%b"}' % ID.encode()],
)
async def test_of_a_session_its_id_is_enough(
    webrtc: WebRtcApi, bandwidth: Loopback, body: bytes | dict[str, Any]
) -> None:
    bandwidth.answers(Reply(200, body))
    assert await webrtc.create_session(tag="t", timeout=5) == ID


@pytest.mark.parametrize(
    "body", [{"callId": "c-1", "to": 5}, b'{"callId":"c-1","to":"+1', b'{"accountId":"\xff","callId":"c-1"}']
)
async def test_of_a_call_its_id_is_enough(
    voice: VoiceApi, bandwidth: Loopback, body: bytes | dict[str, Any]
) -> None:
    bandwidth.answers(Reply(201, body))
    assert await voice.create_call(ORDER, timeout=5) == "c-1"


@pytest.mark.parametrize("body", PAGES, ids=repr)
async def test_what_is_nobodys_id_is_not_taken_for_one(
    webrtc: WebRtcApi, voice: VoiceApi, bandwidth: Loopback, body: bytes | dict[str, Any]
) -> None:
    bandwidth.answers(Reply(200, body))
    assert (await participant(webrtc)).created_id == ""
    for create in (webrtc.create_session(tag="t", timeout=5), voice.create_call(ORDER, timeout=5)):
        with pytest.raises(BandwidthError) as caught:
            await create
        assert (caught.value.code, caught.value.may_have_happened) == ("invalid-response", True)
        assert caught.value.created_id == ""


async def test_an_answer_of_no_use_is_counted_and_named_once_a_spell(
    bandwidth: Loopback, logs: list[MutableMapping[str, Any]]
) -> None:
    clock, http = SetClock(), HttpClient()
    http.clock = clock
    webrtc = WebRtcApi(http, bandwidth.url, "55555", BASIC)

    def named() -> list[tuple[str, bool]]:
        lines = [line for line in logs if line["event"] == "answer.unreadable"]
        return [(line["operation"], "9 hours" in line["hint"]) for line in lines]

    bandwidth.answers(Reply(200, b"<html>"))
    for _ in range(3):
        await participant(webrtc)
        clock.advance(QUIET_PERIOD)
    assert named() == [("create-participant", True)], "as long as it goes on"
    with pytest.raises(BandwidthError):
        await webrtc.list_participants("s", timeout=5)
    assert named()[1:] == [("list-participants", False)]
    clock.advance(QUIET_PERIOD + 1)
    bandwidth.answers(Reply(200, PARTICIPANT))
    await participant(webrtc)
    assert named()[2:] == [("create-participant", False)], "it is taken down"
    bandwidth.answers(Reply(302, b"", {"location": "/sign-in"}))
    with pytest.raises(BandwidthError):
        await webrtc.delete_session("s", timeout=5)
    assert named()[3:] == [("delete-session", False)]
    text, kind = http.metrics.render("text/plain", None)
    assert (
        MetricsPage(text.decode(), kind).get("pstn_answers_unreadable_total", operation="create-participant")
        == 4
    )
    await http.close()


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b"", "text/html", ""),
        (b"{}", "application/json", ""),
        (b"done", "text/plain", ""),
        (b"<html>", "application/json", "invalid-response"),
        (b"\xef\xbb\xbf \r\n<!DOCTYPE html>", "", "invalid-response"),
        (b"Sign in", "Text/HTML; charset=utf-8", "invalid-response"),
    ],
)
async def test_a_page_does_not_say_that_it_was_done(
    webrtc: WebRtcApi, voice: VoiceApi, bandwidth: Loopback, body: bytes, kind: str, expected: str
) -> None:
    bandwidth.answers(Reply(200, body, {"content-type": kind}))
    for change in (
        webrtc.add_participant("s", "p", timeout=5),
        webrtc.subscribe("s", "p", hears=None, timeout=5),
        webrtc.remove_participant("s", "p", timeout=5),
        webrtc.delete_participant("p", timeout=5),
        webrtc.delete_session("s", timeout=5),
        webrtc.has_session("s", timeout=5),
        voice.hang_up("c", timeout=5),
        voice.redirect("c", url="https://a/", username="u", password="p", timeout=5),
    ):
        said = ""
        try:
            await change
        except BandwidthError as error:
            said = error.code
        assert said == expected
