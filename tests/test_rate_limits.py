"""Rate limits as operators, visitors and guessers meet them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from redis.asyncio import Redis

from handlers.api.routes import PREFIX
from handlers.http import rate_limits
from handlers.http.problems import Problem
from handlers.http.rate_limits import MAX_BUCKETS, VISIT_LIMIT, WRONG_KEY_LIMIT, Buckets, RateLimits
from service.metrics import Metrics
from tests.api.clients import KEYS, Client, client_of, problem, serving_api
from tests.clocks import SetClock
from tests.harness import RunningService
from tests.join.visitors import problem_kind, visitor
from tests.operators import operator_for
from tests.scraping import scraped
from tests.simulator.simulator import Simulator

PER_MINUTE = 20
REF = "p01-" + "a" * 20
BURST = 2


@pytest.fixture
async def service(simulator: Simulator, store_url: str) -> AsyncIterator[RunningService]:
    async with serving_api(simulator, store_url, API_RATE_LIMIT=str(PER_MINUTE)) as service:
        yield service


@asynccontextmanager
async def guesser(service: RunningService) -> AsyncIterator[Client]:
    client = Client(service, "wrong-key-0123456789")
    async with client.http:
        yield client


async def test_one_key_is_refused_and_others_are_not(service: RunningService) -> None:
    async with client_of(service) as busy, client_of(service, "reader") as other:
        for _ in range(BURST):
            await busy.get("/rooms")
        for _ in range(3):
            answer = await busy.send("GET", "/rooms")
            assert problem(answer, 429)["type"] == "urn:pstn-bridge:problem:too-many-requests"
            assert answer.headers["retry-after"] in {"1", "2", "3"}  # a token comes back in three seconds
        await other.get("/rooms")

        [said] = service.log("api.limited")
        assert (said["reason"], said["key_name"], said["level"]) == ("key-limit", "all", "warning")
        refused = service.log("api.answered", status=429)
        assert {line["level"] for line in refused} == {"debug"}
        assert len(refused) == 3
        page = await scraped(service.url)
        assert page.get("pstn_api_refused_total", reason="key-limit") == 3
        assert page.get("pstn_api_refused_total") == 3


async def test_it_is_refused_before_anything_else(service: RunningService, redis: Redis) -> None:
    """Nothing of the body is waited for, the store is not asked, and a scope that lacks is not told of."""
    async with client_of(service, "reader") as client:
        for _ in range(BURST):
            problem(await client.send("GET", f"/calls/{REF}"), 404)
        for _ in range(3):
            problem(await client.send("GET", f"/calls/{REF}"), 429)
        problem(await client.send("GET", "/rooms", params={"verbose": "1"}), 429)
        problem(await client.send("POST", "/calls", json={"to": "+15550100122", "room": "sales"}), 429)
        page = await scraped(service.url)
        assert page.get("pstn_store_seconds_count", script="call_view") == BURST

    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [
        f"PUT {PREFIX}/rooms/sales HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {KEYS['reader'][1]}",
        "Content-Length: 100",
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())  # and no body
    async with asyncio.timeout(2):
        assert b" 429 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_guesses_are_refused_and_a_valid_key_is_never_locked_out(service: RunningService) -> None:
    async with guesser(service) as guessing, client_of(service) as client:
        answers = await asyncio.gather(
            *(guessing.send("GET", "/rooms") for _ in range(WRONG_KEY_LIMIT.burst + 10))
        )
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(401) >= WRONG_KEY_LIMIT.burst
        assert set(statuses) == {401, 429}
        assert {answer.headers.get("retry-after", "") for answer in answers} == {"", "1"}
        await client.get("/rooms")
    [said] = service.log("api.limited")
    assert (said["reason"], said["key_name"]) == ("guess-limit", "")
    page = await scraped(service.url)
    assert page.get("pstn_api_refused_total", reason="unauthorized") == statuses.count(401)
    assert page.get("pstn_api_refused_total", reason="guess-limit") == statuses.count(429)


async def test_a_visit_has_an_allowance_of_its_own(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    limited = {"API_RATE_LIMIT": str(PER_MINUTE)}
    async with (
        operator_for(simulator, store_url, redis, **limited) as (service, operator),
        visitor(service, operator) as busy,
    ):
        answers = await asyncio.gather(*(busy.send("GET", "/visit") for _ in range(VISIT_LIMIT.burst + 5)))
        refused = [answer for answer in answers if answer.status_code != 200]
        assert 1 <= len(refused) <= 5
        assert {problem_kind(answer) for answer in refused} == {"too-many-requests"}
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        # The key behind it has lost nothing, and the next to be invited neither.
        async with visitor(service, operator) as other:
            assert (await other.send("GET", "/visit")).status_code == 200
        [said] = service.log("api.limited")
        assert (said["reason"], said["key_name"]) == ("visit-limit", "all")


async def test_zero_is_no_limit(simulator: Simulator, store_url: str) -> None:
    async with serving_api(simulator, store_url, API_RATE_LIMIT="0") as service, guesser(service) as guessing:
        answers = await asyncio.gather(
            *(guessing.send("GET", "/rooms") for _ in range(WRONG_KEY_LIMIT.burst + 10))
        )
        assert {answer.status_code for answer in answers} == {401}


async def test_what_asks_for_no_key_is_not_limited(service: RunningService) -> None:
    async with httpx.AsyncClient(base_url=service.url) as client:
        for path in ("/livez", f"{PREFIX}/openapi.json"):
            answers = [await client.get(path) for _ in range(WRONG_KEY_LIMIT.burst + 5)]
            assert {answer.status_code for answer in answers} == {200}


def test_who_has_waited_as_told_is_let_in() -> None:
    clock = SetClock()
    metrics = Metrics(clock)
    limits_ = RateLimits(60, clock, metrics)
    for _ in range(6):
        limits_.check_key("crm")
    clock.advance(0.3)
    with pytest.raises(Problem) as refused:
        limits_.check_key("crm")
    wait = refused.value.response().headers["retry-after"]
    assert wait == "1", "in whole seconds, rounded up"
    clock.advance(float(wait))
    limits_.check_key("crm")


def test_visits_are_remembered_up_to_a_bound_and_the_latest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    buckets = Buckets(rate_limits.VISIT_LIMIT, max_buckets=3)
    for _ in range(VISIT_LIMIT.burst + 1):
        buckets.take("busy", 0.0)
    for name in ("a", "b", "c", "d"):
        buckets.take(name, 0.0)
        assert buckets.take("busy", 0.0).wait_seconds > 0, "whoever goes on asking is not forgotten"
    assert len(buckets) == 3
    clock = SetClock()
    many = RateLimits(600, clock, Metrics(clock))
    for number in range(MAX_BUCKETS + 10):
        many.check_visit(str(number), "crm")
    assert len(many.visits) == MAX_BUCKETS
