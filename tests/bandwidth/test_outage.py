"""Bandwidth's APIs are down while calls come in, and then they are back: the whole service."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.harness import RunningService, nothing_left, serving
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

CREATES = {"create-session", "create-participant"}


def sent(service: RunningService) -> list[str]:
    return [line["operation"] for line in service.log("request.sent") if line["operation"] in CREATES]


async def called(simulator: Simulator) -> Phone:
    """A call that has ended, or is in its room."""
    phone = await simulator.dial()
    await simulator.until(lambda: phone.stage in {"bridged", "ended"}, timeout=10)
    return phone


async def ended(simulator: Simulator, times: int) -> None:
    """Callers, twenty at a time, who all hear at once that it cannot be."""
    for _ in range(times // 20):
        phones = await asyncio.gather(*(called(simulator) for _ in range(20)))
        assert {phone.stage for phone in phones} == {"ended"}
        assert all("sorry" in phone.heard[0] for phone in phones)


@pytest.mark.parametrize(
    ("down", "api"),
    [({"status": 503}, "webrtc"), ({"reset": True}, "webrtc"), ({"status": 503}, "token")],
    ids=["503", "connections break", "no tokens either"],
)
async def test_two_hundred_joins_cost_few_requests_and_the_first_after_that_succeeds(
    simulator: Simulator, service: RunningService, down: dict[str, Any], api: str
) -> None:
    await wait_until(lambda: service.log("request.sent", operation="obtain-token", status=200))
    if api == "token":
        simulator.revoke_tokens()
        simulator.faults.add("createSession", status=401, times=1)
        simulator.faults.add("createParticipant", status=401, times=1)
    simulator.faults.add("*", times=None, **down)
    await ended(simulator, 200)
    # The first twenty have all asked before any of them was answered; then there are the probes.
    assert len(sent(service)) < 60
    assert len(service.log("request.sent", operation="obtain-token")) < 10
    assert service.log("breaker.opened", api=api)
    slow = [one for one in simulator.deliveries if one.event_type == "initiate" and one.ms > 4000]
    assert slow == []

    simulator.faults.clear()
    back = asyncio.get_running_loop().time()
    while True:
        before = len(sent(service))
        phone = await called(simulator)
        if phone.stage == "bridged":
            break
        # Whoever is turned away now has sent nothing: the first who may ask succeeds, with both requests.
        assert len(sent(service)) == before
    # The longest pause, and the time a busy machine takes.
    assert asyncio.get_running_loop().time() - back < 15
    assert Counter(sent(service)[before:]) == Counter(CREATES)
    assert service.log("breaker.closed", api=api)
    await phone.hang_up()


async def test_calls_do_not_wait_for_a_bandwidth_that_hangs(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    """What is under way tells it after four seconds; who comes then hears at once that it cannot be."""
    async with serving(simulator, store_url, WEBHOOK_BUDGET="6") as service:
        fault = simulator.faults.add("createParticipant", hang=True, times=None)
        early = await asyncio.gather(*(simulator.dial() for _ in range(5)))
        await wait_until(lambda: service.log("breaker.opened", api="webrtc"))
        before = len(simulator.deliveries)
        late = await asyncio.gather(*(called(simulator) for _ in range(10)))
        assert {phone.stage for phone in late} == {"ended"}
        theirs = {phone.call_id for phone in late}
        answers = [
            one.ms
            for one in simulator.deliveries[before:]
            if one.event_type == "initiate" and one.call_id in theirs
        ]
        assert len(answers) == 10
        assert max(answers) < 2000
        simulator.faults.clear()
        fault.release()
        # Those still had time, and their requests have come through.
        for phone in early:
            await phone.hang_up()
        await nothing_left(simulator, redis)


async def test_a_clean_up_that_fails_turns_nobody_away(
    simulator: Simulator, service: RunningService, redis: Redis
) -> None:
    phones = [await called(simulator) for _ in range(6)]
    simulator.faults.add("removeParticipantFromSession", status=500, times=None)
    for phone in phones:
        await phone.hang_up()
    await wait_until(lambda: service.log("breaker.opened", api="webrtc", kind="clean-up"))
    late = [await called(simulator) for _ in range(5)]
    assert {phone.stage for phone in late} == {"bridged"}
    async with httpx.AsyncClient(base_url=service.url) as client:
        breakers = (await client.get("/readyz")).json()["breakers"]
    assert [one for one, state in breakers.items() if state == "open"] == ["webrtc/clean-up"]
    simulator.faults.clear()
    for phone in late:
        await phone.hang_up()
    await nothing_left(simulator, redis, seconds=30)


async def test_what_is_owed_is_done_soon_after(simulator: Simulator, service: RunningService) -> None:
    """And while Bandwidth is down only probes ask it; the `service` looks whether all was taken down."""
    phones = [await called(simulator) for _ in range(6)]
    simulator.faults.add("*", status=503, times=None)
    for phone in phones:
        await phone.hang_up()
    await wait_until(lambda: service.log("breaker.opened", api="webrtc"))
    loop = asyncio.get_running_loop()
    since = loop.time()
    await wait_until(lambda: loop.time() > since + 4)
    # Those six were under way together, one probe went out after two seconds; otherwise it were eighteen.
    assert len([one for one in simulator.requests if one.status == 503]) <= 8
    simulator.faults.clear()
