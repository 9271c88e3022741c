"""A call is put on hold by `/hold`. The old path does the same for one release, and says that it is old."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from handlers.api.document import DOCUMENT
from handlers.api.routes import DEPRECATED, RESOURCES
from handlers.http.deprecation import DEPRECATED_AT
from handlers.http.log_throttle import HOUR, LogThrottle
from tests.api.clients import Client, client_of, serving_api
from tests.api.test_orders import bridged, shows
from tests.clocks import SetClock
from tests.harness import RunningService
from tests.simulator.simulator import Simulator

OLD, NEW = "remove", "hold"
UNKNOWN = "/calls/p01-" + "a" * 20
MARKS = {"deprecation", "link"}


async def old(client: Client, path: str, method: str = "POST", **more: Any) -> httpx.Response:
    """Past the check against the document, which does not have this path."""
    return await client.http.request(method, f"{path}/{OLD}", **more)


@pytest.mark.parametrize("name", [NEW, OLD])
async def test_a_call_is_put_on_hold(simulator: Simulator, client: Client, name: str) -> None:
    phone, path = await bridged(simulator, client)
    answer = await client.http.post(f"{path}/{name}")
    assert (answer.status_code, answer.json()["id"]) == (202, path.rpartition("/")[2])
    await phone.hears("hold")
    await shows(client, path, state="detached")
    call = await client.get(path)
    assert [one["event"] for one in call["timeline"] if one["event"].startswith("order")] == ["orderHold"]
    assert phone.participant_id is None
    await phone.hang_up()


async def test_only_the_old_path_is_marked(client: Client) -> None:
    answer = await old(client, UNKNOWN)
    assert answer.status_code == 404
    assert answer.headers["deprecation"] == f"@{DEPRECATED_AT}"
    assert answer.headers["link"] == f'</api/v1{UNKNOWN}/{NEW}>; rel="successor-version"'
    assert MARKS.isdisjoint((await client.send("POST", f"{UNKNOWN}/{NEW}")).headers)
    assert datetime.fromtimestamp(DEPRECATED_AT, UTC).isoformat() == "2026-12-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("method", "key", "more", "status"),
    [
        ("POST", "all", {}, 404),
        ("POST", "all", {"json": {"now": True}}, 422),
        ("POST", "all", {"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ("POST", "all", {"params": {"x": "y"}}, 422),
        ("POST", "reader", {}, 403),
        ("POST", "all", {"headers": {"authorization": "Bearer wrong-0123456789"}}, 401),
        ("GET", "all", {}, 405),
    ],
)
async def test_both_paths_refuse_the_same(
    service: RunningService, method: str, key: str, more: dict[str, Any], status: int
) -> None:
    async with client_of(service, key) as client:
        new = await client.http.request(method, f"{UNKNOWN}/{NEW}", **more)
        was = await old(client, UNKNOWN, method, **more)
    assert new.status_code == was.status_code == status
    assert was.json() | {"detail": ""} == new.json() | {"detail": ""}
    assert {*was.headers} == {*new.headers} | MARKS


async def test_both_paths_count_for_one_limit(simulator: Simulator, store_url: str, redis: Redis) -> None:
    """One in six seconds."""
    async with (
        serving_api(simulator, store_url, API_RATE_LIMIT="10") as service,
        client_of(service) as client,
    ):
        answers = [await client.http.post(f"{UNKNOWN}/{name}") for name in (OLD, NEW, OLD)]
    assert [answer.status_code for answer in answers] == [404, 429, 429]
    assert [{*answer.headers} >= MARKS for answer in answers] == [True, False, True]


@pytest.mark.parametrize("id_", ["%3E%3B%20x", "%0D%0AX-Y:%20z", "%E2%82%AC", "%25", "{id}"])
async def test_no_id_breaks_the_link(client: Client, id_: str) -> None:
    answer = await old(client, f"/calls/{id_}")
    quoted = {"{id}": "%7Bid%7D", "%0D%0AX-Y:%20z": "%0D%0AX-Y%3A%20z"}.get(id_, id_)
    assert answer.status_code == 404
    assert answer.headers["link"] == f'</api/v1/calls/{quoted}/{NEW}>; rel="successor-version"'


async def test_a_line_tells_of_each_key_once(service: RunningService) -> None:
    for name in ("all", "controller", "reader", "all"):
        async with client_of(service, name) as client:
            for _ in range(3):
                await old(client, UNKNOWN)
            await client.http.post(f"{UNKNOWN}/{NEW}")
    async with httpx.AsyncClient(base_url=service.url) as nobody:
        assert (await nobody.post(f"/api/v1{UNKNOWN}/{OLD}")).status_code == 401
    told = service.log("api.deprecated")
    assert [line["key_name"] for line in told] == ["all", "controller", "reader"]
    assert {(line["path"], line["level"]) for line in told} == {("/api/v1/calls/{id}/remove", "warning")}
    assert len(service.log("api.answered", route="/api/v1/calls/{id}/remove")) == 13


def test_after_an_hour_it_is_told_again() -> None:
    clock = SetClock()
    throttle = LogThrottle(clock, interval=HOUR)
    told = []
    for _ in range(121):
        told.append(throttle.allows("path key"))
        clock.advance(60)
    assert [minute for minute, is_told in enumerate(told) if is_told] == [0, 60, 120]
    assert throttle.allows("path another-key")


def test_the_document_has_the_new_path_only() -> None:
    templates = [resource.template for resource in RESOURCES]
    assert f"/api/v1/calls/{{id}}/{NEW}" in templates
    assert [resource.template for resource in DEPRECATED] == [f"/api/v1/calls/{{id}}/{OLD}"]
    assert f'"/api/v1/calls/{{id}}/{NEW}"'.encode() in DOCUMENT
    assert f"/{OLD}".encode() not in DOCUMENT
    assert b"removeCall" not in DOCUMENT
