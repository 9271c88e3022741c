"""Participants that are made ahead: callers who take one, those who come too late, and what becomes of it."""

import asyncio
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from service.engine.timeouts import Timeouts
from service.store import keys
from tests.harness import serving
from tests.operators import bridged, operator_for
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

STOCKED: Final = {"PREPARED_PARTICIPANTS": "1", "ROOM_POLICY": "sales"}


def requests(simulator: Simulator, operation: str) -> int:
    return sum(one.operation == operation for one in simulator.requests)


async def in_stock(redis: Redis, number: int = 1) -> None:
    async def there() -> bool:
        fields: dict[Any, Any] = await redis.hgetall(keys.room("sales"))
        stock = [value for field, value in fields.items() if field.startswith(b"stock:")]
        return [value[:5] for value in stock] == [b"ready"] * number

    await wait_until(there, seconds=10, what=f"{number} in stock")


async def rejected(simulator: Simulator, phone: Phone, times: int = 1) -> None:
    """Its transfers into WebRTC."""

    def told() -> bool:
        over = [one for one in simulator.deliveries if one.event_type == "transferComplete"]
        return sum(one.call_id == phone.call_id for one in over) == times

    await wait_until(told, seconds=10, what=f"{times} transfers were rejected")


def before_its_answer(simulator: Simulator, phone: Phone) -> list[str]:
    """What Bandwidth was asked between the caller's webhook and the answer to it.

    Left out is the look at whether what was taken is still there: that is begun beside, once it is owed.
    """
    wanted = ("initiate", phone.call_id)
    told = next(one for one in simulator.deliveries if (one.event_type, one.call_id) == wanted)
    until = told.sent_at + told.ms / 1000
    asked = [one.operation for one in simulator.requests if told.sent_at <= one.at < until]
    return [one for one in asked if one not in {"token", "listSessionParticipants"}]


async def test_who_comes_next_is_in_the_room_without_a_request(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, **STOCKED) as (service, operator):
        first, _ = await bridged(simulator, operator)
        await in_stock(redis)
        simulator.latency = 0.2
        second, call = await bridged(simulator, operator)
        assert before_its_answer(simulator, second) == []
        assert second.first_bxml_ms is not None
        assert second.first_bxml_ms < 200, "less than one trip"
        assert second.session_id == first.session_id
        assert simulator.hears(second) == {first.participant_id}
        assert (call["timeline"][1]["event"], call["timeline"][1]["stocked"]) == ("joined", True)
        simulator.latency = 0
        await in_stock(redis)
        room = await operator.room("sales")
        assert len(room["members"]) == 2, "stock is no member"
        assert service.log("call.ended") == []
        await first.hang_up()
        await second.hang_up()


async def test_two_at_once_and_one_in_stock(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, **STOCKED) as (_, operator):
        phones = [(await bridged(simulator, operator))[0]]
        await in_stock(redis)
        phones += [one for one, _ in await asyncio.gather(*(bridged(simulator, operator) for _ in range(2)))]
        assert len({one.participant_id for one in phones}) == 3
        assert len({one.session_id for one in phones}) == 1
        await asyncio.gather(*(phone.hang_up() for phone in phones))


async def test_several_in_stock(simulator: Simulator, store_url: str, redis: Redis) -> None:
    settings = {**STOCKED, "PREPARED_PARTICIPANTS": "3"}
    async with operator_for(simulator, store_url, redis, **settings) as (_, operator):
        phone, _ = await bridged(simulator, operator)
        await in_stock(redis, 3)
        await phone.hang_up()


async def test_a_callers_own_room_has_none(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, PREPARED_PARTICIPANTS="1") as (_, operator):
        phone, _ = await bridged(simulator, operator)
        await asyncio.sleep(0.3)
        assert requests(simulator, "createParticipant") == 1
        await phone.hang_up()


async def test_one_that_is_too_old_is_replaced(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, Timeouts(prepared_lifetime=0.3), **STOCKED) as (
        _,
        operator,
    ):
        phone, _ = await bridged(simulator, operator)
        await wait_until(lambda: requests(simulator, "createParticipant") > 3, seconds=10)
        await wait_until(lambda: requests(simulator, "deleteParticipant") > 1, seconds=10)
        await phone.hang_up()


async def test_a_rejected_transfer_earns_one_join_of_its_own(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, **STOCKED) as (_, operator):
        first, _ = await bridged(simulator, operator)
        await in_stock(redis)
        simulator.interconnect.mode = "reject"
        second = await simulator.dial()
        await rejected(simulator, second)
        simulator.interconnect.mode = "answer"
        await second.until("bridged")
        call = await operator.until(second.call_id, "bridged")
        assert second.heard == [], "nothing of it is heard"
        assert [one.get("stocked", False) for one in call["timeline"] if one["event"] == "joined"] == [
            True,
            False,
        ]
        await first.hang_up()
        await second.hang_up()


async def test_after_that_it_is_a_failure_as_ever(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, **STOCKED) as (_, operator):
        first, _ = await bridged(simulator, operator)
        await in_stock(redis)
        simulator.interconnect.mode = "reject"
        second = await simulator.dial()
        await second.hears("sorry")
        await rejected(simulator, second, times=2)
        simulator.interconnect.mode = "answer"
        await first.hang_up()


@pytest.mark.parametrize("operation", ["createParticipant", "addParticipantToSession"])
async def test_bandwidth_does_not_make_one(
    simulator: Simulator, store_url: str, redis: Redis, operation: str
) -> None:
    """Then the room goes without, and who comes goes the ordinary way."""
    async with operator_for(simulator, store_url, redis, **STOCKED) as (service, operator):
        first, _ = await bridged(simulator, operator)
        await in_stock(redis)
        simulator.faults.add(operation, status=500, times=1)
        second, _ = await bridged(simulator, operator)
        await asyncio.sleep(0.3)
        third, _ = await bridged(simulator, operator)
        assert third.session_id == second.session_id
        assert service.log("effect.dead_lettered") == []
        for phone in (first, second, third):
            await phone.hang_up()


async def test_the_reconciler_knows_them_and_misses_them(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    patience = Timeouts(idle_check=0.2, idle_check_max=0.4, orphan_grace=0.1, vanished_grace=0.2)
    async with operator_for(simulator, store_url, redis, patience, **STOCKED) as (service, operator):
        phone, _ = await bridged(simulator, operator)
        await in_stock(redis)
        await asyncio.sleep(1.0)
        assert service.log("participant.orphan_removed") == []
        alive = simulator.sessions.participants
        [spare] = [one for one in alive.values() if one.id != phone.participant_id]
        simulator.sessions.delete_participant(spare)
        await wait_until(lambda: len(alive) == 2, seconds=5, what="another is made")
        await phone.hang_up()


async def test_two_replicas(simulator: Simulator, store_url: str, redis: Redis) -> None:
    """One makes it, the other hands it out."""
    async with operator_for(simulator, store_url, redis, **STOCKED) as (_, operator):
        first, _ = await bridged(simulator, operator)
        await in_stock(redis)
        async with serving(simulator, store_url, **STOCKED):
            second = await simulator.dial()
            await second.until("bridged")
            assert before_its_answer(simulator, second) == []
            await first.hang_up()
            await second.hang_up()
            await simulator.settled()
