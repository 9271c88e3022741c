"""Calls that would go on for ever are ended, and callers who can be told before are told."""

import pytest
from redis.asyncio import Redis

from service.store import keys
from tests.harness import CALLEE
from tests.join.visitors import ApiVisitor, visitor
from tests.operators import Json, Operator, bridged, operator_for
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

SOON = "This call will end in thirty seconds."


async def ended(operator: Operator, phone: Phone, call: Json, reason: str) -> None:
    await phone.until("ended")
    outcome = (await operator.until(call["id"], "ended"))["outcome"]
    assert (outcome["blame"], outcome["reason"]) in {("limit", reason), ("nobody", reason)}


@pytest.mark.parametrize("interconnect", ["transfer", "bridge"])
async def test_any_call_ends(simulator: Simulator, store_url: str, redis: Redis, interconnect: str) -> None:
    more = {"CALL_LIMIT": "1", "INTERCONNECT": interconnect}
    async with operator_for(simulator, store_url, redis, **more) as (_, operator):
        phone, call = await bridged(simulator, operator)
        await ended(operator, phone, call, "time-limit")
        assert phone.heard == ["The time for this call is over. Goodbye."]


async def test_an_outbound_call_ends_at_the_first_of_its_limits(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, CALL_LIMIT="1") as (_, operator):
        for limit in (None, 3600):
            call = await operator.place(maxDuration=limit)
            phone = await simulator.called(CALLEE)
            await phone.until("bridged")
            await ended(operator, phone, call, "time-limit")


async def test_hold_ends(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, HOLD_LIMIT="1") as (_, operator):
        phone, call = await bridged(simulator, operator)
        await operator.order(call["id"], "hold")
        await ended(operator, phone, call, "hold-limit")
        assert phone.heard[-1].startswith("We are sorry, nobody has come back to you.")
        assert SOON not in phone.heard


# Half a minute before: what is left of a call's time is enough to be put on hold on a busy machine.
@pytest.mark.parametrize(("name", "limit"), [("HOLD_LIMIT", "32"), ("CALL_LIMIT", "40")])
async def test_who_is_on_hold_is_told_before(
    simulator: Simulator, store_url: str, redis: Redis, name: str, limit: str
) -> None:
    more = {name: limit, "HOLD_MUSIC_URL": "https://example.com/hold.wav"}
    async with operator_for(simulator, store_url, redis, **more) as (_, operator):
        phone, call = await bridged(simulator, operator)
        await operator.order(call["id"], "hold")
        await phone.hears(SOON, timeout=30)
        await simulator.until(lambda: phone.sounds[-1:] == [("play", more["HOLD_MUSIC_URL"])], what="music")
        assert phone.heard.count(SOON) == 1
        await phone.hang_up()


# Calls of a page --------------------------------------------------------------------------------------------


async def _lacks(redis: Redis, key: str, field: str) -> bool:
    return not await redis.hexists(key, field)


async def called(simulator: Simulator, ada: ApiVisitor) -> tuple[Phone, Json]:
    answer = await ada.send("POST", "/calls", {"to": CALLEE})
    assert answer.status_code == 201, answer.text
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    call: Json = answer.json()
    return phone, call


async def test_a_call_of_a_page_ends(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with (
        operator_for(simulator, store_url, redis, VISITOR_CALL_LIMIT="1") as (service, operator),
        visitor(service, operator, scopes=["talk", "dial"]) as ada,
    ):
        seat = await ada.sit()
        phone, call = await called(simulator, ada)
        await ended(operator, phone, call, "time-limit")
        await ada.leave(seat)


async def test_it_ends_when_nobody_is_left_on_the_page(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    """Other phones in the room go on, and so does it while another browser is there."""
    async with operator_for(simulator, store_url, redis, VISITOR_ALONE="1") as (service, operator):
        other = await operator.place("+15557650000")
        other_phone = await simulator.called("+15557650000")
        await other_phone.until("bridged")
        async with (
            visitor(service, operator, scopes=["talk", "dial"]) as ada,
            visitor(service, operator, scopes=["talk"]) as eve,
        ):
            first, second = await ada.sit(), await eve.sit()
            phone, call = await called(simulator, ada)
            await ada.leave(first)
            # Looked for a second after the answer: somebody is there.
            owed = keys.owed(keys.owner_call(call["id"]))
            await wait_until(lambda: _lacks(redis, owed, "check-page"), what="the page was not looked for")
            assert (await operator.call(call["id"]))["state"] == "bridged"
            await eve.leave(second)
            await ended(operator, phone, call, "page-gone")
            assert phone.heard == ["Whoever has called you is no longer there. Goodbye."]
            assert (await operator.call(other["id"]))["state"] == "bridged"
        await other_phone.hang_up()


async def test_it_ends_when_nobody_has_ever_been_on_the_page(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with (
        operator_for(simulator, store_url, redis, VISITOR_ALONE="1") as (service, operator),
        visitor(service, operator, scopes=["talk", "dial"]) as ada,
    ):
        phone, call = await called(simulator, ada)
        await ended(operator, phone, call, "page-gone")


async def test_who_comes_back_in_time_finds_the_phone(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with (
        operator_for(simulator, store_url, redis, VISITOR_ALONE="3600") as (service, operator),
        visitor(service, operator, scopes=["talk", "dial"]) as ada,
    ):
        first = await ada.sit()
        phone, _ = await called(simulator, ada)
        owed = keys.owed(keys.owner_room("sales"))
        await ada.leave(first)
        assert await redis.hexists(owed, "check-page")
        second = await ada.sit()
        assert not await redis.hexists(owed, "check-page")
        await ada.leave(second)
        await phone.hang_up()
