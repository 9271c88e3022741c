"""What does not come from Bandwidth, or not as it should: answered with its status, and no key is left."""

import asyncio
import base64
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.harness import PASSWORD, USERNAME, RunningService, serving
from tests.simulator.simulator import Simulator

URL = "/callbacks/voice"
LEG_URL = "/callbacks/legs/p03-aaaaaaaaaaaaaaaaaaaa/1"
BOTH = pytest.mark.parametrize("url", [URL, LEG_URL], ids=["phone", "leg"])
CALL_ID = "c-93d6f3c0-be584596-0b74-4fa2-8015-d8ede84bd1a4"

OWN = {"clock", "marker", "searched"}
"""Kinds of keys that replicas keep for themselves, calls or none."""


def body(**fields: Any) -> dict[str, Any]:
    return {"eventType": "initiate", "callId": CALL_ID, "accountId": "9900000", **fields}


@pytest.fixture
async def client(service: RunningService) -> Any:
    async with httpx.AsyncClient(base_url=service.url, auth=(USERNAME, PASSWORD)) as client:
        yield client


@pytest.fixture(autouse=True)
async def no_key_left(redis: Redis) -> Any:
    yield
    kept = [str(key) for key in await redis.keys()]
    assert [key for key in kept if key.strip("'").split(":")[2] not in OWN] == []


@BOTH
@pytest.mark.parametrize(
    "header",
    [
        None,
        "Basic",
        "Basic !!!",
        "Bearer abc",
        "Basic " + base64.b64encode(b"bandwidth:wrong").decode(),
        "Basic " + base64.b64encode(b"somebody:callback-password").decode(),
        "Basic " + base64.b64encode(b"bandwidth:callback-passwor").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
    ],
)
async def test_wrong_or_missing_credentials(service: RunningService, url: str, header: str | None) -> None:
    async with httpx.AsyncClient(base_url=service.url) as client:
        answer = await client.post(url, json=body(), headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")


async def test_the_previous_password_is_good_while_it_is_changed(
    simulator: Simulator, store_url: str
) -> None:
    async with serving(simulator, store_url, CALLBACK_PASSWORD_PREVIOUS="before") as service:
        for password, status in ((PASSWORD, 200), ("before", 200), ("long before", 401)):
            async with httpx.AsyncClient(base_url=service.url, auth=(USERNAME, password)) as client:
                answer = await client.post(URL, json=body(eventType="somethingNew"))
            assert answer.status_code == status


@BOTH
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"callId": "c-1"}',
        b'{"eventType": "initiate"}',
        b'{"eventType": 5, "callId": "c-1"}',
        b'{"eventType": "initiate", "callId": null}',
        b'{"eventType": "initiate", "callId": ["c-1"]}',
        b'{"eventType": "initiate", "callId": ""}',
        b'{"eventType": "initiate", "callId": "  "}',
        b'{"eventType": "initiate", "callId": "c-\\u0000"}',
        b'{"eventType": "initiate", "callId": "' + b"c" * 300 + b'"}',
        b'{"eventType": "initiate", "callId": "' + b"c" * 201 + b'"}',
        b'{"eventType": "initiate", "callId": "c 1"}',
        b'{"eventType": "initiate", "callId": ".."}',
        b'{"eventType": "initiate", "callId": "../x"}',
        b'{"eventType": "initiate", "callId": "c-1/x"}',
        b'{"eventType": "initiate", "callId": "c-1?x"}',
        b'{"eventType": "initiate", "callId": "c%2f1"}',
        '{"eventType": "initiate", "callId": "c-é"}'.encode(),
        b'{"eventType": "initiate", "callId": "c-1", "x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b"[" * 60_000,
        b'{"eventType": "initiate", "callId": "c-1", "x": NaN}',
        b'{"eventType": "initiate", "callId": "c-1", "x": -Infinity}',
        '{"eventType": "initiate", "callId": "c-1"}'.encode("utf-16"),
    ],
)
async def test_what_is_no_webhook(client: httpx.AsyncClient, url: str, raw: bytes) -> None:
    answer = await client.post(url, content=raw)
    assert answer.status_code == 400
    assert answer.text


@BOTH
@pytest.mark.parametrize("account", ["9900001", 1, ""])
async def test_another_account(client: httpx.AsyncClient, url: str, account: object) -> None:
    assert (await client.post(url, json=body(accountId=account))).status_code == 403


@BOTH
async def test_too_large(client: httpx.AsyncClient, url: str) -> None:
    assert (await client.post(url, content=b" " * 65_537)).status_code == 413

    async def endless() -> Any:
        for _ in range(200):
            yield b" " * 1024

    assert (await client.post(url, content=endless())).status_code == 413


@BOTH
async def test_an_unknown_event_of_no_call(
    client: httpx.AsyncClient, service: RunningService, url: str
) -> None:
    answer = await client.post(url, json=body(eventType="somethingNew"))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/xml")
    assert answer.content.endswith(b"<Response />") or answer.content.endswith(b"<Response/>")
    assert service.log(event="webhook.unknown", event_type="somethingNew", level="warning")


@BOTH
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_other_methods(client: httpx.AsyncClient, url: str, method: str) -> None:
    assert (await client.request(method, url)).status_code == 405


@pytest.mark.parametrize(
    "event", ["transferAnswer", "transferComplete", "transferDisconnect", "redirect-of-leg"]
)
async def test_events_of_a_call_that_is_not_known(client: httpx.AsyncClient, event: str) -> None:
    fields = {"eventType": event, "parentCallId": CALL_ID, "callId": "c-b-leg"}
    if event == "redirect-of-leg":
        fields["eventType"] = "redirect"
    answer = await client.post(URL, json=body(**fields))
    if event == "transferDisconnect":
        assert answer.status_code == 204
        return
    assert answer.status_code == 200
    if event == "transferComplete":
        # A phone that may live, and is to come back, but not without end.
        assert b"<Redirect" in answer.content
        answer = await client.post(f"{URL}?again=3&since=0", json=body(**fields))
    assert b"<Hangup" in answer.content


@pytest.mark.parametrize("path", ["p03-aaaaaaaaaaaaaaaaaaaa/1", "p03-aaaaaaaaaaaaaaaaaaaa/x", "p99-odd/-1"])
@pytest.mark.parametrize(
    "event", ["answer", "redirect", "bridgeComplete", "bridgeTargetComplete", "disconnect", "initiate"]
)
async def test_events_of_a_leg_that_is_nobodys(client: httpx.AsyncClient, path: str, event: str) -> None:
    """It has no phone to be bridged with, and is let go after some rounds; nothing begins with it."""
    answer = await client.post(f"/callbacks/legs/{path}", json=body(eventType=event))
    if event not in {"disconnect", "initiate"}:
        assert b"<Redirect" in answer.content
        answer = await client.post(f"/callbacks/legs/{path}?again=3&since=0", json=body(eventType=event))
    if event == "disconnect":
        assert answer.status_code == 204
    else:
        assert answer.status_code == 200
        assert b"<Hangup" in answer.content or answer.content.endswith(b"<Response/>")


async def test_participant_events_need_their_address(client: httpx.AsyncClient) -> None:
    event = {"event": "onConnect", "participantId": "p"}
    answer = await client.post("/callbacks/participants/p00-x.1/" + "0" * 32, json=event)
    assert answer.status_code == 401


async def test_a_client_that_stops_in_the_middle(service: RunningService) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    credentials = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
    _, writer = await asyncio.open_connection(host, int(port))
    lines = [f"POST {URL} HTTP/1.1", "Host: x", f"Authorization: Basic {credentials}", "Content-Length: 100"]
    writer.write("\r\n".join([*lines, "", '{"eventType"']).encode())
    await writer.drain()
    writer.close()
    async with httpx.AsyncClient(base_url=service.url) as client:
        assert (await client.get("/livez")).status_code == 200
    assert not service.log(level="error")


async def test_what_is_json_all_the_same(client: httpx.AsyncClient) -> None:
    """Valid by the letter, if not as anybody writes it: no caller is turned away for it."""
    odd = b'"from": "\\ud800", "parentCallId": "\\ud800", "x": 1e999'
    raw = b'{"eventType": "redirect-x", "callId": "c-1", ' + odd + b"}"
    assert (await client.post(URL, content=raw)).status_code == 200


class TestLiveCall:
    """These leave a call behind on purpose, which ends as calls do."""

    @pytest.fixture(autouse=True)
    async def no_key_left(self) -> None:
        """Not here: there is a call."""

    async def test_an_unknown_event_keeps_it_waiting(
        self, simulator: Simulator, service: RunningService, client: httpx.AsyncClient
    ) -> None:
        phone = await simulator.dial()
        await phone.until("bridged")
        answer = await client.post(URL, json=body(eventType="somethingNew", callId=phone.call_id))
        assert answer.status_code == 200
        assert b"<Pause" in answer.content
        assert b"<Redirect" in answer.content
        assert service.log(event="webhook.unknown")
        await phone.hang_up()

    async def test_half_a_character_inside(
        self, simulator: Simulator, service: RunningService, client: httpx.AsyncClient
    ) -> None:
        phone = await simulator.dial()
        await phone.until("bridged")
        fields = b'"eventTime": "\\ud800", "machineDetectionResult": {"value": "human\\ud800"}'
        told = b'{"eventType": "machineDetectionComplete", "callId": "%s", ' % phone.call_id.encode()
        assert (await client.post(URL, content=told + fields + b"}")).status_code == 204
        assert not service.log(level="error")
        await phone.hang_up()

    async def test_participant_events_are_logged(
        self, simulator: Simulator, service: RunningService, client: httpx.AsyncClient
    ) -> None:
        phone = await simulator.dial()
        await phone.until("bridged")
        request = next(r for r in simulator.requests if r.operation == "createParticipant")
        path = request.body["callbackUrl"].removeprefix("https://bridge.test")
        event: dict[str, Any] = {"event": "onConnect", "participantId": phone.participant_id, "new": []}
        assert (await client.post(path, json=event)).status_code == 200
        assert service.log(event="participant.reported", event_type="onConnect")
        assert (await client.post(path, content=b"{")).status_code == 400
        await phone.hang_up()
