"""Orders while the phone hangs up, while Bandwidth fails, and two of them at once: nothing stays behind."""

import asyncio
import random  # noqa: TID251 - seeded, so that a mess can be had again
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.harness import RunningService
from tests.operators import Operator, bridged, consistent, join_outbound, operator_for
from tests.simulator.phones import Phone
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator

ELSEWHERE = "+15550102222"

REMOVE = [
    "updateCall",
    "webhook:redirect",
    "reply:redirect",
    "removeParticipantFromSession",
    "deleteParticipant",
    "deleteSession",
    "webhook:transferDisconnect",
]
JOIN = [
    "updateCall",
    "webhook:redirect",
    "createSession",
    "createParticipant",
    "addParticipantToSession",
    "reply:redirect",
    "webhook:transferAnswer",
    "reply:transferAnswer",
]
TRANSFER = [
    "updateCall",
    "webhook:redirect",
    "reply:redirect",
    "removeParticipantFromSession",
    "deleteParticipant",
    "deleteSession",
]


async def goes_at(
    simulator: Simulator,
    service: RunningService,
    operator: Operator,
    phone: Phone,
    gate_name: str,
    what: str,
    **body: Any,
) -> None:
    """Give an order, and hang the phone up when it has come so far."""
    gate = simulator.gates.hold(gate_name)
    await operator.order(phone.call_id, what, **body)
    await gate.reached()
    await phone.hang_up()
    await operator.until(phone.call_id, "ended")
    gate.release()
    assert len(service.log(event="call.ended")) == 1


async def on_hold(simulator: Simulator, operator: Operator) -> Phone:
    phone, call = await bridged(simulator, operator)
    await operator.order(call["id"], "hold")
    await phone.hears("Please hold")
    return phone


@pytest.mark.parametrize("gate_name", REMOVE)
async def test_the_phone_hangs_up_while_it_is_removed(
    simulator: Simulator, service: RunningService, operator: Operator, gate_name: str
) -> None:
    phone, _ = await bridged(simulator, operator)
    await goes_at(simulator, service, operator, phone, gate_name, "hold")


@pytest.mark.parametrize("gate_name", JOIN)
async def test_the_phone_hangs_up_while_it_is_joined_again(
    simulator: Simulator, service: RunningService, operator: Operator, gate_name: str
) -> None:
    phone = await on_hold(simulator, operator)
    await simulator.until(lambda: not simulator.ledger.alive().sessions)
    await goes_at(simulator, service, operator, phone, gate_name, "join", room="sales")


@pytest.mark.parametrize("gate_name", TRANSFER)
async def test_the_phone_hangs_up_while_it_is_transferred(
    simulator: Simulator, service: RunningService, operator: Operator, gate_name: str
) -> None:
    phone, _ = await bridged(simulator, operator)
    await goes_at(simulator, service, operator, phone, gate_name, "transfer", to=ELSEWHERE)


@pytest.mark.parametrize("gate_name", ["webhook:transferComplete", "reply:transferComplete"])
async def test_the_phone_hangs_up_as_the_other_number_is_busy(
    simulator: Simulator, service: RunningService, operator: Operator, gate_name: str
) -> None:
    simulator.numbers[ELSEWHERE] = "busy"
    phone = await on_hold(simulator, operator)
    await goes_at(simulator, service, operator, phone, gate_name, "transfer", to=ELSEWHERE)


@pytest.mark.parametrize("gate_name", ["updateCall", "removeParticipantFromSession", "webhook:disconnect"])
async def test_the_phone_hangs_up_while_it_is_hung_up(
    simulator: Simulator, service: RunningService, operator: Operator, gate_name: str
) -> None:
    phone, call = await join_outbound(simulator, operator, outbound=True)
    gate = simulator.gates.hold(gate_name)
    await operator.order(call["id"], "hangup")
    await gate.reached()
    await phone.hang_up()
    gate.release()
    await operator.until(call["id"], "ended")


# Bandwidth fails --------------------------------------------------------------------------------------------


async def test_a_phone_that_cannot_be_fetched_at_once_is_fetched_later(store_url: str, redis: Redis) -> None:
    """Where deleting the participant does not end its leg, nothing but updateCall reaches the phone."""
    async with (
        Simulator(SimulatorSettings(delete_ends_leg=False)) as simulator,
        operator_for(simulator, store_url, redis) as (_, operator),
    ):
        phone, call = await bridged(simulator, operator)
        fault = simulator.faults.add("updateCall", status=409)
        await operator.order(call["id"], "hold")
        await phone.hears("Please hold")
        assert fault.hit_count == 1
        await phone.hang_up()


async def test_what_cannot_be_taken_down_at_once_is_taken_down_later(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, call = await bridged(simulator, operator)
    troubles = {"removeParticipantFromSession": 500, "deleteParticipant": 429, "deleteSession": 503}
    faults = [simulator.faults.add(step, status=status) for step, status in troubles.items()]
    await operator.order(call["id"], "hold")
    await phone.hears("Please hold")
    await simulator.until(lambda: not simulator.ledger.alive().sessions)
    assert [fault.hit_count for fault in faults] == [1, 1, 1]
    assert phone.stage == "answered"
    await phone.hang_up()


@pytest.mark.parametrize(
    ("operation", "status"),
    [("createSession", 500), ("createParticipant", 429), ("addParticipantToSession", 403)],
)
async def test_who_cannot_be_joined_again_is_told(
    simulator: Simulator, service: RunningService, operator: Operator, operation: str, status: int
) -> None:
    phone = await on_hold(simulator, operator)
    await simulator.until(lambda: not simulator.ledger.alive().sessions)
    simulator.faults.add(operation, status=status, times=2 if status == 500 else 1)
    await operator.order(phone.call_id, "join", room="sales")
    await phone.until("ended")
    assert "sorry" in phone.heard[-1]


@pytest.mark.parametrize("order", ["hold", "join", "transfer", "hangup"])
@pytest.mark.parametrize(
    "operation", ["updateCall", "removeParticipantFromSession", "deleteParticipant", "deleteSession"]
)
async def test_a_request_hangs_and_the_phone_hangs_up(
    simulator: Simulator, service: RunningService, operator: Operator, operation: str, order: str
) -> None:
    phone, call = await bridged(simulator, operator)
    fault = simulator.faults.add(operation, hang=True)
    body = {"join": {"room": "support"}, "transfer": {"to": ELSEWHERE}}.get(order, {})
    await operator.order(call["id"], order, **body)
    await simulator.until(lambda: fault.hit_count == 1 or phone.stage == "ended" or order == "join")
    await phone.hang_up()
    await operator.until(call["id"], "ended")
    await simulator.until(lambda: fault.hit_count == 1 or simulator.ledger.empty)
    fault.release()


async def test_a_hangup_waits_for_no_request_that_hangs(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, call = await bridged(simulator, operator)
    fault = simulator.faults.add("createSession", hang=True)
    await operator.order(call["id"], "join", room="support")
    await simulator.until(lambda: fault.hit_count == 1)
    await operator.order(call["id"], "hangup")
    await phone.until("ended", timeout=3)
    fault.release()


# Two at once ------------------------------------------------------------------------------------------------

Order = tuple[str, dict[str, str]]
JOIN_A: Order = ("join", {"room": "room-a"})
JOIN_B: Order = ("join", {"room": "room-b"})
REMOVED: Order = ("hold", {})
AWAY: Order = ("transfer", {"to": ELSEWHERE})
HANGUP: Order = ("hangup", {})
PAIRS = {
    "join and join elsewhere": (JOIN_A, JOIN_B),
    "hold and hangup": (REMOVED, HANGUP),
    "hold and join": (REMOVED, JOIN_A),
    "transfer and join": (AWAY, JOIN_A),
    "join and hangup": (JOIN_A, HANGUP),
    "hold and transfer": (REMOVED, AWAY),
}


async def at_some_time(operator: Operator, phone: Phone, order: Order, seconds: float) -> int:
    await asyncio.sleep(seconds)
    what, body = order
    return (await operator.send("POST", f"/calls/{phone.call_id}/{what}", body or None)).status_code


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
async def test_opposite_orders_at_once_have_one_end(
    simulator: Simulator, service: RunningService, operator: Operator, pair: tuple[Order, Order], seed: int
) -> None:
    chance = random.Random(f"{pair}{seed}")
    simulator.latency = chance.choice([0.0, 0.01, 0.03])
    phone, _ = await bridged(simulator, operator)
    statuses = await asyncio.gather(
        *(at_some_time(operator, phone, order, chance.uniform(0, 0.06) * bool(seed)) for order in pair)
    )
    assert set(statuses) <= {202, 409}
    end = await consistent(simulator, operator, phone)
    if HANGUP in pair:
        await phone.until("ended")
    elif end["state"] == "bridged":
        assert end["room"] in {"room-a", "room-b"}
    await consistent(simulator, operator, phone)
    await phone.hang_up()


@pytest.mark.parametrize("seed", range(6))
async def test_a_room_full_of_orders(simulator: Simulator, store_url: str, redis: Redis, seed: int) -> None:
    """Three phones, four operators, whatever comes to their minds."""
    chance = random.Random(seed)
    async with operator_for(simulator, store_url, redis, ROOM_POLICY="room-a") as (_, operator):
        simulator.latency = chance.choice([0.0, 0.01, 0.02])
        phones = [(await bridged(simulator, operator))[0] for _ in range(3)]
        orders = [JOIN_A, JOIN_B, REMOVED, AWAY, JOIN_A, JOIN_B]
        for _ in range(3):
            given = [
                at_some_time(operator, chance.choice(phones), chance.choice(orders), chance.uniform(0, 0.05))
                for _ in range(4)
            ]
            assert set(await asyncio.gather(*given)) <= {202, 409}
        for phone in phones:
            await consistent(simulator, operator, phone)
        rooms = (await operator.ask("GET", "/rooms"))["rooms"]
        await simulator.until(lambda: len(simulator.ledger.alive().sessions) == len(rooms))
        for phone in phones:
            await phone.hang_up()
