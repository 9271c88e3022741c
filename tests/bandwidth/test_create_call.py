import asyncio
import dataclasses
import importlib
import json
import socket
from collections.abc import MutableMapping
from typing import Any

import pytest

from service.bandwidth.api_client import HttpClient
from service.bandwidth.auth import Basic
from service.bandwidth.create_call import CreateCallRequest, MachineDetection, create_call_body
from service.bandwidth.errors import BandwidthError
from service.bandwidth.request_log import RequestLog, record_requests
from service.bandwidth.voice import VoiceApi
from tests.bandwidth.support import BASIC, Loopback, RawServer, Reply, reset

CALL = "c-93d6f3c0-be584596-0b74-4fa2-8015-d8ede84bd1a4"
URL = "https://bridge.example/callbacks/voice/r1"
SIPX = "sip:sipx.webrtc.bandwidth.com:5060"
NUMBER = "+15551234567"
NAN = float("nan")
CREATED = {"callId": CALL, "accountId": "55555", "to": NUMBER, "password": "*****", "tag": "t"}


class Renewed(Basic):
    """Credentials that another try may help."""

    def invalidate(self, header: str) -> bool:
        return True


def order(**changes: Any) -> CreateCallRequest:
    usual: dict[str, Any] = {
        "to": NUMBER,
        "from_": "+15557654321",
        "application_id": "app-1",
        "answer_url": f"{URL}/answer",
        "disconnect_url": f"{URL}/disconnect",
        "username": "u",
        "password": "hidden-p",
    }
    return CreateCallRequest(**(usual | changes))


def detection(**changes: Any) -> MachineDetection:
    usual: dict[str, Any] = {"mode": "async", "callback_url": f"{URL}/amd"}
    return MachineDetection(**(usual | changes))


FULL = order(
    to=SIPX,
    answer_fallback_url=f"{URL}/fallback",
    fallback_username="fu",
    fallback_password="hidden-fp",
    call_timeout=30.5,
    callback_timeout=10,
    uui="hidden-token;encoding=jwt",
    tag="t",
    machine_detection=detection(
        username="mu",
        password="hidden-mp",
        fallback_url=f"{URL}/amd-fallback",
        fallback_username="mfu",
        fallback_password="hidden-mfp",
        delay_result=True,
        detection_timeout=20,
    ),
)
FULL_BODY = {
    "to": SIPX,
    "from": "+15557654321",
    "applicationId": "app-1",
    "answerUrl": f"{URL}/answer",
    "answerFallbackUrl": f"{URL}/fallback",
    "disconnectUrl": f"{URL}/disconnect",
    "username": "u",
    "password": "hidden-p",
    "fallbackUsername": "fu",
    "fallbackPassword": "hidden-fp",
    "callTimeout": 30.5,
    "callbackTimeout": 10,
    "uui": "hidden-token;encoding=jwt",
    "tag": "t",
    "machineDetection": {
        "mode": "async",
        "callbackUrl": f"{URL}/amd",
        "username": "mu",
        "password": "hidden-mp",
        "fallbackUrl": f"{URL}/amd-fallback",
        "fallbackUsername": "mfu",
        "fallbackPassword": "hidden-mfp",
        "delayResult": True,
        "detectionTimeout": 20,
    },
}


def api(http: HttpClient, url: str, credentials: Basic = BASIC) -> VoiceApi:
    return VoiceApi(http, f"{url}/api/v2", "55555", credentials)


async def failed(voice: VoiceApi) -> BandwidthError:
    with pytest.raises(BandwidthError) as caught:
        await voice.create_call(order(), timeout=5)
    assert caught.value.operation == "create-call"
    return caught.value


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_create_call(
    http: HttpClient, bandwidth: Loopback, logs: list[MutableMapping[str, Any]], status: int
) -> None:
    bandwidth.answers(Reply(status, CREATED))
    assert await api(http, bandwidth.url).create_call(FULL, timeout=5, attempt=2) == CALL
    [seen] = bandwidth.seen
    assert (seen.method, seen.path) == ("POST", "/api/v2/accounts/55555/calls")
    assert seen.json() == FULL_BODY
    assert [(line["operation"], line["attempt"]) for line in logs] == [("create-call", 2)]
    for private in ("hidden", NUMBER[1:]):
        assert private not in repr(logs)


async def test_only_what_is_set_is_sent(http: HttpClient, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(201, CREATED))
    voice = api(http, bandwidth.url)
    await voice.create_call(order(), timeout=5)
    await voice.create_call(order(tag="", machine_detection=MachineDetection("sync")), timeout=5)
    least = {
        "to": NUMBER,
        "from": "+15557654321",
        "applicationId": "app-1",
        "answerUrl": f"{URL}/answer",
        "disconnectUrl": f"{URL}/disconnect",
        "username": "u",
        "password": "hidden-p",
    }
    assert [seen.json() for seen in bandwidth.seen] == [
        least,
        least | {"tag": "", "machineDetection": {"mode": "sync"}},
    ]


def test_every_field_is_sent_under_a_name_of_the_official_sdk() -> None:
    models: Any = importlib.import_module("bandwidth.models")
    body: dict[str, Any] = create_call_body(FULL)
    assert len(body) == len(dataclasses.fields(CreateCallRequest))
    assert len(body["machineDetection"]) == len(dataclasses.fields(MachineDetection))
    for sent, model in (
        (body, models.CreateCall),
        (body["machineDetection"], models.MachineDetectionConfiguration),
    ):
        assert set(sent) <= {field.alias or name for name, field in model.model_fields.items()}


def test_secrets_are_not_shown() -> None:
    assert "hidden" not in repr(FULL)


# What becomes of it


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"<html>",
        {},
        {"callId": 5},
        {"callId": ""},
        {"callId": ".."},
        {"callId": "../x"},
        {"callId": "a b"},
    ],
)
async def test_answer_without_a_usable_id(
    http: HttpClient, bandwidth: Loopback, body: bytes | dict[str, Any]
) -> None:
    bandwidth.answers(Reply(201, body))
    error = await failed(api(http, bandwidth.url))
    assert (error.code, error.status, error.retryable) == ("invalid-response", 201, False)
    assert error.may_have_happened


@pytest.mark.parametrize(
    ("status", "code", "may_have_happened"),
    [
        (400, "bad-request", False),
        (403, "forbidden", False),
        (429, "rate-limited", False),
        (500, "server-error", True),
        (503, "overloaded", True),
    ],
)
async def test_refusals(
    http: HttpClient, bandwidth: Loopback, status: int, code: str, may_have_happened: bool
) -> None:
    bandwidth.answers(Reply(status, {"type": "error", "description": "words"}))
    error = await failed(api(http, bandwidth.url))
    assert (error.code, error.detail, error.may_have_happened) == (code, "words", may_have_happened)
    assert len(bandwidth.seen) == 1


async def test_401_made_no_call_and_is_repeated(http: HttpClient, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(401), Reply(201, CREATED))
    voice = api(http, bandwidth.url, Renewed("user", "password"))
    assert await voice.create_call(order(), timeout=5) == CALL
    assert len(bandwidth.seen) == 2
    bandwidth.answers(Reply(401))
    error = await failed(voice)
    assert (error.code, error.may_have_happened) == ("unauthorized", False)
    assert len(bandwidth.seen) == 4


async def test_connection_that_breaks_after_a_401_may_have_made_a_call(http: HttpClient) -> None:
    async def refuse_and_break(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        if len(server.heads) == 1:
            writer.write(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        else:
            reset(writer)

    async with RawServer(refuse_and_break).serving() as server:
        error = await failed(api(http, server.url, Renewed("user", "password")))
    assert (error.code, error.may_have_happened, len(server.heads)) == ("unreachable", True, 2)


async def test_refused_connection_made_no_call(http: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    error = await failed(api(http, f"http://127.0.0.1:{port}"))
    assert (error.code, error.may_have_happened) == ("unreachable", False)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{"])
async def test_connection_that_breaks_may_have_made_a_call_and_is_not_repeated(
    http: HttpClient, answer: bytes
) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with RawServer(break_off).serving() as server:
        with record_requests() as tally:
            error = await failed(api(http, server.url))
    assert (error.code, error.may_have_happened) == ("unreachable", True)
    assert (len(server.heads), tally) == (1, RequestLog(requests=1))


async def drop_when_used_again(
    server: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answers one request on a connection, which is then kept, and goes away upon the next one's head."""
    body = json.dumps(CREATED).encode()
    if await server.head(reader):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await server.head(reader)
    reset(writer)


async def test_a_call_is_never_asked_for_on_a_connection_that_others_have_used(http: HttpClient) -> None:
    async with RawServer(lambda r, w: drop_when_used_again(server, r, w)).serving() as server:
        voice = api(http, server.url)
        await voice.hang_up(CALL, timeout=5)
        assert await voice.create_call(order(), timeout=5) == CALL
        assert await voice.create_call(order(), timeout=5) == CALL
        # The connection of the first request is still there, and is what it was feared to be.
        with pytest.raises(BandwidthError, match="unreachable") as caught:
            await voice.hang_up(CALL, timeout=5)
    assert caught.value.may_have_happened
    assert (server.connections, len(server.heads)) == (3, 4)
    closing = [b"\r\nconnection: close\r\n" in head.lower() for head in server.heads]
    assert closing == [False, True, True, False]


async def test_its_connection_is_closed_by_us_and_not_kept(http: HttpClient) -> None:
    """Also where the server would keep it."""

    async def answer_and_listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{"callId":"c"}')
        await reader.read()  # to its end
        closed.set()

    closed = asyncio.Event()
    async with RawServer(answer_and_listen).serving() as server:
        assert await api(http, server.url).create_call(order(), timeout=5) == "c"
        await asyncio.wait_for(closed.wait(), timeout=5)


async def test_timeout_may_have_made_a_call(http: HttpClient, bandwidth: Loopback) -> None:
    gate = asyncio.Event()
    bandwidth.answers(Reply(gate=gate))
    with pytest.raises(BandwidthError) as caught:
        await api(http, bandwidth.url).create_call(order(), timeout=0.1)
    assert (caught.value.code, caught.value.may_have_happened) == ("timeout", True)
    assert len(bandwidth.seen) == 1
    gate.set()


# The order's checks


@pytest.mark.parametrize(
    ("field", "name", "good", "bad"),
    [
        (
            "to",
            "to",
            (NUMBER, SIPX, "sips:a@b"),
            ("", "15551234567", "+0155", "+1 555", "+12\n", "sip:", "sip:a b", "tel:+15551234567"),
        ),
        ("from_", "from", (NUMBER,), ("", "15551234567", SIPX, "Anonymous")),
        ("application_id", "applicationId", ("a-b",), ("", "a b", "a/b")),
        ("answer_url", "answerUrl", (URL,), ("", "/a", "ftp://a/b", f"{URL}/{'x' * 2048}")),
        ("disconnect_url", "disconnectUrl", (URL,), ("", "/a", f"{URL}/{'x' * 2048}")),
        ("answer_fallback_url", "answerFallbackUrl", (None, URL), ("", "/a", f"{URL}/{'x' * 2048}")),
        ("username", "username", ("x" * 1024,), ("x" * 1025,)),
        ("password", "password", ("x" * 1024,), ("x" * 1025,)),
        ("fallback_username", "fallbackUsername", ("x" * 1024,), ("x" * 1025,)),
        ("fallback_password", "fallbackPassword", ("x" * 1024,), ("x" * 1025,)),
        ("call_timeout", "callTimeout", (1, 300), (0.9, 300.1, NAN)),
        ("callback_timeout", "callbackTimeout", (1, 25), (0.9, 25.1, NAN)),
        ("uui", "uui", ("u" * 350,), ("u" * 351,)),
        ("tag", "tag", ("", "t" * 4096), ("t" * 4097,)),
    ],
)
def test_limits(field: str, name: str, good: tuple[Any, ...], bad: tuple[Any, ...]) -> None:
    for value in good:
        assert getattr(order(**{field: value}), field) == value
    for value in bad:
        with pytest.raises(ValueError, match=f"^{name}: ") as caught:
            order(**{field: value})
        assert "555" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "name", "good", "bad"),
    [
        ("callback_url", "callbackUrl", (URL,), (None, "", "/a", f"{URL}/{'x' * 2048}")),
        ("username", "username", ("x" * 1024,), ("x" * 1025,)),
        ("password", "password", ("x" * 1024,), ("x" * 1025,)),
        ("detection_timeout", "detectionTimeout", (1, 60), (0, -1)),
    ],
)
def test_limits_of_detection(field: str, name: str, good: tuple[Any, ...], bad: tuple[Any, ...]) -> None:
    for value in good:
        assert getattr(detection(**{field: value}), field) == value
    for value in bad:
        with pytest.raises(ValueError, match=rf"^machineDetection\.{name}: "):
            detection(**{field: value})
