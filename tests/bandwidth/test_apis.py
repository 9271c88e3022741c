import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest

from service.bandwidth.api_client import HttpClient
from service.bandwidth.auth import Basic
from service.bandwidth.errors import BandwidthError, Conflict, Misrouted, NotFound
from service.bandwidth.request_log import RequestLog, record_requests
from service.bandwidth.voice import CallState, VoiceApi
from service.bandwidth.webrtc import CreatedParticipant, WebRtcApi
from tests.bandwidth.support import Loopback, Reply

CALL = "c-93d6f3c0-be584596-0b74-4fa2-8015-d8ede84bd1a4"
SESSION = "cb5054ee-a69b-41ac-9ab2-04d6370826b4"
PARTICIPANT = "62e0ecb9-0b1b-4115-aae4-4f36123d6bb1"
TOKEN = "eyJhbGciOi.device.token"
BASIC = Basic("user", "password")
NOWHERE = Reply(404, {"error": "not found", "requestId": "r"})


@pytest.fixture
def webrtc(http: HttpClient, bandwidth: Loopback) -> WebRtcApi:
    return WebRtcApi(http, f"{bandwidth.url}/v1/", "55555", BASIC)


@pytest.fixture
def voice(http: HttpClient, bandwidth: Loopback) -> VoiceApi:
    return VoiceApi(http, f"{bandwidth.url}/api/v2", "55555", BASIC)


async def test_create_session(webrtc: WebRtcApi, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(200, {"id": SESSION, "tag": "t", "participantIds": [], "new": 1}))
    assert await webrtc.create_session(tag="t", timeout=5) == SESSION
    [seen] = bandwidth.seen
    assert (seen.method, seen.path, seen.json()) == ("POST", "/v1/accounts/55555/sessions", {"tag": "t"})


@pytest.mark.parametrize("callback_url", ["https://bridge.example/callbacks/participants", None])
async def test_create_participant(webrtc: WebRtcApi, bandwidth: Loopback, callback_url: str | None) -> None:
    bandwidth.answers(Reply(201, {"participant": {"id": PARTICIPANT, "tag": "t"}, "token": TOKEN}))
    created = await webrtc.create_participant(tag="t", callback_url=callback_url, timeout=5)
    assert created == CreatedParticipant(id=PARTICIPANT, token=TOKEN)
    assert repr(created) == str(created) == f"CreatedParticipant(id={PARTICIPANT!r}, token=***)"
    [seen] = bandwidth.seen
    assert (seen.method, seen.path) == ("POST", "/v1/accounts/55555/participants")
    expected = {"tag": "t", "publishPermissions": ["AUDIO"], "deviceApiVersion": "V3"}
    assert seen.json() == expected | ({"callbackUrl": callback_url} if callback_url else {})


async def test_add_participant(webrtc: WebRtcApi, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(204))
    await webrtc.add_participant(SESSION, PARTICIPANT, timeout=5)
    [seen] = bandwidth.seen
    path = f"/v1/accounts/55555/sessions/{SESSION}/participants/{PARTICIPANT}"
    assert (seen.method, seen.path, seen.json()) == ("PUT", path, {"sessionId": SESSION})


@pytest.mark.parametrize(("status", "kind"), [(404, NotFound), (409, Conflict)])
async def test_add_participant_tells_what_is_wrong(
    webrtc: WebRtcApi, bandwidth: Loopback, status: int, kind: type[BandwidthError]
) -> None:
    bandwidth.answers(Reply(status, {"error": "words", "requestId": "r"}))
    with pytest.raises(kind) as caught:
        await webrtc.add_participant(SESSION, PARTICIPANT, timeout=5)
    assert (caught.value.operation, caught.value.detail) == ("add-participant", "words")


@pytest.mark.parametrize("reply", [Reply(204), Reply(200), NOWHERE])
async def test_removing_and_deleting(webrtc: WebRtcApi, bandwidth: Loopback, reply: Reply) -> None:
    bandwidth.answers(reply)
    await webrtc.remove_participant(SESSION, PARTICIPANT, timeout=5)
    await webrtc.delete_participant(PARTICIPANT, timeout=5)
    await webrtc.delete_session(SESSION, timeout=5)
    base = "/v1/accounts/55555"
    assert [(seen.method, seen.path, seen.body) for seen in bandwidth.seen] == [
        ("DELETE", f"{base}/sessions/{SESSION}/participants/{PARTICIPANT}", b""),
        ("DELETE", f"{base}/participants/{PARTICIPANT}", b""),
        ("DELETE", f"{base}/sessions/{SESSION}", b""),
    ]


async def test_deleting_fails_for_other_reasons(webrtc: WebRtcApi, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(500))
    with pytest.raises(BandwidthError, match="delete-session: server-error"):
        await webrtc.delete_session(SESSION, timeout=5)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"<html>",
        b"[" * 5000,
        b'{"id":"\xff"}',
        {},
        {"id": 5},
        {"id": ""},
        {"id": ".."},
        {"id": "a b"},
        {"id": "../x"},
        b'{"id":"../x","tag":"t',
        {"id": "x" * 201},
    ],
)
async def test_session_without_a_usable_id(
    webrtc: WebRtcApi, bandwidth: Loopback, body: bytes | dict[str, Any]
) -> None:
    bandwidth.answers(Reply(200, body))
    with pytest.raises(BandwidthError) as caught:
        await webrtc.create_session(tag="t", timeout=5)
    assert (caught.value.code, caught.value.may_have_happened, caught.value.retryable) == (
        "invalid-response",
        True,
        False,
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"participant": {"id": PARTICIPANT}},
        {"participant": {"id": PARTICIPANT}, "token": ""},
        {"participant": {}, "token": TOKEN},
        {"participant": {"id": "../x"}, "token": ""},
        {"participant": {"id": "../x"}, "token": TOKEN},
    ],
)
async def test_participant_without_id_or_token(
    webrtc: WebRtcApi, bandwidth: Loopback, body: dict[str, Any]
) -> None:
    bandwidth.answers(Reply(200, body))
    with pytest.raises(BandwidthError) as caught:
        await webrtc.create_participant(tag="t", callback_url=None, timeout=5)
    assert (caught.value.code, caught.value.may_have_happened) == ("invalid-response", True)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


async def test_tags_are_bounded_before_anything_is_sent(webrtc: WebRtcApi, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(200, {"id": SESSION}))
    await webrtc.create_session(tag="t" * 50, timeout=5)
    with pytest.raises(ValueError, match="tag"):
        await webrtc.create_session(tag="t" * 51, timeout=5)
    with pytest.raises(ValueError, match="tag"):
        await webrtc.create_participant(tag="t" * 51, callback_url=None, timeout=5)
    assert len(bandwidth.seen) == 1


@pytest.mark.parametrize(
    "bad",
    ["", ".", "..", "...", "../x", "a/b", "a\\b", "..%2fx", "a?b", "a#b", "a b", "a\nb", "ä", "x" * 201],
)
async def test_what_is_no_id_gets_into_no_path(
    webrtc: WebRtcApi, voice: VoiceApi, http: HttpClient, bandwidth: Loopback, bad: str
) -> None:
    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: webrtc.add_participant(bad, PARTICIPANT, timeout=5),
        lambda: webrtc.remove_participant(SESSION, bad, timeout=5),
        lambda: webrtc.delete_participant(bad, timeout=5),
        lambda: webrtc.delete_session(bad, timeout=5),
        lambda: voice.hang_up(bad, timeout=5),
        lambda: voice.get_call(bad, timeout=5),
    ]
    for attempt in attempts:
        with pytest.raises(ValueError, match="not an id"):
            await attempt()
    with pytest.raises(ValueError, match="account_id"):
        VoiceApi(http, bandwidth.url, bad, BASIC)
    assert bandwidth.seen == []


# Voice


async def test_somebody_in_between_deletes_nothing(webrtc: WebRtcApi, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(404, b"<html>404</html>"))
    for delete in (
        webrtc.remove_participant(SESSION, PARTICIPANT, timeout=5),
        webrtc.delete_participant(PARTICIPANT, timeout=5),
        webrtc.delete_session(SESSION, timeout=5),
    ):
        with pytest.raises(Misrouted):
            await delete


@pytest.mark.parametrize("status", [200, 204])
async def test_hang_up(voice: VoiceApi, bandwidth: Loopback, status: int) -> None:
    bandwidth.answers(Reply(status))
    await voice.hang_up(CALL, timeout=5)
    [seen] = bandwidth.seen
    assert (seen.method, seen.path) == ("POST", f"/api/v2/accounts/55555/calls/{CALL}")
    assert seen.json() == {"state": "completed"}


async def test_hang_up_of_what_is_not_there(voice: VoiceApi, bandwidth: Loopback) -> None:
    bandwidth.answers(NOWHERE)
    with pytest.raises(NotFound):
        await voice.hang_up(CALL, timeout=5)


async def test_hang_up_in_the_wrong_moment(voice: VoiceApi, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(409, {"type": "validation", "description": "not now", "id": ""}))
    with pytest.raises(Conflict) as caught:
        await voice.hang_up(CALL, timeout=5)
    assert (caught.value.code, caught.value.retryable, caught.value.detail) == ("conflict", True, "not now")


async def test_redirect(voice: VoiceApi, bandwidth: Loopback, logs: list[MutableMapping[str, Any]]) -> None:
    bandwidth.answers(Reply(200), NOWHERE)
    url = "https://bridge.example/callbacks/voice/r1"
    await voice.redirect(CALL, url=url, username="cb", password="cb-secret", timeout=5)
    with pytest.raises(NotFound):
        await voice.redirect(CALL, url=url, username="cb", password="cb-secret", timeout=5)
    assert bandwidth.seen[0].json() == {
        "state": "active",
        "redirectUrl": url,
        "redirectMethod": "POST",
        "username": "cb",
        "password": "cb-secret",
    }
    assert "cb-secret" not in repr(logs)


async def test_get_call(voice: VoiceApi, bandwidth: Loopback) -> None:
    ended = {
        "callId": CALL,
        "state": "disconnected",
        "disconnectCause": "hangup",
        "errorMessage": None,
        "errorId": None,
        "answerTime": "2026-11-01T10:00:00Z",
        "endTime": "2026-11-01T10:01:00Z",
    }
    bandwidth.answers(Reply(200, ended), Reply(200, {"state": "queued"}), NOWHERE, Reply(200, {}))
    assert await voice.get_call(CALL, timeout=5) == CallState(
        state="disconnected",
        disconnect_cause="hangup",
        answer_time="2026-11-01T10:00:00Z",
        end_time="2026-11-01T10:01:00Z",
    )
    assert await voice.get_call(CALL, timeout=5) == CallState(state="queued")
    assert await voice.get_call(CALL, timeout=5) is None
    with pytest.raises(BandwidthError, match="invalid-response"):
        await voice.get_call(CALL, timeout=5)
    assert {(seen.method, seen.path) for seen in bandwidth.seen} == {
        ("GET", f"/api/v2/accounts/55555/calls/{CALL}")
    }


async def test_attempts_are_told_to_log_and_tally(
    webrtc: WebRtcApi, voice: VoiceApi, bandwidth: Loopback, logs: list[MutableMapping[str, Any]]
) -> None:
    bandwidth.answers(Reply(204))
    with record_requests() as tally:
        await webrtc.delete_session(SESSION, timeout=5, attempt=4)
        await voice.hang_up(CALL, timeout=5)
    assert [(line["operation"], line["attempt"]) for line in logs] == [("delete-session", 4), ("hang-up", 1)]
    assert tally == RequestLog(requests=2, retries=1)
