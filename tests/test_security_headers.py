"""The headers that tell browsers to keep their hands off, on every answer there is."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route

from handlers.app.asgi import create_app
from handlers.http.request_guard import BODY_LIMIT
from handlers.page import assets
from tests.harness import API_KEY, API_KEYS, PASSWORD, USERNAME, settings_for
from tests.operators import NO_TLS
from tests.processes import ReplicaProcess, environment, replica
from tests.simulator.simulator import Simulator

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
ALWAYS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
CLOSED = "default-src 'none'; frame-ancestors 'none'"
BRIDGE = "https://bridge.example.com"
BUILT = Path(assets.__file__).parent / "built"
"""By `make page`; nothing where it has not been."""


@pytest.fixture
async def running(simulator: Simulator, store_url: str) -> AsyncIterator[ReplicaProcess]:
    """In a process of its own: what the server adds counts as well."""
    settings = environment(simulator, REDIS_URL=store_url, API_KEYS=API_KEYS)
    async with replica(settings) as running:
        yield running


def check(answer: httpx.Response) -> None:
    where = f"{answer.request.method} {answer.request.url.path}: {answer.status_code}"
    for name, value in ALWAYS.items():
        assert answer.headers.get_list(name) == [value], (where, name)
    assert answer.headers.get_list("strict-transport-security") == ["max-age=31536000"], where
    assert "server" not in answer.headers, where
    assert "x-powered-by" not in answer.headers, where
    kept = "immutable" in answer.headers["cache-control"]
    assert answer.headers["cache-control"] == "no-store" or (kept and answer.status_code == 200), where
    [policy] = answer.headers.get_list("content-security-policy")
    if answer.headers.get("content-type", "").startswith("text/html"):
        assert policy.startswith("default-src 'none'; script-src 'self'; "), where
        assert "frame-ancestors 'none'" in policy, where
        assert "unsafe" not in policy, where
    else:
        assert policy == CLOSED, where


def paths(app_routes: list[Route]) -> list[str]:
    values = {"path": "nothing/here", "room": "sales", "name": "page.js"}
    return [re.sub(r"\{(\w+)(:\w+)?\}", lambda one: values.get(one[1], "x"), one.path) for one in app_routes]


async def test_every_route_and_every_refusal(
    running: ReplicaProcess, simulator: Simulator, store_url: str
) -> None:
    routes = [one for one in create_app(settings_for(simulator, store_url)).routes if isinstance(one, Route)]
    seen: set[int] = set()
    callbacks = httpx.BasicAuth(USERNAME, PASSWORD)
    async with httpx.AsyncClient(base_url=running.url, verify=NO_TLS) as client:

        async def send(method: str, path: str, **more: object) -> None:
            async with client.stream(method, path, **more) as answer:  # type: ignore[arg-type] # as httpx takes them
                check(answer)  # live events have no end: the head is enough
                seen.add(answer.status_code)

        for path in [*paths(routes), "/", "/nothing", "/join/", "/favicon.ico", "/callbacks/voice/"]:
            for method in METHODS:
                await send(method, path)
            await send("GET", path, headers={"authorization": f"Bearer {API_KEY}"})
            large = b" " * (BODY_LIMIT + 1)
            await send("POST", path, content=large, headers={"authorization": f"Bearer {API_KEY}"})
            await send("POST", path, content=large, auth=callbacks)
        for built in sorted(BUILT.glob("page-*")):
            await send("GET", f"/assets/{built.name}")
    assert {200, 400, 401, 403, 404, 405, 413} <= seen


async def test_the_last_resort(simulator: Simulator, store_url: str) -> None:
    """An application that was never started has nothing to answer with but Starlette's own plain 500."""
    app = create_app(settings_for(simulator, store_url))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BRIDGE) as client:
        answer = await client.get("/metrics")
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    check(answer)


async def test_a_trial_on_plain_http_is_not_bound_to_https(simulator: Simulator, store_url: str) -> None:
    app = create_app(settings_for(simulator, store_url, BASE_CALLBACK_URL="http://127.0.0.1:8080"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BRIDGE) as client:
        answer = await client.get("/livez")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "strict-transport-security" not in answer.headers
