"""Who may ask, by what method, and what a request has to look like."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.api.clients import API, KEYS, Client, client_of, problem, serving_api
from tests.api.schema_check import operations
from tests.harness import RunningService
from tests.simulator.simulator import Simulator

REF = "p01-" + "a" * 20


@pytest.fixture
async def anybody(service: RunningService) -> AsyncIterator[Client]:
    client = Client(service, key=None)
    async with client.http:
        yield client


def concrete(path: str) -> str:
    return path.removeprefix(API).replace("{id}", REF).replace("{room}", "sales")


async def test_every_operation_wants_a_key(anybody: Client) -> None:
    for (method, path), operation in operations().items():
        answer = await anybody.send(method, concrete(path))
        if operation["security"]:
            assert problem(answer, 401)["title"]
            assert answer.headers["www-authenticate"] == "Bearer"
        else:
            assert answer.status_code == 200


async def test_what_is_no_key_of_ours(anybody: Client) -> None:
    key = KEYS["all"][1]
    for header in ("", "Bearer", "Bearer wrong-0123456789", f"Bearer {key}x", "Basic eDp5", key, "Bearer é"):
        answer = await anybody.send("GET", "/rooms", headers={"Authorization": header.encode("latin-1")})
        assert problem(answer, 401)


async def test_the_scheme_has_no_case(anybody: Client) -> None:
    headers = {"Authorization": f"bearer  {KEYS['all'][1]}"}
    assert (await anybody.send("GET", "/rooms", headers=headers)).status_code == 200


async def test_every_operation_wants_its_scope(service: RunningService) -> None:
    wanted = {key: one["security"][0]["key"][0] for key, one in operations().items() if one["security"]}
    for name in ("reader", "dialer", "controller", "curious"):
        async with client_of(service, name) as client:
            for (method, path), scope in wanted.items():
                answer = await client.send(method, concrete(path))
                if scope in KEYS[name][0].split("+"):
                    assert answer.status_code not in {401, 403}
                else:
                    told = problem(answer, 403)
                    assert told["scope"] == scope
                    assert name in told["detail"]


async def test_paths_that_are_not_there(anybody: Client) -> None:
    ends = (
        "",
        "/",
        "/call",
        "/calls/",
        f"/calls/{REF}/",
        f"/calls/{REF}/nothing",
        "/calls//join",
        "/rooms/a/b",
    )
    for path in ends:
        for method in ("GET", "POST", "HEAD", "OPTIONS"):
            assert (await anybody.send(method, path)).status_code == 404


async def test_methods_that_are_not_there(client: Client) -> None:
    by_path: dict[str, set[str]] = {}
    for described, path in operations():
        by_path.setdefault(path, set()).update({described, "HEAD"} if described == "GET" else {described})
    for path, methods in by_path.items():
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            answer = await client.send(method, concrete(path))
            if method in methods:
                assert answer.status_code != 405
            else:
                assert answer.status_code == 405
                assert set(answer.headers["allow"].split(", ")) == methods


async def test_head_tells_what_get_would(client: Client) -> None:
    for path in ("/openapi.json", "/calls", "/rooms", f"/calls/{REF}"):
        head, get = await client.send("HEAD", path), await client.send("GET", path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-length"] == get.headers["content-length"]


async def test_nothing_is_kept_by_caches(client: Client) -> None:
    for path in ("/calls", "/calls/nothing", "/openapi.json"):
        assert (await client.send("GET", path)).headers["cache-control"] == "no-store"


async def test_unknown_query_parameters(client: Client) -> None:
    for path in ("/openapi.json", "/rooms", "/rooms/sales", f"/calls/{REF}", "/calls"):
        answer = await client.send("GET", path, params={"verbose": "1"})
        assert problem(answer, 422)["field"] == "verbose"


class TestBodies:
    """Sent to an operation whose body is wanted, and to one that does without."""

    @pytest.fixture(params=["/rooms/sales", f"/calls/{REF}/hangup"])
    async def send(self, client: Client, request: pytest.FixtureRequest) -> Any:
        method = "PUT" if "rooms" in request.param else "POST"

        async def send(content: Any, type_: str | None = "application/json") -> httpx.Response:
            headers = {} if type_ is None else {"Content-Type": type_}
            return await client.send(method, request.param, content=content, headers=headers)

        return send

    async def test_not_json(self, send: Any) -> None:
        for raw in (
            b"{",
            b"text",
            b"'",
            b"{} {}",
            b"\xff\xfe",
            b'{"announcement": "\\ud800"}',
            b'{"limit": NaN}',
            b"[" * 30_000,
            b'{"x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
            "{}".encode("utf-16"),
        ):
            assert problem(await send(raw), 400)["detail"]

    async def test_not_declared_as_json(self, send: Any) -> None:
        for type_ in (None, "", "text/plain", "application/xml", "application/jsonp"):
            problem(await send(b"{}", type_), 415)
        for type_ in ("application/json; charset=utf-8", "Application/JSON"):
            assert (await send(b"{}", type_)).status_code in {200, 404}

    async def test_too_large(self, send: Any) -> None:
        problem(await send(b" " * 65_537), 413)

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(200):
                yield b" " * 1024

        problem(await send(endless()), 413)

    async def test_wrong_shapes(self, send: Any) -> None:
        for raw in (b"[]", b"null", b'"text"', b"7", b"true"):
            assert problem(await send(raw), 422)["field"] == "body"
        assert problem(await send(b'{"colour": "red"}'), 422)["field"] == "colour"
        long = problem(await send(b'{"' + b"x" * 60_000 + b'": 1}'), 422)
        assert len(str(long)) < 1000


async def test_an_empty_body_is_one_where_nothing_has_to_be_said(client: Client) -> None:
    problem(await client.send("PUT", "/rooms/sales"), 400)
    problem(await client.send("POST", f"/calls/{REF}/hangup"), 404)
    problem(await client.send("POST", f"/calls/{REF}/hold", json={}), 404)


async def test_a_client_that_stops_in_the_middle(service: RunningService) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    lines = [
        f"PUT {API}/rooms/sales HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {KEYS['all'][1]}",
        "Content-Type: application/json",
        "Content-Length: 100",
    ]
    writer.write("\r\n".join([*lines, "", '{"limit"']).encode())
    await writer.drain()
    writer.close()
    async with client_of(service) as client:
        await client.get("/rooms")
    assert not service.log(level="error")


async def test_each_request_has_its_line(service: RunningService, client: Client) -> None:
    await client.get("/rooms")
    await client.send("GET", f"/calls/{REF}")
    await client.put("/rooms/sales", {"pin": "4711"})
    await client.send("GET", "/rooms/Sales/+15550100111")
    line = {"key_name": "all", "key_entry": 1, "level": "info"}
    assert service.log("api.answered", method="GET", route=f"{API}/rooms", status=200, problem="", **line)
    assert service.log(
        "api.answered", route=f"{API}/calls/{{id}}", status=404, problem="not-found", ref=REF, **line
    )
    assert service.log("api.answered", method="PUT", route=f"{API}/rooms/{{room}}", room="sales", **line)
    assert service.log("api.answered", route="", status=404, key_name="")
    for secret in (KEYS["all"][1], "4711", "+15550100111"):
        assert secret not in str(service.log())


async def test_no_keys_no_api(simulator: Simulator, store_url: str) -> None:
    async with serving_api(simulator, store_url, API_KEYS="") as service, client_of(service) as client:
        problem(await client.send("GET", "/rooms"), 401)


async def test_a_fault_tells_nothing_of_the_inside(
    service: RunningService, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("the inside")

    monkeypatch.setattr("handlers.api.rooms.room_view", broken)
    told = problem(await client.send("PUT", "/rooms/sales", json={"limit": 3}), 500)
    assert "inside" not in str(told)
    [line] = service.log("api.failed", level="error", route=f"{API}/rooms/{{room}}")
    assert "the inside" in line["error"]
    assert "ZeroDivisionError" in line["exception"]
    assert service.log("api.answered", status=500, problem="internal-error", level="warning")
