import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any

import pytest

from service.bandwidth.api_client import HttpClient
from service.bandwidth.auth import Basic
from service.bandwidth.errors import BandwidthError
from service.bandwidth.request_log import RequestLog, current_request_log, record_requests
from service.tasks import Tasks
from tests.bandwidth.support import BASIC, Loopback, Reply, failed, get
from tests.waiting import wait_until

SECRET = "very-secret"


class Renewable(Basic):
    """Credentials that get better each time they are rejected."""

    def __init__(self) -> None:
        super().__init__("user", SECRET)
        self.number = 1

    current = ""

    async def header(self) -> str:
        return f"Bearer {self.number}"

    def invalidate(self, header: str) -> bool:
        self.number += header == f"Bearer {self.number}"
        return True


async def test_sends_what_it_was_given(http: HttpClient, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(201, b"{}", {"x-mark": "1"}))
    response = await http.send(
        "make", "POST", f"{bandwidth.url}/a?b=c", credentials=BASIC, json=b'{"d":1}', timeout=5
    )
    assert (response.status, response.body, response.headers["X-Mark"]) == (201, b"{}", "1")
    [seen] = bandwidth.seen
    assert (seen.method, seen.path, seen.json()) == ("POST", "/a", {"d": 1})
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["authorization"] == await BASIC.header()
    assert seen.headers["user-agent"] == "pstn-bridge"


async def test_no_body_has_no_content_type(http: HttpClient, bandwidth: Loopback) -> None:
    await get(http, bandwidth.url, "DELETE")
    assert "content-type" not in bandwidth.seen[0].headers


async def test_error_status_carries_what_bandwidth_said(http: HttpClient, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(429, {"type": "error", "description": "too many"}, {"retry-after": "7"}))
    error = await failed(http, bandwidth.url)
    assert (error.operation, error.code, error.status) == ("ask", "rate-limited", 429)
    assert (error.retryable, error.retry_after, error.detail) == (True, 7.0, "too many")


@pytest.mark.parametrize("status", [204, 200, 299])
async def test_any_2xx_is_fine(http: HttpClient, bandwidth: Loopback, status: int) -> None:
    bandwidth.answers(Reply(status))
    assert (await get(http, bandwidth.url)).status == status


async def test_redirects_are_not_followed(http: HttpClient, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(307, b"", {"location": "/elsewhere"}))
    error = await failed(http, bandwidth.url)
    assert (error.code, error.status, len(bandwidth.seen)) == ("invalid-response", 307, 1)


async def test_cookies_are_not_kept(http: HttpClient, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(200, b"", {"set-cookie": "a=b; Path=/"}))
    await get(http, bandwidth.url)
    await get(http, bandwidth.url)
    assert "cookie" not in bandwidth.seen[1].headers


async def test_environment_proxies_are_not_used(
    http: HttpClient, bandwidth: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert (await get(http, bandwidth.url)).status == 200


# 401


async def test_401_is_repeated_once_with_a_fresh_header(http: HttpClient, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(401), Reply(200))
    with record_requests() as tally:
        response = await http.send("ask", "POST", bandwidth.url, credentials=Renewable(), timeout=5)
    assert response.status == 200
    assert [seen.headers["authorization"] for seen in bandwidth.seen] == ["Bearer 1", "Bearer 2"]
    assert tally == RequestLog(requests=2, retries=1)


async def test_401_twice_is_an_error(http: HttpClient, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(401, {"message": "Unauthorized"}))
    with pytest.raises(BandwidthError) as caught:
        await http.send("ask", "GET", bandwidth.url, credentials=Renewable(), timeout=5)
    assert (caught.value.code, caught.value.detail, len(bandwidth.seen)) == (
        "unauthorized",
        "Unauthorized",
        2,
    )


async def test_401_is_not_repeated_where_it_cannot_help(http: HttpClient, bandwidth: Loopback) -> None:
    bandwidth.answers(Reply(401))
    assert (await failed(http, bandwidth.url)).code == "unauthorized"
    assert len(bandwidth.seen) == 1


# The log and the tally


async def test_one_line_for_each_request(
    http: HttpClient, bandwidth: Loopback, logs: list[MutableMapping[str, Any]]
) -> None:
    bandwidth.answers(Reply(401), Reply(200), Reply(500))
    await http.send("first", "GET", bandwidth.url, credentials=Renewable(), timeout=5, attempt=3)
    with pytest.raises(BandwidthError):
        await http.send("second", "GET", bandwidth.url, credentials=BASIC, timeout=5)
    with pytest.raises(BandwidthError):
        await http.send("third", "GET", "http://127.0.0.1:1", credentials=BASIC, timeout=5)
    assert all(line.pop("ms") >= 0 for line in logs)
    common = {"event": "request.sent"}
    assert logs == [
        common
        | {
            "operation": "first",
            "status": 401,
            "error": "unauthorized",
            "attempt": 3,
            "log_level": "warning",
        },
        common | {"operation": "first", "status": 200, "attempt": 4, "log_level": "info"},
        common
        | {
            "operation": "second",
            "status": 500,
            "error": "server-error",
            "attempt": 1,
            "log_level": "warning",
        },
        common | {"operation": "third", "error": "unreachable", "attempt": 1, "log_level": "warning"},
    ]


async def test_cancelled_request_is_logged_and_ends(
    http: HttpClient, bandwidth: Loopback, logs: list[MutableMapping[str, Any]]
) -> None:
    gate = asyncio.Event()
    bandwidth.answers(Reply(gate=gate))
    task = Tasks().start(get(http, bandwidth.url), name="asks")
    await wait_until(lambda: len(bandwidth.seen) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [line["error"] for line in logs] == ["cancelled"]
    gate.set()


async def test_no_secret_is_logged(
    http: HttpClient,
    bandwidth: Loopback,
    logs: list[MutableMapping[str, Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    bandwidth.answers(Reply(200, {"token": SECRET}), Reply(400, {"message": SECRET}), Reply(401))
    url = f"{bandwidth.url}/{SECRET}?key={SECRET}"
    header = await BASIC.header()
    await http.send("ask", "POST", url, credentials=BASIC, json=b'"very-secret"', timeout=5)
    for _ in range(2):
        with pytest.raises(BandwidthError):
            await http.send("ask", "POST", url, credentials=BASIC, form={"password": SECRET}, timeout=5)
    assert len(logs) == 3
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn")]
    for text in (repr(logs), repr(ours)):
        assert SECRET not in text
        assert header.split()[1] not in text
        assert bandwidth.url not in text


async def test_tally_counts_attempts_of_parallel_requests_and_ends_with_its_block(
    http: HttpClient, bandwidth: Loopback
) -> None:
    with record_requests() as outer:
        await get(http, bandwidth.url)
        with record_requests() as inner:
            await asyncio.gather(*(get(http, bandwidth.url) for _ in range(3)))
            await http.send("ask", "GET", bandwidth.url, credentials=BASIC, timeout=5, attempt=2)
    await get(http, bandwidth.url)
    assert inner == RequestLog(requests=4, retries=1)
    assert outer == RequestLog(requests=1, retries=0)
    assert current_request_log.get() is None
