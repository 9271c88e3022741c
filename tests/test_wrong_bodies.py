"""Bandwidth does what it was asked for and answers with something else: nothing stays behind of it."""

from typing import Any, Final

import pytest
from redis.asyncio import Redis

from service.engine.timeouts import Timeouts
from tests.browsers import add_browser
from tests.harness import CALLEE, RunningService, serving
from tests.operators import Operator, bridged, operator_for
from tests.outbound import ringing
from tests.scraping import scraped
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

NO_TOKEN: Final[list[Any]] = [12345, "", None, {"a": 1}]


def without_token(answer: dict[str, Any]) -> dict[str, Any]:
    return {"participant": answer["participant"]}


@pytest.mark.parametrize("token", NO_TOKEN, ids=repr)
async def test_a_participant_without_a_token_is_taken_down(
    simulator: Simulator, service: RunningService, token: object
) -> None:
    simulator.faults.add("createParticipant", rewrite=lambda answer: {**answer, "token": token})
    phone = await simulator.dial()
    await phone.until("ended")
    assert "sorry" in phone.heard[-1]
    [line] = service.log("create.unusable")
    await wait_until(lambda: simulator.ledger.empty)
    deleted = [one.ids for one in simulator.requests if one.operation == "deleteParticipant"]
    assert line["participant_id"] in {one["participantId"] for one in deleted}
    assert service.log("create.in_doubt") == []
    [named] = service.log("answer.unreadable")
    assert (named["operation"], "taken down" in named["hint"]) == ("create-participant", True)


async def test_that_of_a_browser_too(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    simulator.faults.add("createParticipant", rewrite=without_token)
    refused = await operator.send("POST", "/rooms/sales/participants", {})
    assert refused.status_code >= 500
    assert len(service.log("create.unusable", room="sales")) == 1
    await wait_until(lambda: simulator.ledger.empty)
    browser = await add_browser(simulator, operator)
    await browser.leave()


async def test_that_in_stock_too(simulator: Simulator, store_url: str, redis: Redis) -> None:
    settings = {"PREPARED_PARTICIPANTS": "1", "ROOM_POLICY": "sales"}
    async with operator_for(simulator, store_url, redis, Timeouts(), **settings) as (service, operator):
        phone, _ = await bridged(simulator, operator)
        await wait_until(lambda: service.log("effect.done", effect="prepare-participant"))
        simulator.faults.add("createParticipant", rewrite=without_token)
        taker, _ = await bridged(simulator, operator)
        await wait_until(lambda: service.log("create.unusable"))
        [line] = service.log("create.unusable")
        await wait_until(lambda: line["participant_id"] not in simulator.ledger.alive().participants)
        await taker.hang_up()
        await phone.hang_up()


async def test_an_answer_without_an_id_is_counted_and_named(simulator: Simulator, store_url: str) -> None:
    """What it has made lives out its hours: that is said, once, with what to do."""
    simulator.faults.add("createParticipant", times=2, rewrite=lambda _: b"<html>Sign in</html>")
    async with serving(simulator, store_url) as service:
        for _ in range(2):
            phone = await simulator.dial()
            await phone.until("ended")
        await wait_until(lambda: len(service.log("create.in_doubt")) == 2)
        [line] = service.log("answer.unreadable")
        assert "9 hours" in line["hint"]
        page = await scraped(service.url)
        for name in ("pstn_answers_unreadable_total", "pstn_creates_in_doubt_total"):
            assert page.get(name, operation="create-participant") == 2
    assert len(simulator.ledger.alive().participants) == 2


async def test_what_cannot_be_the_id_of_a_session_is_nobodys(simulator: Simulator, store_url: str) -> None:
    """Also in its place it leads elsewhere: it gets into no path."""
    simulator.faults.add("createSession", rewrite=lambda _: {"id": "../x"})
    async with serving(simulator, store_url) as service:
        phone = await simulator.dial()
        await phone.until("ended")
        assert "sorry" in phone.heard[-1]
        await wait_until(lambda: service.log("create.in_doubt"))
        [line] = service.log("create.in_doubt")
        assert line["operation"] == "create-session"
        await wait_until(lambda: simulator.ledger.alive().participants == [])
    [made] = simulator.ledger.alive().sessions
    about = {one.ids.get("sessionId", made) for one in simulator.requests}
    assert (about, [one.path for one in simulator.requests if ".." in one.path]) == ({made}, [])


async def test_nor_is_that_of_a_call(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    """Its webhooks name it."""
    simulator.faults.add("createCall", rewrite=lambda answer: {**answer, "callId": "../x"})
    placed = await operator.send("POST", "/calls", {"to": CALLEE, "room": "sales"})
    assert (placed.status_code, placed.json()["callId"]) == (202, None)
    assert service.log("call.in_doubt")
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    assert (await operator.call(placed.json()["id"]))["callId"] == phone.call_id
    await phone.hang_up()


async def test_of_a_call_its_id_is_enough(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    simulator.faults.add("createCall", rewrite=lambda answer: {"callId": answer["callId"], "to": [7]})
    phone, call = await ringing(simulator, operator)
    assert call["callId"] == phone.call_id
    assert service.log("call.in_doubt") == []
    phone.pick_up()
    await phone.until("bridged")
    await phone.hang_up()


async def test_of_a_leg_too(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, INTERCONNECT="bridge") as (service, operator):
        simulator.faults.add("createCall", rewrite=lambda answer: {"callId": answer["callId"]})
        phone, _ = await bridged(simulator, operator)
        assert service.log("create.in_doubt") == []
        await phone.hang_up()


@pytest.mark.parametrize("operation", ["deleteParticipant", "deleteSession"])
async def test_a_web_page_does_not_say_that_a_clean_up_was_done(
    simulator: Simulator, service: RunningService, operation: str
) -> None:
    """Somebody in between answers 200 with a page of its own, and has sent nothing on."""
    struck = simulator.faults.add(operation, status=200, page=True)
    phone = await simulator.dial()
    await phone.until("bridged")
    await phone.hang_up()
    await wait_until(lambda: struck.hit_count == 1 and simulator.ledger.empty)
    [named] = service.log("answer.unreadable")
    assert "in between" in named["hint"]


async def test_nor_that_a_participant_is_in_its_session(
    simulator: Simulator, service: RunningService
) -> None:
    simulator.faults.add("addParticipantToSession", status=200, page=True)
    phone = await simulator.dial()
    await phone.until("ended")
    assert "sorry" in phone.heard[-1]
    assert service.log("join.failed")
    await wait_until(lambda: simulator.ledger.empty)
