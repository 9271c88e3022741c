"""`pause` and `resume`: every replica learns it by itself, new callers are told, calls that are up go on."""

import time
from datetime import datetime

import httpx
from redis.asyncio import Redis

from service.store import keys
from tests.cli.shell import Shell
from tests.harness import CALLEE, RunningService, nothing_left, serving
from tests.operators import Operator, bridged
from tests.scraping import scraped, wait_for_metric
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

WITHIN = 2.0
"""Seconds in which all replicas have to know."""


async def ready(service: RunningService) -> dict[str, object]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{service.url}/readyz")
        assert answer.status_code == 200
        found: dict[str, object] = answer.json()
        return found


async def known(service: RunningService, *, paused: bool) -> None:
    async def told() -> bool:
        return (await ready(service))["paused"] is paused

    await wait_until(told, seconds=WITHIN)


async def test_new_callers_are_told_and_calls_go_on(
    simulator: Simulator, service: RunningService, operator: Operator, shell: Shell
) -> None:
    phone, call = await bridged(simulator, operator)
    said = await shell.run("pause", "--message", "We are moving <now>.")
    assert said.out == "paused: new calls are not taken; calls that are up go on\n"
    await known(service, paused=True)
    await wait_for_metric(service.url, "pstn_paused", 1)

    late = await simulator.dial()
    await late.until("ended")
    assert late.heard == ["We are moving <now>."]
    ended = await operator.until(late.call_id, "ended")
    assert (ended["outcome"]["blame"], ended["outcome"]["reason"]) == ("limit", "closed")
    refused = await operator.send("POST", "/calls", {"to": CALLEE, "room": "sales"})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
    assert refused.json()["type"].endswith(":paused")
    assert [one for one in simulator.requests if one.operation == "createCall"] == []

    await operator.order(call["id"], "join", room="sales")
    await operator.arrives(call["id"], "sales")
    calls = await shell.run("calls")
    assert calls.lines[0].startswith("PAUSED for ")
    [told] = [
        one for one in (await shell.run("doctor", "--json", code=None)).objects if one["check"] == "calls"
    ]
    assert (told["result"], told["do"]) == ("warn", "pstn-bridge resume")

    assert (await shell.run("resume")).out.startswith("resumed: new calls are taken after ")
    await known(service, paused=False)
    again, _ = await bridged(simulator, operator)
    assert [len(service.log(event=name)) for name in ("service.paused", "service.resumed")] == [1, 1]
    await again.hang_up()
    await phone.hang_up()


async def test_no_webhook_asks_the_store_for_it(
    simulator: Simulator, service: RunningService, shell: Shell, redis: Redis
) -> None:
    """It is read once a second, whatever comes: of 20 calls no trip is about it."""
    await shell.run("pause")
    await known(service, paused=True)
    looks, begun = await _looks(service), time.monotonic()
    for _ in range(20):
        phone = await simulator.dial()
        await phone.until("ended")
    assert await _looks(service) - looks <= time.monotonic() - begun + 1
    assert phone.heard == [
        "We are sorry, we cannot take your call right now. Please try again later. Goodbye."
    ]
    await shell.run("resume")


async def _looks(service: RunningService) -> float:
    return (await scraped(service.url)).get("pstn_store_seconds_count", script="get")


async def test_it_outlives_a_restart(simulator: Simulator, store_url: str, redis: Redis) -> None:
    await Shell.beside(simulator, store_url).run("pause")
    async with serving(simulator, store_url) as service:
        assert (await ready(service))["paused"] is True, "from its first moment on"
        phone = await simulator.dial()
        await phone.until("ended")
        shell = Shell.at(simulator, service, store_url)
        assert (await shell.run("resume")).code == 0
        assert (await shell.run("resume")).out == "resumed: new calls are taken; they were before\n"
        await nothing_left(simulator, redis)


async def test_since_when_is_told_by_the_clock_of_the_replicas(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    shell = Shell.beside(simulator, store_url)
    server, _ = await redis.time()
    await redis.set(keys.clock(), f"-3600000 {server * 1000} {server * 1000}")
    [paused] = (await shell.run("pause", "--json")).objects
    assert abs(datetime.fromisoformat(paused["since"]).timestamp() - (server - 3600)) < 60
    said = await shell.run("resume")
    assert "taken after " in said.out
    assert "h" not in said.out.rpartition("after ")[2]


async def test_as_json(simulator: Simulator, store_url: str) -> None:
    shell = Shell.beside(simulator, store_url)
    [first] = (await shell.run("pause", "--json")).objects
    [second] = (await shell.run("pause", "--message", "Later.", "--json")).objects
    assert (first["paused"], first["message"]) == (True, None)
    assert second == {**first, "message": "Later."}, "since then it is so"
    assert (await shell.run("resume", "--json")).objects == [
        {"paused": False, "since": None, "message": None}
    ]
    wrong = await shell.run("pause", "--message", "a\nb", code=2)
    assert "--message" in wrong.err
