"""Whom a phone hears: everybody, nobody, or those who are named."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from service.engine.timeouts import Timeouts
from tests.harness import RunningService
from tests.operators import Operator, bridged, consistent, join_outbound, operator_for
from tests.simulator.faults import Fault
from tests.simulator.phones import Phone
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until


class ConferenceRoom:
    """Three phones in one room."""

    def __init__(self, simulator: Simulator, service: RunningService, operator: Operator) -> None:
        self.simulator = simulator
        self.service = service
        self.operator = operator
        self.phones: list[Phone] = []

    async def enter(self) -> Phone:
        phone, _ = await bridged(self.simulator, self.operator)
        self.phones.append(phone)
        return phone

    async def subscribe(self, phone: Phone, hears: Any) -> int:
        path = f"/calls/{phone.call_id}/subscriptions"
        return (await self.operator.send("PUT", path, {"hears": hears})).status_code

    async def hears(self, phone: Phone, *others: Phone) -> None:
        """Wait until it hears these and nobody else."""
        wanted = {other.participant_id for other in others}
        await self.simulator.until(lambda: self.simulator.hears(phone) == wanted, what="subscribed")

    async def said(self, phone: Phone) -> Any:
        return (await self.operator.call(phone.call_id))["hears"]


@pytest.fixture
async def floor(store_url: str, redis: Redis) -> AsyncIterator[ConferenceRoom]:
    """What phones hear takes a quarter of its time: rounds of waiting are longer than looks."""
    patience = Timeouts(vanished_grace=0.8, old_session_grace=0.2, min_leg_duration=0)
    async with (
        Simulator(SimulatorSettings(time_scale=0.25)) as simulator,
        operator_for(simulator, store_url, redis, patience, ROOM_POLICY="lobby") as (service, operator),
    ):
        floor = ConferenceRoom(simulator, service, operator)
        for _ in range(3):
            await floor.enter()
        yield floor
        for phone in floor.phones:
            await phone.hang_up()


async def test_nobody_and_everybody(floor: ConferenceRoom) -> None:
    one, other, third = floor.phones
    await floor.hears(one, other, third)
    assert await floor.subscribe(one, "nobody") == 202
    await floor.hears(one)
    assert await floor.said(one) == "nobody"
    await floor.hears(other, one, third)
    assert await floor.subscribe(one, "everyone") == 202
    await floor.hears(one, other, third)
    assert await floor.said(one) == "everyone"
    late = await floor.enter()
    await floor.hears(one, other, third, late)


@pytest.mark.parametrize("by", ["call id", "our id", "participant"])
async def test_those_who_are_named(floor: ConferenceRoom, by: str) -> None:
    one, other, third = floor.phones
    call = await floor.operator.call(other.call_id)
    id_ = {"call id": other.call_id, "our id": call["id"], "participant": call["participantId"]}[by]
    assert await floor.subscribe(one, [id_]) == 202
    await floor.hears(one, other)
    assert await floor.said(one) == [other.participant_id]
    await floor.enter()
    await floor.hears(one, other)
    assert await floor.subscribe(one, [id_, third.call_id, id_]) == 202
    await floor.hears(one, other, third)


async def test_strangers_are_refused(floor: ConferenceRoom) -> None:
    one, other, _ = floor.phones
    stranger, there = await join_outbound(floor.simulator, floor.operator, outbound=True)
    floor.phones.append(stranger)
    for id_ in (stranger.call_id, there["id"], there["participantId"], "c-unknown", "nonsense"):
        assert await floor.subscribe(one, [other.call_id, id_]) == 422, id_
    await floor.hears(one, *floor.phones[1:3])


async def test_who_has_left_is_a_stranger(floor: ConferenceRoom) -> None:
    one, other, third = floor.phones
    await third.hang_up()
    await floor.operator.until(third.call_id, "ended")
    assert await floor.subscribe(one, [third.call_id]) == 422
    await floor.hears(one, other)


async def test_who_is_not_bridged_hears_nobody(floor: ConferenceRoom) -> None:
    one, other, _ = floor.phones
    await floor.operator.order(one.call_id, "hold")
    assert await floor.subscribe(one, "nobody") == 409
    await one.hears("Please hold")
    assert await floor.subscribe(one, "nobody") == 409
    await one.hang_up()
    await floor.operator.until(one.call_id, "ended")
    assert await floor.subscribe(one, "nobody") == 409
    assert await floor.subscribe(one, [other.call_id]) == 409


async def test_it_is_dropped_on_a_new_join(floor: ConferenceRoom) -> None:
    one, other, third = floor.phones
    await floor.subscribe(one, [other.call_id])
    await floor.hears(one, other)
    await floor.operator.order(one.call_id, "hold")
    await one.hears("Please hold")
    await floor.operator.order(one.call_id, "join", room="lobby")
    await floor.operator.arrives(one.call_id, "lobby")
    await floor.hears(one, other, third)
    assert await floor.said(one) == "everyone"


async def test_it_is_dropped_on_a_move(floor: ConferenceRoom) -> None:
    one, other, third = floor.phones
    await floor.subscribe(one, "nobody")
    await floor.hears(one)
    for room in ("sales", "lobby"):
        await floor.operator.order(one.call_id, "join", room=room)
        await floor.operator.arrives(one.call_id, room)
    await floor.hears(one, other, third)
    assert await floor.said(one) == "everyone"


@pytest.mark.parametrize("listed", [True, False], ids=["somebody", "nobody"])
async def test_it_is_kept_by_a_move_that_fails(floor: ConferenceRoom, *, listed: bool) -> None:
    one, other, _ = floor.phones
    await floor.subscribe(one, [other.call_id] if listed else "nobody")
    heard = [other] if listed else []
    await floor.hears(one, *heard)
    # Out of the one room, and not let into the other.
    floor.simulator.faults.add("addParticipantToSession", status=400)
    await floor.operator.order(one.call_id, "join", room="sales")
    await wait_until(lambda: floor.service.log(event="move.failed"))
    await floor.simulator.until(lambda: one.session_id == other.session_id, what="back")
    await floor.hears(one, *heard)
    assert await floor.said(one) == ([other.participant_id] if listed else "nobody")


async def test_a_move_that_fails_leaves_nobody_in_silence(floor: ConferenceRoom) -> None:
    """Somebody whom it hears goes as it is put back: those that are left are heard."""
    one, other, _ = floor.phones
    await floor.subscribe(one, [other.call_id])
    await floor.hears(one, other)
    asked: Counter[str] = Counter()

    def fate(operation: str) -> Fault | None:
        asked[operation] += 1
        match operation, asked[operation]:
            case "addParticipantToSession", 1 | 3:
                return Fault(operation, status=400)
            case "updateParticipantSubscriptions", 1:
                return Fault(operation, status=404)
        return None

    floor.simulator.faults.fault_for = fate
    await floor.operator.order(one.call_id, "join", room="sales")
    await wait_until(lambda: asked["updateParticipantSubscriptions"] == 2, seconds=10)
    await floor.hears(one, other)
    assert one.session_id == other.session_id
    assert await floor.said(one) == [other.participant_id]


async def test_a_session_that_has_vanished_is_missed_by_who_is_subscribed(floor: ConferenceRoom) -> None:
    one, other, third = floor.phones
    vanished = str(one.session_id)
    floor.simulator.expire_session(vanished)
    assert await floor.subscribe(one, [other.call_id]) == 202
    await floor.hears(one, other)
    await floor.hears(third, one, other)
    assert {phone.session_id for phone in floor.phones} & {vanished, None} == set()
    assert not floor.service.log(event="subscription.not_possible")


@pytest.mark.parametrize("listed", [True, False], ids=["somebody", "nobody"])
async def test_it_is_kept_when_the_session_is_replaced(floor: ConferenceRoom, *, listed: bool) -> None:
    one, other, _ = floor.phones
    await floor.subscribe(one, [other.call_id] if listed else "nobody")
    heard = [other] if listed else []
    await floor.hears(one, *heard)
    vanished = str(one.session_id)
    floor.simulator.expire_session(vanished)
    late = await floor.enter()
    await floor.simulator.until(lambda: {phone.session_id for phone in floor.phones} == {late.session_id})
    await floor.hears(one, *heard)
    await floor.hears(late, *floor.phones[:3])
    for phone in floor.phones:
        await consistent(floor.simulator, floor.operator, phone)
    assert all(phone.stage == "bridged" and phone.heard == [] for phone in floor.phones)


async def test_who_is_heard_has_gone_when_the_session_is_replaced(floor: ConferenceRoom) -> None:
    one, other, third = floor.phones
    await floor.subscribe(one, [other.call_id, third.call_id])
    await floor.hears(one, other, third)
    await other.hang_up()
    await floor.operator.until(other.call_id, "ended")
    floor.simulator.expire_session(str(one.session_id))
    late = await floor.enter()
    await floor.hears(one, third)
    assert one.session_id == late.session_id


async def test_it_is_tried_again(floor: ConferenceRoom) -> None:
    one, other, _ = floor.phones
    fault = floor.simulator.faults.add("updateParticipantSubscriptions", status=500)
    await floor.subscribe(one, [other.call_id])
    await floor.hears(one, other)
    assert fault.hit_count == 1


@pytest.mark.parametrize("whose", [0, 1], ids=["its-own", "the-other"])
async def test_a_phone_hangs_up_while_it_is_carried_out(floor: ConferenceRoom, whose: int) -> None:
    gate = floor.simulator.gates.hold("updateParticipantSubscriptions")
    one, other, _ = floor.phones
    await floor.subscribe(one, [other.call_id])
    await gate.reached()
    await floor.phones[whose].hang_up()
    await floor.operator.until(floor.phones[whose].call_id, "ended")
    gate.release()


@pytest.mark.parametrize("left", [1, 0], ids=["somebody", "nobody"])
async def test_who_is_to_be_heard_goes_while_it_is_carried_out(floor: ConferenceRoom, left: int) -> None:
    """Bandwidth refuses all of it for the one who has gone: nobody is heard but those who were named."""
    one, other, third = floor.phones
    late = await floor.enter()
    gate = floor.simulator.gates.hold("updateParticipantSubscriptions")
    assert await floor.subscribe(one, [other.call_id, third.call_id]) == 202
    await gate.reached()
    for phone in [other, third][left:]:
        await phone.hang_up()
        await floor.operator.until(phone.call_id, "ended")
        await floor.simulator.until(
            lambda: phone.participant_id not in floor.simulator.sessions.participants  # noqa: B023 - at once
        )
    gate.release()
    await floor.hears(one, *[other][:left])
    await wait_until(lambda: floor.service.log(event="subscription.not_possible"), seconds=10)
    await floor.hears(one, *[other][:left])
    assert floor.simulator.hears(late) >= {one.participant_id}
