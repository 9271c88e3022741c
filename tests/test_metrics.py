"""Every metric moves when its thing happens."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from service.engine.timeouts import Timeouts
from service.store import keys
from service.store.gauges import STEP
from tests.harness import RunningService, nothing_left, serving
from tests.operators import bridged, operator_for
from tests.scraping import MetricsPage, scraped, wait_for_metric
from tests.simulator.sessions import Subscriptions
from tests.simulator.simulator import Simulator
from tests.stores import RestartableStore
from tests.test_reconciler import LOOKS, LOST, SOON, UNHEARD, lost_call

LIVE = {"dialing", "initiated", "joining", "transferring", "bridged", "detached"}
AT_ONCE = "0.0003"
"""Hours: one second."""


def states(page: MetricsPage) -> dict[str, float]:
    return {one.labels["state"]: one.value for one in page.samples if one.name == "pstn_calls" and one.value}


# A call -----------------------------------------------------------------------------------------------------


async def test_a_call_from_start_to_end(simulator: Simulator, service: RunningService, redis: Redis) -> None:
    phone = await simulator.dial()
    await phone.until("bridged")
    page = await wait_for_metric(
        service.url, "pstn_webhooks_total", event="transferAnswer", result="answered"
    )
    assert page.get("pstn_webhooks_total", event="initiate", result="answered") == 1
    assert page.get("pstn_webhook_seconds_count", event="initiate") == 1
    assert page.get("pstn_dead_air_seconds_count", way="transfer") == 1
    assert page.get("pstn_dead_air_seconds_count") == 1
    assert 0 < page.get("pstn_dead_air_seconds_sum") <= page.get("pstn_webhook_seconds_sum")
    assert page.get("pstn_transfer_seconds_count", way="transfer") == 1
    assert page.get("pstn_transfer_seconds_count") == 1
    assert 0 < page.get("pstn_transfer_seconds_sum") < 5
    assert states(page) == {"bridged": 1}
    assert page.get("pstn_rooms") == 1
    assert (page.get("pstn_room_members_gcount"), page.get("pstn_room_members_gsum")) == (1, 1)
    # It is to be asked after, and its session to be looked at, in a quarter of an hour.
    assert (page.get("pstn_owed", due="later"), page.get("pstn_owed_oldest_seconds")) == (2, 0)
    for operation, status in (
        ("create-session", "200"),
        ("create-participant", "200"),
        ("add-participant", "204"),
    ):
        labels = {"api": "webrtc", "operation": operation}
        assert page.get("pstn_bandwidth_requests_total", status=status, **labels) == 1
        assert page.get("pstn_bandwidth_seconds_count", **labels) == 1
    assert page.get("pstn_store_seconds_count", script="call_commit") >= 3
    assert page.get("pstn_store_up") == 1
    assert 0 <= page.get("pstn_token_age_seconds") < 60
    assert page.get("pstn_build_info") == 1

    await phone.hang_up()
    await nothing_left(simulator, redis)
    page = await scraped(service.url)
    assert states(page) == {}
    assert {one.labels["state"] for one in page.samples if one.name == "pstn_calls"} == LIVE
    ended = {"blame": "nobody", "reason": "completed", "direction": "inbound"}
    assert page.get("pstn_calls_ended_total", **ended) == page.get("pstn_calls_ended_total") == 1
    assert page.get("pstn_effects_total", effect="delete-session", result="done") == 1
    assert (page.get("pstn_rooms"), page.get("pstn_owed")) == (0, 0)


async def test_each_state_is_counted_on_every_replica(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with (
        serving(simulator, store_url) as other,
        operator_for(simulator, store_url, redis) as (service, operator),
    ):
        gate = simulator.gates.hold("createParticipant")
        phone = await simulator.dial()
        await gate.reached()
        assert states(await scraped(other.url)) == {"joining": 1}
        gate.release()
        await phone.until("bridged")
        await wait_for_metric(other.url, "pstn_calls", state="bridged")
        await operator.order(phone.call_id, "hold")
        await operator.until(phone.call_id, "detached")
        pages = [await scraped(url) for url in (service.url, other.url)]
        assert [states(page) for page in pages] == [{"detached": 1}] * 2
        # Webhooks went to the later of the two; what a process counts is its own.
        assert [page.get("pstn_dead_air_seconds_count") for page in pages] == [1, 0]
        await phone.hang_up()


async def test_calls_that_are_forgotten_without_an_end_are_not_counted_for_ever(
    simulator: Simulator, service: RunningService, redis: Redis
) -> None:
    phone = await simulator.dial()
    await phone.until("bridged")
    await wait_for_metric(service.url, "pstn_calls", state="bridged")
    [key] = [key async for key in redis.scan_iter("*:standing")]
    ranked: Any = await redis.zrange(key, 0, -1, withscores=True)
    [(ref, score)] = ranked
    assert await redis.ttl(key) > 0
    lives_until = await redis.pexpiretime(keys.call(ref.decode()))
    assert score % STEP == pytest.approx(lives_until, abs=1000), "it is counted as long as its key lives"

    await redis.zadd(key, {ref: score - 25 * 3_600_000})

    assert states(await scraped(service.url)) == {}
    await phone.hang_up()


async def test_the_silence_of_both_ways_and_of_none(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, INTERCONNECT="bridge") as (service, operator):
        phone, _ = await bridged(simulator, operator)
        page = await scraped(service.url)
        assert page.get("pstn_dead_air_seconds_count", way="bridge") == 1
        assert page.get("pstn_dead_air_seconds_count") == 1
        simulator.faults.add("createSession", status=500, times=2)
        unlucky = await simulator.dial()
        await unlucky.until("ended")
        page = await scraped(service.url)
        assert page.get("pstn_dead_air_seconds_count", way="none") == 1
        assert page.get("pstn_joins_failed_total", reason="bandwidth-error") == 1
        assert page.get("pstn_joins_failed_total") == 1
        await phone.hang_up()


async def test_a_leg_that_is_not_answered(
    simulator: Simulator, service: RunningService, redis: Redis
) -> None:
    """As if its caller had heard nothing for 21 s by then."""
    gate = simulator.gates.hold("webhook:transferAnswer")
    phone = await simulator.dial()
    await gate.reached()
    page = await scraped(service.url)
    assert (states(page), page.get("pstn_transfers_late")) == ({"transferring": 1}, 0)
    [key] = [key async for key in redis.scan_iter("*:standing")]
    ranked: Any = await redis.zrange(key, 0, -1)
    [ref] = ranked
    await redis.zincrby(key, -21_000, ref)
    assert (await scraped(service.url)).get("pstn_transfers_late") == 1
    gate.release()
    await phone.until("bridged")
    page = await wait_for_metric(service.url, "pstn_transfer_seconds_count")
    assert (states(page), page.get("pstn_transfers_late")) == ({"bridged": 1}, 0)
    assert page.get("pstn_transfers_unanswered_total") == 0
    await phone.hang_up()


@pytest.mark.parametrize("way", ["transfer", "bridge"])
async def test_legs_that_are_refused(simulator: Simulator, store_url: str, redis: Redis, way: str) -> None:
    async with operator_for(simulator, store_url, redis, INTERCONNECT=way) as (service, _):
        simulator.interconnect.mode = "reject"
        phone = await simulator.dial()
        await phone.until("ended")
        page = await wait_for_metric(service.url, "pstn_transfers_unanswered_total", way=way)
        # What is refused is tried once more.
        assert page.get("pstn_transfers_unanswered_total") == 2
        assert page.get("pstn_transfer_seconds_count") == 0


# Webhooks ---------------------------------------------------------------------------------------------------


async def test_how_webhooks_are_answered(simulator: Simulator, service: RunningService) -> None:
    simulator.webhooks.duplicate.add("disconnect")
    phone = await simulator.dial()
    await phone.until("bridged")
    await simulator.participant_event(phone.participant_id or "", "onLeave")
    await phone.hang_up()
    await simulator.settled()
    page = await wait_for_metric(service.url, "pstn_webhooks_total", event="disconnect", result="repeated")
    assert page.get("pstn_webhooks_total", event="disconnect", result="answered") == 1
    assert page.get("pstn_webhooks_total", event="participant", result="answered") == 1


async def test_what_the_outside_names_is_no_label(simulator: Simulator, service: RunningService) -> None:
    phone = await simulator.dial()
    await phone.until("bridged")
    delivery = next(one for one in simulator.deliveries if one.event_type == "initiate")
    simulator.application.password = "wrong"
    refused = await simulator.dial()
    await refused.until("ended")
    page = await scraped(service.url)
    assert page.get("pstn_webhooks_total", event="unknown", result="refused") >= 1
    assert delivery.event_type == "initiate"
    events = {one.labels["event"] for one in page.samples if one.name == "pstn_webhooks_total"}
    assert events <= {"unknown", "initiate", "transferAnswer", "disconnect", "transferDisconnect"}
    await phone.hang_up()


# Bandwidth and the store in trouble -------------------------------------------------------------------------


async def test_bandwidth_fails(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with serving(simulator, store_url) as service:
        *phones, other = [await simulator.dial() for _ in range(6)]
        for one in (*phones, other):
            await one.until("bridged")
        fault = simulator.faults.add("removeParticipantFromSession", status=500, times=None)
        await phones[0].hang_up()
        page = await wait_for_metric(
            service.url, "pstn_bandwidth_retries_total", operation="remove-participant"
        )
        assert page.get("pstn_breaker_open") == 0
        for phone in phones[1:]:
            await phone.hang_up()
        page = await wait_for_metric(
            service.url, "pstn_breaker_open", api="webrtc", kind="clean-up", seconds=20
        )
        assert page.get("pstn_breaker_open") == 1
        failed = page.get("pstn_bandwidth_requests_total", operation="remove-participant", status="500")
        assert failed >= 6
        assert page.get("pstn_effects_total", effect="remove-participant", result="retried") == failed
        assert page.get("pstn_owed_oldest_seconds") > 0
        assert page.get("pstn_owed", due="soon") + page.get("pstn_owed", due="now") >= 1
        await other.hang_up()
        page = await wait_for_metric(service.url, "pstn_bandwidth_requests_total", status="paused")
        assert page.get("pstn_effects_total", effect="remove-participant", result="paused") >= 1
        simulator.faults.clear()
        assert fault.hit_count >= 5
        await nothing_left(simulator, redis, seconds=30)
        assert (await scraped(service.url)).get("pstn_breaker_open") == 0


async def test_a_token_is_refused_or_cannot_be_had(simulator: Simulator, store_url: str) -> None:
    async with serving(simulator, store_url, BW_CLIENT_SECRET="wrong") as service:
        page = await wait_for_metric(service.url, "pstn_token_failing", reason="refused")
        assert page.get("pstn_token_failures_total", reason="refused") >= 1
        assert page.get("pstn_token_failing", reason="unavailable") == 0
        assert page.get("pstn_token_failures_total", reason="unavailable") == 0
        assert page.get("pstn_bandwidth_requests_total", api="token", status="401") >= 1
    simulator.faults.add("token", status=503)
    async with serving(simulator, store_url) as service:
        page = await wait_for_metric(service.url, "pstn_token_failing", reason="unavailable")
        assert page.get("pstn_token_failing", reason="refused") == 0
        phone = await simulator.dial()
        await simulator.until(lambda: phone.stage in {"bridged", "ended"}, timeout=15)
        page = await wait_for_metric(service.url, "pstn_bandwidth_requests_total", api="token", status="200")
        assert page.get("pstn_token_failing") == 0
        await phone.hang_up()
        await simulator.settled()


@pytest.fixture
async def store() -> AsyncIterator[RestartableStore]:
    with tempfile.TemporaryDirectory(prefix="bridge-metrics-") as directory:
        store = RestartableStore(Path(directory))
        await store.start()
        yield store
        await store.start()
        await store.stop()


async def test_without_the_store_the_page_says_what_the_process_knows(
    simulator: Simulator, store: RestartableStore
) -> None:
    async with serving(simulator, store.url) as service:
        phone = await simulator.dial()
        await phone.until("bridged")
        assert states(await wait_for_metric(service.url, "pstn_calls", state="bridged")) == {"bridged": 1}
        await store.kill()
        loop = asyncio.get_running_loop()
        began = loop.time()
        page = await scraped(service.url)
        assert loop.time() - began < 2
        assert page.get("pstn_store_up") == 0
        assert page.has("pstn_store_up")
        assert not page.names & {"pstn_calls", "pstn_rooms", "pstn_owed", "pstn_dead_letters"}, "out of date"
        assert page.get("pstn_webhooks_total", event="initiate") == 1
        assert page.get("pstn_store_errors_total", kind="connection") >= 1
        await phone.hang_up()
        await wait_for_metric(service.url, "pstn_webhooks_total", event="disconnect", result="deferred")
        refused = await simulator.dial()
        await refused.hears("One moment")
        page = await wait_for_metric(service.url, "pstn_webhooks_total", event="initiate", result="degraded")
        # Whoever is asked to hold comes back, on a slow machine before the page is read.
        assert 1 <= page.get("pstn_dead_air_seconds_count", way="none") <= 3
        await store.start()
        await refused.until("bridged", timeout=15)
        await refused.hang_up()
        async with Redis.from_url(store.url) as redis:
            await nothing_left(simulator, redis)
        assert (await scraped(service.url)).get("pstn_store_up") == 1


# Owed work and what nobody has told us ----------------------------------------------------------------------


async def test_dead_letters(simulator: Simulator, store_url: str) -> None:
    async with serving(simulator, store_url, OWED_HOURS=AT_ONCE) as service:
        simulator.faults.add("deleteSession", status=500, times=None)
        phone = await simulator.dial()
        await phone.until("bridged")
        await phone.hang_up()
        page = await wait_for_metric(service.url, "pstn_dead_letters", seconds=20)
        assert page.get("pstn_effects_total", effect="delete-session", result="dead") == 1


async def test_the_oldest_work_is_what_fails_and_not_what_waits(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    often = Timeouts(idle_check=0.3, idle_check_max=0.3)
    async with operator_for(simulator, store_url, redis, often) as (service, operator):
        phone, _ = await bridged(simulator, operator)
        page = await wait_for_metric(service.url, "pstn_effects_total", 4, effect="ask-after", result="waits")
        assert page.get("pstn_owed_oldest_seconds") < 1.5
        simulator.faults.add("deleteSession", status=500, times=4)
        await phone.hang_up()
        await wait_for_metric(service.url, "pstn_owed_oldest_seconds", 2)


async def found(service: RunningService, find: str) -> None:
    page = await wait_for_metric(service.url, "pstn_reconciler_finds_total", find=find)
    assert page.get("pstn_reconciler_finds_total") == 1, find


async def test_a_lost_end_is_found(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, SOON) as (service, operator):
        phone, _ = await bridged(simulator, operator)
        simulator.webhooks.drop = LOST
        await phone.hang_up()
        await found(service, "call-ended")


async def test_a_lost_call_is_found(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, UNHEARD) as (service, operator):
        phone, _ = await lost_call(simulator, operator)
        await phone.until("ended", timeout=5)
        await found(service, "call-found")
        simulator.ledger.unreceived.clear()


async def test_strangers_and_vanished_sessions_are_found(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, LOOKS, ROOM_POLICY="lobby") as (service, operator):
        phone, _ = await bridged(simulator, operator)
        session = simulator.sessions.sessions[phone.session_id or ""]
        stranger = simulator.sessions.create_participant("", None, ["AUDIO"], "V3")
        simulator.sessions.add(session, stranger, Subscriptions())
        await found(service, "stranger-removed")
        simulator.expire_session(session.id)
        await wait_for_metric(service.url, "pstn_reconciler_finds_total", find="session-vanished")
        await phone.hang_up()
