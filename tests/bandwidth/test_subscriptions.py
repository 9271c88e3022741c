from typing import Any

import pytest

from service.bandwidth.api_client import HttpClient
from service.bandwidth.errors import NotFound
from service.bandwidth.webrtc import WebRtcApi
from tests.bandwidth.support import BASIC, Loopback, Reply

SESSION = "cb5054ee-a69b-41ac-9ab2-04d6370826b4"
PARTICIPANT = "62e0ecb9-0b1b-4115-aae4-4f36123d6bb1"
MEMBER = f"/v1/accounts/55555/sessions/{SESSION}/participants/{PARTICIPANT}"
HEARS = [
    (None, {"sessionId": SESSION}),
    # With the session's id in it, this would be everybody.
    ((), {}),
    (("p-1",), {"sessionId": SESSION, "participants": [{"participantId": "p-1"}]}),
    (
        ("p-1", "p-2"),
        {"sessionId": SESSION, "participants": [{"participantId": "p-1"}, {"participantId": "p-2"}]},
    ),
]


@pytest.fixture
def webrtc(http: HttpClient, bandwidth: Loopback) -> WebRtcApi:
    return WebRtcApi(http, f"{bandwidth.url}/v1/", "55555", BASIC)


@pytest.mark.parametrize(("hears", "body"), HEARS)
async def test_whom_a_new_member_hears(
    webrtc: WebRtcApi, bandwidth: Loopback, hears: tuple[str, ...] | None, body: dict[str, Any]
) -> None:
    bandwidth.answers(Reply(204))
    await webrtc.add_participant(SESSION, PARTICIPANT, hears=hears, timeout=5)
    [seen] = bandwidth.seen
    assert (seen.method, seen.path, seen.json()) == ("PUT", MEMBER, body)


@pytest.mark.parametrize(("hears", "body"), HEARS)
async def test_whom_a_member_hears_from_now_on(
    webrtc: WebRtcApi, bandwidth: Loopback, hears: tuple[str, ...] | None, body: dict[str, Any]
) -> None:
    bandwidth.answers(Reply(204))
    await webrtc.subscribe(SESSION, PARTICIPANT, hears=hears, timeout=5)
    [seen] = bandwidth.seen
    assert (seen.method, seen.path, seen.json()) == ("PUT", f"{MEMBER}/subscriptions", body)


async def test_who_is_gone_hears_nobody(webrtc: WebRtcApi, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(404, {"error": "words", "requestId": "r"}))
    with pytest.raises(NotFound) as caught:
        await webrtc.subscribe(SESSION, PARTICIPANT, hears=None, timeout=5)
    assert (caught.value.operation, caught.value.detail) == ("update-subscriptions", "words")


@pytest.mark.parametrize("bad", ["", "..", "../x", "a b", "ä", "x" * 201])
async def test_what_is_no_id_is_not_sent(webrtc: WebRtcApi, bandwidth: Loopback, bad: str) -> None:
    for hears in ((bad,), ("p-1", bad)):
        with pytest.raises(ValueError, match="hears: not an id"):
            await webrtc.add_participant(SESSION, PARTICIPANT, hears=hears, timeout=5)
        with pytest.raises(ValueError, match="hears: not an id"):
            await webrtc.subscribe(SESSION, PARTICIPANT, hears=hears, timeout=5)
    with pytest.raises(ValueError, match="session_id"):
        await webrtc.subscribe(bad, PARTICIPANT, hears=None, timeout=5)
    with pytest.raises(ValueError, match="participant_id"):
        await webrtc.subscribe(SESSION, bad, hears=None, timeout=5)
    assert bandwidth.seen == []
