"""The phone does not answer, or hangs up at any moment; operators change their minds while it rings."""

import pytest
from redis.asyncio import Redis

from tests.harness import CALLEE, RunningService, nothing_left, serving
from tests.operators import Operator
from tests.outbound import MAKING, dialed, end_reason, entry, only_call, operations, ringing, start_placing
from tests.simulator.interconnect import Behaviour
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

WAYS_TO_PREPARE = pytest.mark.parametrize("prepare", ["answer", "dial"])


# The phone --------------------------------------------------------------------------------------------------


@WAYS_TO_PREPARE
@pytest.mark.parametrize(
    ("phone_does", "cause", "reason", "sip"),
    [
        ("busy", "busy", "busy", 486),
        ("reject", "rejected", "rejected", 603),
        ("no-answer", "timeout", "no-answer", None),
    ],
)
async def test_nobody_answers(
    simulator: Simulator,
    service: RunningService,
    operator: Operator,
    prepare: str,
    phone_does: Behaviour,
    cause: str,
    reason: str,
    sip: int | None,
) -> None:
    simulator.numbers[CALLEE] = phone_does
    call = await operator.place(prepare=prepare, callTimeout=1)
    ended = await operator.until(call["id"], "ended")
    assert end_reason(ended) == ("callee", reason)
    assert (ended["outcome"]["cause"], ended["outcome"]["sipResponseCode"]) == (cause, sip)
    assert ended["outcome"]["errorId"]
    assert (ended["answeredAt"], ended["bridgedAt"]) == (None, None)
    if prepare == "answer":
        assert operations(simulator) == ["createCall"]


MOMENTS = {
    "before answer is delivered": "webhook:answer",
    "while the session is made": "createSession",
    "while the participant is made": "createParticipant",
    "while one is added to the other": "addParticipantToSession",
    "before the transfer is carried out": "reply:answer",
    "before transferAnswer is delivered": "webhook:transferAnswer",
    "before the legs are joined": "reply:transferAnswer",
}


@WAYS_TO_PREPARE
@pytest.mark.parametrize("gate_name", MOMENTS.values(), ids=MOMENTS.keys())
async def test_the_phone_hangs_up_on_the_way_in(
    simulator: Simulator, service: RunningService, operator: Operator, gate_name: str, prepare: str
) -> None:
    gate = simulator.gates.hold(gate_name)
    call = await operator.place(prepare=prepare)
    phone = await simulator.called(CALLEE)
    await phone.until("answered")
    await gate.reached()

    await phone.hang_up()

    ended = await operator.until(call["id"], "ended")
    through = gate_name == "reply:transferAnswer"
    assert end_reason(ended) == (("nobody", "completed") if through else ("callee", "abandoned"))
    assert entry(ended, "disconnect")["cause"] == "hangup"
    gate.release()
    await simulator.settled()
    assert phone.heard == []
    if (prepare, gate_name) == ("answer", "webhook:answer"):
        await simulator.until(lambda: any(one.event_type == "answer" for one in simulator.deliveries))
        assert operations(simulator) == ["createCall"]


@WAYS_TO_PREPARE
async def test_the_phone_hangs_up_while_it_rings(
    simulator: Simulator, service: RunningService, operator: Operator, prepare: str
) -> None:
    phone, call = await ringing(simulator, operator, prepare=prepare)
    if prepare == "dial":
        await simulator.until(lambda: set(MAKING) <= set(operations(simulator)))
    await phone.hang_up()
    assert end_reason(await operator.until(call["id"], "ended")) == ("callee", "rejected")


async def test_the_phone_hangs_up_while_its_place_is_made_in_advance(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    gate = simulator.gates.hold("createParticipant")
    phone, call = await ringing(simulator, operator, prepare="dial")
    await gate.reached()
    await phone.hang_up()
    await operator.until(call["id"], "ended")
    gate.release()
    await simulator.until(lambda: "createParticipant" in operations(simulator))


async def test_the_far_end_hangs_up(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    call = await operator.place()
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    await phone.far_end_hangs_up()
    await phone.until("ended")
    assert end_reason(await operator.until(call["id"], "ended")) == ("nobody", "completed")


async def test_who_cannot_be_brought_in_is_told(simulator: Simulator, store_url: str, redis: Redis) -> None:
    """And is not sent to the number that callers are sent to."""
    overrides = {"FALLBACK_NUMBER": "+15550107777"}
    async with serving(simulator, store_url, **overrides) as service, Operator.of(service) as operator:
        simulator.faults.add("createSession", status=500, times=2)
        call = await operator.place()
        phone = await simulator.called(CALLEE)
        await phone.until("ended")
        assert len(phone.heard) == 1
        assert "sorry" in phone.heard[0]
        assert end_reason(await operator.until(call["id"], "ended")) == ("bandwidth", "bandwidth-error")
        await nothing_left(simulator, redis)


# Operators --------------------------------------------------------------------------------------------------


@WAYS_TO_PREPARE
@pytest.mark.parametrize("first", ["answer of Bandwidth", "answer of the phone"])
async def test_hung_up_before_bandwidths_id_is_known(
    simulator: Simulator, service: RunningService, operator: Operator, prepare: str, first: str
) -> None:
    simulator.numbers[CALLEE] = "ring"
    fault = simulator.faults.add("createCall", hang=True, executed=True)
    placing = start_placing(operator, prepare=prepare)
    phone = await simulator.called(CALLEE)
    call = await only_call(operator)
    assert (await operator.order(call["id"], "hangup"))["state"] == "dialing"
    assert phone.state == "ringing"

    if first == "answer of Bandwidth":
        fault.release()
    else:
        phone.pick_up()
    await phone.until("ended")
    assert phone.heard == []
    fault.release()
    assert (await placing).status_code == 201
    ended = await operator.until(call["id"], "ended")
    assert ended["outcome"]["blame"] in {"nobody", "callee"}
    if first == "answer of Bandwidth":
        assert (phone.cause, end_reason(ended)) == ("cancel", ("nobody", "cancelled"))
    if prepare == "answer":
        assert not set(MAKING) & set(operations(simulator))


@WAYS_TO_PREPARE
async def test_hung_up_while_it_rings(
    simulator: Simulator, service: RunningService, operator: Operator, prepare: str
) -> None:
    phone, call = await ringing(simulator, operator, prepare=prepare)
    await operator.order(call["id"], "hangup")
    await phone.until("ended")
    assert phone.cause == "cancel"
    assert end_reason(await operator.until(call["id"], "ended")) == ("nobody", "cancelled")


@WAYS_TO_PREPARE
async def test_hung_up_by_order_while_its_answer_is_on_the_way(
    simulator: Simulator, service: RunningService, operator: Operator, prepare: str
) -> None:
    gate = simulator.gates.hold("webhook:answer")
    call = await operator.place(prepare=prepare)
    await gate.reached()
    phone = await simulator.called(CALLEE)
    simulator.faults.add("updateCall", status=500)
    await operator.order(call["id"], "hangup")
    gate.release()
    await phone.until("ended")
    assert phone.heard == []
    await operator.until(call["id"], "ended")


@WAYS_TO_PREPARE
@pytest.mark.parametrize("through", [True, False])
async def test_sent_to_another_room_while_it_rings(
    simulator: Simulator, service: RunningService, operator: Operator, prepare: str, *, through: bool
) -> None:
    """Also while its place in the first room is being made."""
    gate = simulator.gates.hold("createParticipant")
    if through:
        gate.release()
    phone, call = await ringing(simulator, operator, prepare=prepare)
    assert (await operator.order(call["id"], "join", room="support"))["room"] == "support"
    gate.release()
    phone.pick_up()
    await phone.until("bridged")
    there = await operator.arrives(call["id"], "support")
    assert there["sessionId"] == phone.session_id
    await simulator.until(lambda: len(simulator.ledger.alive().participants) == 1)
    await simulator.until(lambda: len(simulator.ledger.alive().sessions) == 1)

    async def only_there() -> bool:
        rooms = (await operator.ask("GET", "/rooms"))["rooms"]
        return [room["room"] for room in rooms] == ["support"]

    await wait_until(only_there, what="the place in the other room is kept")
    assert phone.heard == []
    await phone.hang_up()


@pytest.mark.parametrize(
    ("order", "body"), [("transfer", {"to": "+15550008888"}), ("hold", None)], ids=["transfer", "hold"]
)
async def test_what_needs_a_phone_that_has_answered(
    simulator: Simulator, service: RunningService, operator: Operator, order: str, body: dict[str, str] | None
) -> None:
    phone, call = await ringing(simulator, operator)
    refused = await operator.send("POST", f"/calls/{call['id']}/{order}", body)
    assert refused.status_code == 409
    phone.pick_up()
    await phone.until("bridged")
    assert phone.heard == []
    await phone.hang_up()


@WAYS_TO_PREPARE
async def test_the_room_is_closed_while_it_rings(
    simulator: Simulator, service: RunningService, operator: Operator, prepare: str
) -> None:
    phone, call = await ringing(simulator, operator, prepare=prepare)
    if prepare == "dial":
        await simulator.until(lambda: set(MAKING) <= set(operations(simulator)))
    await operator.ask("DELETE", "/rooms/sales")
    await phone.until("ended")
    assert phone.cause == "cancel"
    assert end_reason(await operator.until(call["id"], "ended")) == ("nobody", "room-closed")


# The time for it is over ------------------------------------------------------------------------------------


async def test_after_its_time_a_call_is_told_and_hung_up(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    call = await operator.place(maxDuration=1)
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    await phone.until("ended")
    assert phone.heard == ["The time for this call is over. Goodbye."]
    assert end_reason(await operator.until(call["id"], "ended")) == ("limit", "time-limit")


async def test_the_time_begins_with_the_answer(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with serving(simulator, store_url) as service, Operator.of(service) as operator:
        phone, call = await ringing(simulator, operator, maxDuration=1)
        assert "tell-time-up" not in str((await operator.call(call["id"]))["timeline"])
        phone.pick_up()
        await phone.until("bridged")
        timeline = (await operator.until(call["id"], "bridged"))["timeline"]
        assert "tell-time-up" in str([one for one in timeline if one["event"] == "answer"])
        await phone.hang_up()
        await operator.until(call["id"], "ended")
        await nothing_left(simulator, redis)
        assert len(dialed(simulator)) == 1
