"""More comes than can be handled: callers stay on the line, what is told once is kept, nothing piles up."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from redis.asyncio import Redis

from handlers.http.concurrency import ConcurrencyLimit
from service.clock import SystemClock
from service.engine.backlog import LIMIT, Backlog
from service.engine.outbox.retry_write import UNREADABLE_TRIES
from service.logs import current_log_context, log_context
from service.store.errors import StoreCorrupt, StoreUnavailable
from service.tasks import Tasks
from tests.harness import LOG, PASSWORD, USERNAME, RunningService, log_to_lines, nothing_left, serving
from tests.operators import NO_TLS, Operator
from tests.processes import environment, replica
from tests.simulator import bxml
from tests.simulator.clock import monotonic
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

PLACES = 50
STORM = 2000
URL = "/callbacks/voice"


def webhook(number: int, event_type: str = "initiate", **fields: Any) -> dict[str, Any]:
    return {
        "eventType": event_type,
        "eventTime": "2026-01-31T12:00:00.000Z",
        "accountId": "9900000",
        "callId": f"c-{number:08}",
        "direction": "inbound",
        "from": "+15557654321",
        "to": "+15551234567",
        **fields,
    }


@pytest.fixture
async def busy(simulator: Simulator, store_url: str) -> AsyncIterator[RunningService]:
    """A replica whose two places are taken by calls that Bandwidth lets wait."""
    async with serving(simulator, store_url, MAX_WEBHOOKS="2") as service:
        gate = simulator.gates.hold("createParticipant")
        phones = [await simulator.dial() for _ in range(2)]
        await gate.reached(count=2)
        yield service
        gate.release()
        for phone in phones:
            await phone.until("bridged")
            await phone.hang_up()
        await simulator.settled()


@pytest.fixture
async def client(busy: RunningService) -> AsyncIterator[httpx.AsyncClient]:
    auth = (USERNAME, PASSWORD)
    async with httpx.AsyncClient(base_url=busy.url, auth=auth, verify=NO_TLS) as client:
        yield client


async def test_a_caller_who_finds_no_place_is_kept_and_gets_in(
    simulator: Simulator, busy: RunningService
) -> None:
    waiting = await simulator.dial()
    await waiting.hears("One moment")
    assert len([one for one in simulator.requests if one.operation == "createSession"]) == 2
    assert busy.log("webhook.degraded", error="Overloaded: 2 webhooks are being handled")
    simulator.gates.release_all()
    await waiting.until("bridged")
    await waiting.hang_up()


async def test_a_caller_who_never_finds_one_is_told(client: httpx.AsyncClient, redis: Redis) -> None:
    before = sorted(await redis.keys())
    url = URL
    for _ in range(3):
        answer = await client.post(url, json=webhook(1))
        assert answer.status_code == 200
        assert b"One moment" in answer.content
        url = answer.text.partition('redirectUrl="')[2].partition('"')[0].removeprefix("https://bridge.test")
    answer = await client.post(url, json=webhook(1, "redirect"))
    assert b"sorry" in answer.content
    assert sorted(await redis.keys()) == before


async def test_a_way_in_that_is_open_stays_open(client: httpx.AsyncClient) -> None:
    answer = await client.post(URL, json=webhook(1, "transferAnswer", tag="mine"))
    assert (answer.status_code, b"<Tag>mine</Tag>" in answer.content) == (200, True)


async def test_what_is_told_once_is_handled_all_the_same(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with serving(simulator, store_url, MAX_WEBHOOKS="1") as service:
        leaving = await simulator.dial()
        await leaving.until("bridged")
        gate = simulator.gates.hold("createParticipant")
        coming = await simulator.dial()
        await gate.reached()
        await leaving.hang_up()
        await wait_until(lambda: service.log("call.ended", call_id=leaving.call_id))
        assert service.log("webhook.answered", event_type="disconnect", reply="deferred", status=204)
        gate.release()
        await coming.until("bridged")
        await coming.hang_up()
        await nothing_left(simulator, redis)
        assert not service.log(level="error")


async def test_what_is_told_once_is_refused_when_no_more_can_be_put_off(
    busy: RunningService, redis: Redis
) -> None:
    async with flood(busy.url) as client:
        await redis.client_pause(2000)
        told = [client.post(URL, json=webhook(number, "disconnect")) for number in range(LIMIT + 100)]
        statuses = Counter(answer.status for answer in await asyncio.gather(*told))
    # Those that are being tried have left room for as many.
    assert 0 < statuses[429] <= 100
    assert statuses[204] == LIMIT + 100 - statuses[429]
    assert len(busy.log("webhook.dropped", event_type="disconnect")) == statuses[429]

    async def taken_in() -> bool:
        return len([key async for key in redis.scan_iter("*:call:*", count=1000)]) >= statuses[204]

    await wait_until(taken_in, seconds=15)


async def test_operators_are_told_to_come_back_and_probes_are_answered(busy: RunningService) -> None:
    async with Operator.of(busy) as operator:
        answer = await operator.send("GET", "/calls")
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:pstn-bridge:problem:overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        assert (await operator.send("GET", "/openapi.json")).status_code == 200
    async with httpx.AsyncClient(base_url=busy.url, verify=NO_TLS) as client:
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200


async def test_operators_have_places_of_their_own(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with (
        serving(simulator, store_url, MAX_WEBHOOKS="1") as service,
        Operator.of(service) as operator,
    ):
        gate = simulator.gates.hold("createCall")
        placing = asyncio.create_task(operator.place())  # noqa: TID251 - awaited below
        await gate.reached()
        assert (await operator.send("GET", "/calls")).status_code == 503
        phone = await simulator.dial()
        await phone.until("bridged")
        gate.release()
        await placing
        for one in simulator.phones:
            await one.hang_up()
        await nothing_left(simulator, redis)


async def test_thousands_at_once_take_no_more_memory_than_those_that_are_handled(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    """Bandwidth hangs, and callers come: each is answered at once, and nothing is kept for those beyond."""
    settings = environment(
        simulator, REDIS_URL=store_url, MAX_WEBHOOKS=str(PLACES), WEBHOOK_BUDGET="14", LOG_LEVEL="error"
    )
    async with replica(settings) as service, flood(service.url) as client:
        gate = simulator.gates.hold("createParticipant")
        tasks = Tasks()
        held = [tasks.start(_post(client, number), name="held") for number in range(PLACES)]
        await gate.reached(timeout=12, count=PLACES)
        memory = [_resident(service.process.pid)]
        for _ in range(2):
            beyond = await asyncio.gather(*(_post(client, number) for number in range(PLACES, STORM)))
            assert Counter(said for said, _ in beyond) == {"come-back": STORM - PLACES}
            memory.append(_resident(service.process.pid))
        # Connections and their buffers at first, which the allocator keeps; then nothing more.
        assert memory[1] - memory[0] < 100, memory
        assert memory[2] - memory[1] < 10, memory
        gate.release()
        # On a machine that is slow their time is up.
        assert {(await one)[0] for one in held} <= {"transfer", "come-back"}
        for number in range(PLACES):
            await _post(client, number, "disconnect")
        await nothing_left(simulator, redis, seconds=20)


def _resident(pid: int) -> float:
    """MB of memory that a process has at this moment."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@asynccontextmanager
async def flood(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of as many connections as are wanted."""
    connector = aiohttp.TCPConnector(limit=0)
    auth = {"Authorization": aiohttp.encode_basic_auth(USERNAME, PASSWORD)}
    async with aiohttp.ClientSession(url, connector=connector, headers=auth) as session:
        yield session


async def _post(
    client: aiohttp.ClientSession, number: int, event_type: str = "initiate"
) -> tuple[str, float]:
    """What was answered, and after how many seconds."""
    began = monotonic()
    async with client.post(URL, json=webhook(number, event_type)) as answer:
        raw, type_ = await answer.read(), answer.headers.get("content-type", "")
    took = monotonic() - began
    if answer.status == 204:
        return "nothing", took
    assert answer.status == 200
    bxml.parse(raw, type_, f"https://bridge.test{URL}", bxml.Rules(256, bool))
    return "come-back" if b"One moment" in raw else "transfer", took


class TestBacklog:
    async def test_it_is_bounded_and_goes_on_when_the_store_is_back(self) -> None:
        away, handled = asyncio.Event(), []

        async def handle(number: int) -> None:
            if not away.is_set():
                raise StoreUnavailable("away")
            if number == 3:
                raise ValueError("a fault")
            handled.append(number)

        tasks = Tasks()
        deferred = Backlog(tasks, SystemClock(), limit=20)
        kept = [deferred.add(partial(handle, number), "disconnect", f"call-{number}") for number in range(22)]
        # Workers begin with the first turn of the loop.
        assert kept == [True] * 20 + [False] * 2
        assert len(tasks) == 8
        await wait_until(lambda: len(deferred) == 12)
        away.set()
        assert await tasks.wait(10) == 0
        assert sorted(handled) == [n for n in range(20) if n != 3]
        assert deferred.add(partial(handle, 30), "disconnect", "call-3")
        assert await tasks.wait(1) == 0
        assert handled[-1] == 30

    async def test_those_that_cannot_be_handled_make_way(self) -> None:
        """The store may be away for some calls alone; there are more of them than are handled at once."""
        handled: list[str] = []

        async def handle(name: str) -> None:
            if name.startswith("bad"):
                raise StoreUnavailable("WRONGTYPE")
            handled.append(name)

        tasks, log = Tasks(), len(LOG.written)
        log_to_lines()
        deferred = Backlog(tasks, SystemClock())
        for name in [*(f"bad-{number}" for number in range(20)), "good"]:
            assert deferred.add(partial(handle, name), "disconnect", name)
            assert deferred.add(partial(handle, f"{name}, later"), "recordingAvailable", name)
        await wait_until(lambda: len(handled) == 2)
        assert handled == ["good", "good, later"]
        assert await tasks.wait(0) == 8
        lines = [json.loads(line) for line in LOG.written[log:]]
        dropped = [(one["ref"], one["event_type"]) for one in lines if one["event"] == "webhook.dropped"]
        # Each is told, those of one call in their order.
        assert len(dropped) == 40
        assert set(dropped[::2]) == {(f"bad-{number}", "disconnect") for number in range(20)}

    async def test_each_has_the_log_keys_of_its_own_webhook(self) -> None:
        """One task handles those of many calls; it was started where the first of them came."""
        handled: list[tuple[str, object]] = []

        async def handle(name: str) -> None:
            handled.append((name, current_log_context().get("call_id")))

        tasks = Tasks()
        deferred = Backlog(tasks, SystemClock())
        for number in range(20):
            with log_context(call_id=f"c-{number}"):
                assert deferred.add(partial(handle, f"c-{number}"), "disconnect", f"call-{number}")
        assert await tasks.wait(10) == 0
        assert len(handled) == 20
        assert [name for name, key in handled if key != name] == []

    async def test_what_the_store_cannot_read_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("FIRST_PAUSE", "LONGEST_PAUSE"):
            monkeypatch.setattr(f"service.engine.backlog.{name}", 0)
        tries = 0

        async def handle() -> None:
            nonlocal tries
            tries += 1
            raise StoreCorrupt("what is this")

        tasks = Tasks()
        assert Backlog(tasks, SystemClock()).add(handle, "disconnect", "call-1")
        assert await tasks.wait(20) == 0
        assert tries == UNREADABLE_TRIES

    async def test_those_of_one_call_keep_their_order(self) -> None:
        handled: list[str] = []
        pauses = {"came": 0.02, "let go": 0.01}

        async def handle(name: str) -> None:
            await asyncio.sleep(pauses.get(name, 0))
            handled.append(name)

        tasks = Tasks()
        deferred = Backlog(tasks, SystemClock(), limit=4)
        for name in ("came", "let go", "gone"):
            assert deferred.add(partial(handle, name), name, "call-1")
        assert deferred.add(partial(handle, "other"), "disconnect", "call-2")
        assert not deferred.add(partial(handle, "one more"), "disconnect", "call-1")
        assert await tasks.wait(5) == 0
        assert handled == ["other", "came", "let go", "gone"]
        assert len(deferred) == 0


async def test_what_goes_on_after_its_answer_keeps_its_place() -> None:
    places, done = ConcurrencyLimit(1), asyncio.Event()
    tasks = Tasks()
    with places.slot() as free:
        assert free
        places.hold_until_done(tasks.start(done.wait(), name="late"))
    assert places.is_full
    with places.slot() as free:
        assert not free
    done.set()
    await tasks.wait(1)
    assert places.in_use == 0
