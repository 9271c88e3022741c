"""Whoever has no key causes a line of the log in a minute, and not one with each request."""

import asyncio
from collections import Counter
from typing import Any

import httpx
from redis.asyncio import Redis

from handlers.http.log_throttle import INTERVAL, MAX_DETAILS, LogThrottle
from handlers.http.request_guard import DOCTOR_USER_AGENT
from tests.clocks import SetClock
from tests.harness import API_KEYS, PASSWORD, USERNAME, RunningService
from tests.processes import environment, replica
from tests.simulator.simulator import Simulator

TIMES = 4
CREDENTIALS = (USERNAME, PASSWORD)
WRONG = ("x", "y")
FOREIGN = {"origin": "https://else.where"}
STRANGERS: list[tuple[str, str, dict[str, Any], tuple[str, int]]] = [
    ("POST", "/callbacks/voice", {"auth": WRONG}, ("webhook.refused", 401)),
    ("POST", "/callbacks/voice", {"auth": CREDENTIALS, "content": b"{"}, ("webhook.refused", 400)),
    ("POST", "/callbacks/voice", {"auth": CREDENTIALS, "content": bytes(70_000)}, ("webhook.refused", 413)),
    ("POST", "/callbacks/participants/sales/0123/0123", {"json": {}}, ("webhook.refused", 401)),
    ("POST", "/callback/voice", {"json": {}}, ("webhook.misaddressed", 404)),
    ("GET", "/join/sales", {}, ("page.opened", 403)),
    ("GET", "/join/sales?invitation=x", {}, ("page.opened", 403)),
    ("GET", "/join/no room", {}, ("page.opened", 404)),
    ("POST", "/join/sales/visit", {"json": {"invitation": "x"}}, ("api.answered", 403)),
    ("POST", "/join/sales/visit", {"content": b"{"}, ("api.answered", 415)),
    ("POST", "/join/sales/heartbeat", {"json": {}}, ("api.answered", 403)),
    ("POST", "/join/sales/leave", {"headers": FOREIGN}, ("api.answered", 403)),
    ("GET", "/api/v1/calls", {}, ("api.answered", 401)),
    ("GET", "/api/v1/nothing", {}, ("api.answered", 404)),
    ("PATCH", "/api/v1/calls", {}, ("api.answered", 405)),
    ("GET", "/api/v1/openapi.json?x=y", {}, ("api.answered", 422)),
    ("GET", "/api/v1/openapi.json", {}, ("api.answered", 200)),
]
"""What they may ask for, and which line tells of it."""
UPGRADE = (
    b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


async def test_a_stranger_causes_one_line(service: RunningService) -> None:
    """Some of them are of one kind: what the line names is the same."""
    async with httpx.AsyncClient(base_url=service.url) as client:
        for method, path, more, (event, status) in STRANGERS:
            before = len(service.log())
            for _ in range(TIMES):
                assert (await client.request(method, path, **more)).status_code == status, (method, path)
            lines = service.log()[before:]
            told = Counter(one["level"] == "debug" for one in lines if one["event"] == event)
            assert told.total() == TIMES, (method, path)
            assert told[False] <= 1, (method, path)
    lines = [one for one in service.log() if one["level"] != "debug"]
    kinds = Counter((one["event"], one.get("problem", one.get("path", one.get("status")))) for one in lines)
    asked = {event for *_, (event, _) in STRANGERS}
    assert {event for event, _ in kinds} >= asked
    assert [one for one, times in kinds.items() if one[0] in asked and times > 1] == []


async def test_what_is_of_another_kind_has_a_line_of_its_own(service: RunningService) -> None:
    async with httpx.AsyncClient(base_url=service.url) as client:
        for _ in range(TIMES):
            await client.post("/callbacks/voice", auth=WRONG, headers={"user-agent": DOCTOR_USER_AGENT})
            await client.post("/callbacks/voice", auth=WRONG)
            await client.post("/callbacks/voice", auth=CREDENTIALS, content=b"{")
    told = [one["status"] for one in service.log("webhook.refused", level="warning")]
    assert told == [401, 401, 400], "our own doctor's try takes nobody's line"


async def test_who_has_a_key_has_a_line_for_each_request(service: RunningService) -> None:
    key = API_KEYS.split(":")[2].split(",")[0]
    async with httpx.AsyncClient(base_url=service.url) as client:
        for _ in range(TIMES):
            await client.get("/api/v1/calls/nothing", headers={"authorization": f"Bearer {key}"})
    assert len(service.log("api.answered", level="info", status=404)) == TIMES


async def test_what_is_no_http_causes_one_line(simulator: Simulator, store_url: str, redis: Redis) -> None:
    """The server's own words; it knows nothing of ours."""
    async with replica(environment(simulator, REDIS_URL=store_url, API_KEYS=API_KEYS)) as running:
        port = int(running.url.rpartition(":")[2])
        for _ in range(TIMES):
            for noise in (b"no HTTP at all\r\n\r\n", UPGRADE):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(noise)
                await reader.read()
                writer.close()
        for words in ("Invalid HTTP request received.", "Unsupported upgrade request."):
            assert len(running.log(words)) == 1, words


def test_a_spell_ends() -> None:
    clock = SetClock()
    spells = LogThrottle(clock)
    for _ in range(3):
        assert spells.allows("a")
        assert not spells.allows("a")
        clock.advance(INTERVAL)


def test_kinds_of_input_are_forgotten_and_more_than_so_many_are_one() -> None:
    clock = SetClock()
    spells = LogThrottle(clock)
    assert all(spells.allows("astray", str(kind)) for kind in range(MAX_DETAILS))
    assert [spells.allows("astray", f"more {kind}") for kind in range(3)] == [True, False, False]
    assert [spells.allows("else", f"more {kind}") for kind in range(3)] == [True, False, False]
    clock.advance(INTERVAL)
    assert spells.allows("astray", "another"), "those of before are over"
    assert not spells.allows("astray", "another")


def test_kinds_of_input_take_nothing_from_others() -> None:
    spells = LogThrottle(SetClock())
    for kind in range(1000):
        spells.allows("astray", str(kind))
    assert all(spells.allows(f"own {kind}") for kind in range(200)), "more than may be made of input"
    assert not any(spells.allows(f"own {kind}") for kind in range(200)), "and none of them is forgotten"


async def test_whoever_makes_up_addresses_silences_nobody(service: RunningService) -> None:
    async with httpx.AsyncClient(base_url=service.url) as client:
        for first in "abcdefghijk":
            for second in "abcdefghijk":
                await client.post(f"/{first}/{second}", json={})
        for method, path, more, (event, status) in STRANGERS:
            if event == "webhook.misaddressed":
                continue
            assert (await client.request(method, path, **more)).status_code == status, (method, path)
    for line, (event, status) in (("warning", ("webhook.refused", 401)), ("info", ("api.answered", 401))):
        assert len(service.log(event, level=line, status=status)) == 1, event
