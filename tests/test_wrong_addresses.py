"""An application at Bandwidth with a wrong address: what can be taken is, and the rest leaves a trace."""

from typing import Any

import httpx
import pytest

from handlers.http.log_throttle import MAX_DETAILS
from tests.harness import PASSWORD, USERNAME, RunningService
from tests.join.visitors import new_visitor

EVENT = {"eventType": "initiate", "callId": "c-1", "accountId": "9900000", "to": "+15550100100"}


async def send(service: RunningService, method: str, path: str, body: Any = EVENT) -> httpx.Response:
    async with httpx.AsyncClient(auth=(USERNAME, PASSWORD)) as client:
        return await client.request(method, f"{service.url}{path}", json=body)


async def counted(service: RunningService) -> float:
    wanted = 'pstn_webhooks_total{event="unknown",result="wrong-address"} '
    text = (await send(service, "GET", "/metrics")).text
    return float(next(line for line in text.splitlines() if line.startswith(wanted)).removeprefix(wanted))


def astray(service: RunningService) -> list[dict[str, Any]]:
    return service.log("webhook.misaddressed", level="warning")


@pytest.mark.parametrize(
    "path", ["/callbacks/voice/", "//callbacks/voice", "/callbacks//voice", "//callbacks//voice/"]
)
async def test_slashes_too_many_are_taken(service: RunningService, path: str) -> None:
    answer = await send(service, "POST", path)
    assert answer.status_code == 200
    assert "<Transfer" in answer.text
    gone = await send(service, "POST", path, {**EVENT, "eventType": "disconnect", "cause": "hangup"})
    assert gone.status_code == 204
    assert (astray(service), await counted(service)) == ([], 0)


@pytest.mark.parametrize(
    ("method", "path", "status", "shown"),
    [
        ("POST", "/", 404, "/"),
        ("POST", "/voice", 404, "/voice"),
        ("POST", "/callbacks/Voice", 404, "/callbacks/Voice"),
        ("POST", "/CALLBACKS/voice", 404, "/CALLBACKS/voice"),
        ("POST", "/callback/voice", 404, "/callback/voice"),
        ("POST", "/callbacks", 404, "/callbacks"),
        ("POST", "/callbacks/voice/a/b/c", 404, "/callbacks/voice/a"),
        ("GET", "/callbacks/legs/+15550100100/secret", 405, "/callbacks/legs/*"),
        ("GET", "/callbacks/voice?eventType=initiate&callId=c-1", 405, "/callbacks/voice"),
        ("PUT", "/callbacks/+15550100100/x", 404, "/callbacks/*/x"),
        ("POST", "/livez", 405, "/livez"),
        ("POST", "/api/v1/callbacks", 404, "/api/*/callbacks"),
        ("POST", "/api/v1/openapi.json", 405, "/api/*/*"),
        ("POST", "/" + "x" * 500, 404, "/" + "x" * 39),
    ],
)
async def test_any_other_leaves_a_trace(
    service: RunningService, method: str, path: str, status: int, shown: str
) -> None:
    for _ in range(3):
        answer = await send(service, method, path, EVENT if method == "POST" else None)
        assert answer.status_code == status
    assert await counted(service) == 3
    (line,) = astray(service)
    told = {key: line[key] for key in ("method", "path", "status", "peer")}
    assert told == {"method": method, "path": shown, "status": status, "peer": "127.0.0.1"}
    assert "5550100100" not in str(line)


async def test_what_is_no_webhook_leaves_none(service: RunningService) -> None:
    async with new_visitor(service) as visitor:
        await visitor.send("POST", "/visit", {"invitation": "x"})
        await visitor.client.get("/favicon.ico")
        await visitor.client.post("/wp-login.php", data={"a": "b"})
    assert (
        await send(service, "POST", "/api/v1/calls/p01-aaaaaaaaaaaaaaaaaaaa/hangup", {})
    ).status_code == 401
    assert (astray(service), await counted(service)) == ([], 0)


async def test_a_scanner_fills_no_log(service: RunningService) -> None:
    """So many paths are told apart, and all others are one."""
    for first in "abcdefghijk":
        for second in "abcdefghijk":
            await send(service, "POST", f"/{first}/{second}")
    assert await counted(service) == 121
    assert len(astray(service)) == MAX_DETAILS + 1
    await send(service, "POST", "/k/k")
    assert len(astray(service)) == MAX_DETAILS + 1


async def test_what_a_conference_says_of_itself_is_taken(service: RunningService) -> None:
    event = {"eventType": "conferenceCompleted", "conferenceId": "conf-1", "accountId": "9900000"}
    answer = await send(service, "POST", "/callbacks/voice", event)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (
        await send(service, "POST", "/callbacks/voice", {**event, "eventType": "initiate"})
    ).status_code == 400
