"""The page itself asks the store: whoever has a link or a visit opens it so often, and no more."""

import asyncio
from collections import Counter
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from handlers.http.rate_limits import VISIT_LIMIT
from tests.join.visitors import ApiVisitor, invited, new_visitor, problem_kind, visitor
from tests.operators import operator_for
from tests.scraping import scraped
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

MORE = 10
PER_MINUTE = "600"
TRIPS = "pstn_store_seconds_count"


async def opened_often(who: ApiVisitor, path: str) -> None:
    """As often as one may at once, and some times more."""
    answers = await asyncio.gather(*(who.send("GET", path) for _ in range(VISIT_LIMIT.burst + MORE)))
    found = Counter(answer.status_code for answer in answers)
    assert set(found) == {200, 429}
    assert found[429] >= MORE // 2
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert "<h1>Too many requests</h1>" in refused.text
    assert refused.headers["retry-after"] == "1"
    assert "default-src 'none'" in refused.headers["content-security-policy"]


@pytest.mark.parametrize("with_link", [False, True])
async def test_the_page_is_opened_so_often(
    simulator: Simulator, store_url: str, redis: Redis, *, with_link: bool
) -> None:
    async with (
        operator_for(simulator, store_url, redis, API_RATE_LIMIT=PER_MINUTE) as (service, operator),
        visitor(service, operator) as ada,
        visitor(service, operator) as bob,
        new_visitor(service) as eve,
    ):
        link = await invited(operator)
        before = (await scraped(service.url)).get(TRIPS, script="pass_read")
        await opened_often(*((eve, f"?invitation={link}") if with_link else (ada, "")))
        asked = (await scraped(service.url)).get(TRIPS, script="pass_read") - before
        assert asked <= VISIT_LIMIT.burst + MORE // 2, "what is over the limit costs the store nothing"
        if with_link:
            refused = await eve.open(link)
            assert (refused.status_code, problem_kind(refused)) == (429, "too-many-requests")
        lines = service.log("page.opened")
        told = Counter((line["problem"], line["level"]) for line in lines)
        assert told["", "info"] == 1, "once a minute for each"
        assert told["", "debug"] >= VISIT_LIMIT.burst - 1
        assert told["too-many-requests", "info"] == 1
        [said] = service.log("api.limited")
        assert (said["reason"], said["key_name"]) == ("visit-limit", "all")
        # Others have lost nothing, and have a line of their own.
        assert (await bob.send("GET", "")).status_code == 200
        assert (await eve.send("GET", f"?invitation={await invited(operator)}")).status_code == 200
        assert len(service.log("page.opened", level="info", problem="")) == 3


async def test_the_page_takes_a_visitors_place(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with (
        operator_for(simulator, store_url, redis, MAX_WEBHOOKS="2") as (service, operator),
        visitor(service, operator) as ada,
    ):
        link = await invited(operator)
        where = urlsplit(service.url)
        slow = [await asyncio.open_connection(where.hostname, where.port) for _ in range(2)]
        head = b"POST /join/sales/visit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        for _, writer in slow:
            writer.write(head + b"Content-Length: 50\r\n\r\n{")

        async def full() -> bool:
            return problem_kind(await ada.open("x")) == "overloaded"

        await wait_until(full, what="they hold no places")
        for path in ("", f"?invitation={link}"):
            refused = await ada.send("GET", path)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
            assert "<h1>The service is busy</h1>" in refused.text
        for _, writer in slow:
            writer.close()

        async def shown() -> bool:
            return (await ada.send("GET", "")).status_code == 200

        await wait_until(shown, what="the places are not free again")
