"""A replica that alone cannot reach Bandwidth: callers get in by way of another, until it is back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from redis.asyncio import Redis

from service.bandwidth.breaker import MAX_PAUSE
from tests.cli.shell import Shell
from tests.harness import ORIGIN, PASSWORD, USERNAME, RunningService, nothing_left, serving
from tests.processes import free_port
from tests.proxy import SlowProxy, proxy_to
from tests.scraping import MetricsPage, scraped, wait_for_metric
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

FALLBACK = "https://fallback.test"
LOSES = {"WEBHOOK_BUDGET": "2"}
"""Those who come before it is noticed are turned away soon."""


def made(page: MetricsPage) -> float:
    return page.get("pstn_bandwidth_requests_total", operation="create-participant", status="200")


class Two(NamedTuple):
    """Both are at both addresses, in turn; the way of `cut` to Bandwidth is the test's."""

    well: RunningService
    cut: RunningService
    way: SlowProxy

    async def ready(self, service: RunningService) -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=service.url) as client:
            answer = await client.get("/readyz")
            told: dict[str, Any] = answer.json()
            return told | {"status": answer.status_code}

    async def is_aside(self) -> None:
        async def aside() -> bool:
            others = (await self.ready(self.well))["replicas"]
            known = any(one.get("aside") for one in others)
            return known and bool((await self.ready(self.cut))["status"] == 503)

        await wait_until(aside, seconds=30, what=lambda: "it stands aside")

    async def is_back(self) -> None:
        async def back() -> bool:
            return bool((await self.ready(self.cut))["status"] == 200)

        await wait_until(back, seconds=MAX_PAUSE + 5, what=lambda: "it is back")


@asynccontextmanager
async def two(simulator: Simulator, store_url: str, *, fallback: bool = True) -> AsyncIterator[Two]:
    settings = {**LOSES, **({"FALLBACK_CALLBACK_URL": FALLBACK} if fallback else {})}
    async with proxy_to(urlsplit(simulator.voice_url).port or 0) as way:
        names = {"BW_VOICE_URL": "voice_url", "BW_WEBRTC_URL": "webrtc_url", "BW_TOKEN_URL": "token_url"}
        by_proxy = {
            name: way.http + urlsplit(getattr(simulator, attribute)).path for name, attribute in names.items()
        }
        async with (
            serving(simulator, store_url, **settings, **by_proxy) as cut,
            serving(simulator, store_url, **settings) as well,
        ):
            simulator.map_origin(ORIGIN, cut.url, well.url)
            if fallback:
                simulator.map_origin(FALLBACK, cut.url, well.url)
                application = simulator.application
                application.initiate_fallback_url = f"{FALLBACK}/callbacks/voice"
                application.fallback_username, application.fallback_password = USERNAME, PASSWORD
            found = Two(well, cut, way)
            await found.is_back()
            try:
                yield found
            finally:
                way.passes.set()


async def cut_off(simulator: Simulator, both: Two) -> None:
    """A caller notices, and is turned away."""
    both.way.passes.clear()
    simulator.map_origin(ORIGIN, both.cut.url)
    phone = await simulator.dial()
    await phone.hears("sorry")
    await both.is_aside()


async def bridged(simulator: Simulator, count: int) -> list[Phone]:
    phones = [await simulator.dial() for _ in range(count)]
    for phone in phones:
        await phone.until("bridged", timeout=20)
    return phones


async def leave(phones: list[Phone]) -> None:
    for phone in phones:
        if not phone.call.ended:
            await phone.hang_up()


async def test_callers_get_in_by_way_of_the_other(simulator: Simulator, store_url: str, redis: Redis) -> None:
    """One story, because it takes its time until a replica stands aside."""
    async with two(simulator, store_url) as both:
        there = await bridged(simulator, 4)
        await cut_off(simulator, both)
        await _what_asks_nothing_of_bandwidth_is_answered_as_always(both, there)
        simulator.map_origin(ORIGIN, both.cut.url, both.well.url)
        await _it_is_told(simulator, store_url, both)
        after = await _nothing_is_asked_through_it(simulator, redis, both)
        await _at_the_second_address_nobody_is_sent_away(simulator, both)

        both.way.passes.set()
        await both.is_back()
        assert both.cut.log("replica.back")
        simulator.map_origin(ORIGIN, both.cut.url, both.well.url)
        await leave(await bridged(simulator, 4))
        assert made(await scraped(both.cut.url)) > made(after), "it takes its part again"
        await nothing_left(simulator, redis)


async def _what_asks_nothing_of_bandwidth_is_answered_as_always(both: Two, there: list[Phone]) -> None:
    before = (await scraped(both.cut.url)).get("pstn_webhooks_total", event="disconnect", result="answered")
    await leave(there)
    await wait_for_metric(
        both.cut.url, "pstn_webhooks_total", before + 4, event="disconnect", result="answered"
    )


async def _it_is_told(simulator: Simulator, store_url: str, both: Two) -> None:
    told = await both.ready(both.cut)
    assert "cannot reach webrtc" in told["checks"]["bandwidth"]
    assert (await both.ready(both.well))["status"] == 200
    shell = Shell.at(simulator, both.well, store_url)
    said = (await shell.run("doctor", "--json", code=None)).objects
    aside = [one for one in said if "stands" in one["found"]]
    assert [one["result"] for one in aside] == ["warn"]
    assert "PstnReplicaAside" in aside[0]["do"]


async def _nothing_is_asked_through_it(simulator: Simulator, redis: Redis, both: Two) -> MetricsPage:
    before = await scraped(both.cut.url)
    assert before.get("pstn_standby") == 1
    came = await bridged(simulator, 8)
    assert not any("sorry" in word for phone in came for word in phone.heard)
    await leave(came)
    await nothing_left(simulator, redis)
    after = await scraped(both.cut.url)
    assert after.get("pstn_webhooks_total", result="aside") > 0
    assert made(after) == made(before)
    done = [page.get("pstn_effects_total", result="done") for page in (before, after)]
    assert done[0] == done[1], "what is owed is left to the other"
    return after


async def _at_the_second_address_nobody_is_sent_away(simulator: Simulator, both: Two) -> None:
    """The well replica has died: Bandwidth asks the other last, and would end the call at its 503."""
    simulator.map_origin(ORIGIN, f"http://127.0.0.1:{free_port()}")
    simulator.map_origin(FALLBACK, both.cut.url)
    phone = await simulator.dial()
    await phone.hears("One moment")
    simulator.map_origin(ORIGIN, both.well.url)
    await phone.until("bridged")
    assert not simulator.webhooks.failed
    await leave([phone])


async def test_without_a_second_address_callers_hear_what_they_heard(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    """It is not ready, so that a balancer that asks sends them elsewhere; who comes is not sent away."""
    async with two(simulator, store_url, fallback=False) as both:
        await cut_off(simulator, both)
        phone = await simulator.dial()
        await phone.hears("sorry")
        simulator.map_origin(ORIGIN, both.well.url)
        [other] = await bridged(simulator, 1)
        await leave([other])
        assert (await scraped(both.cut.url)).get("pstn_webhooks_total", result="aside") == 0
        both.way.passes.set()
        await nothing_left(simulator, redis)
