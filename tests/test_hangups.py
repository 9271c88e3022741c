"""The caller hangs up, at every moment of a call; whatever the moment, nothing stays."""

import pytest

from tests.harness import RunningService
from tests.simulator.simulator import Simulator

MOMENTS = {
    "before initiate is delivered": "webhook:initiate",
    "while the session is made": "createSession",
    "while the participant is made": "createParticipant",
    "while one is added to the other": "addParticipantToSession",
    "before the transfer is carried out": "reply:initiate",
    "before transferAnswer is delivered": "webhook:transferAnswer",
    "before the legs are joined": "reply:transferAnswer",
}


@pytest.mark.parametrize("gate_name", MOMENTS.values(), ids=MOMENTS.keys())
async def test_on_the_way_in(simulator: Simulator, service: RunningService, gate_name: str) -> None:
    gate = simulator.gates.hold(gate_name)
    phone = await simulator.dial()
    await gate.reached()

    await phone.hang_up()

    await simulator.until(lambda: bool(service.log(event="call.ended")), what="disconnect is taken in")
    gate.release()
    await simulator.settled()
    assert phone.heard == []


async def test_while_bridged(simulator: Simulator, service: RunningService) -> None:
    phone = await simulator.dial()
    await phone.until("bridged")
    await phone.hang_up()
    await simulator.settled()
    assert service.log(event="call.ended", reason="completed", blame="nobody")


@pytest.mark.parametrize("gate_name", ["webhook:transferComplete", "reply:transferComplete"])
async def test_after_the_far_end_left(simulator: Simulator, service: RunningService, gate_name: str) -> None:
    phone = await simulator.dial()
    await phone.until("bridged")
    gate = simulator.gates.hold(gate_name)
    await phone.far_end_hangs_up()
    await gate.reached()

    await phone.hang_up()

    await simulator.until(lambda: bool(service.log(event="call.ended")), what="disconnect is taken in")
    gate.release()


async def test_during_the_apology(simulator: Simulator, service: RunningService) -> None:
    simulator.faults.add("createSession", status=500)
    gate = simulator.gates.hold("reply:initiate")
    phone = await simulator.dial()
    await gate.reached()
    await phone.hang_up()
    gate.release()
    await simulator.settled()
    assert [r.operation for r in simulator.requests if r.operation == "updateCall"] == []


@pytest.mark.parametrize("order", ["together", "leg-first", "call-first"])
async def test_whichever_leg_is_reported_first(
    simulator: Simulator, service: RunningService, order: str
) -> None:
    late = {"leg-first": "disconnect", "call-first": "transferDisconnect"}.get(order)
    if late:
        simulator.webhooks.delay[late] = 0.3
    phone = await simulator.dial()
    await phone.until("bridged")
    await phone.hang_up()
    await simulator.until(lambda: len(service.log(event="webhook.answered")) == 4, what="all four webhooks")
    assert service.log(event="call.ended", reason="completed")


CAUSES = [
    "hangup",
    "cancel",
    "busy",
    "timeout",
    "error",
    "unknown",
    "node-capacity-exceeded",
    "made-up-cause",
]


@pytest.mark.parametrize("cause", CAUSES)
async def test_every_cause_cleans_up(simulator: Simulator, service: RunningService, cause: str) -> None:
    phone = await simulator.dial()
    await phone.until("bridged")
    await phone.hang_up(cause)
    await simulator.settled()
    assert service.log(event="call.ended", cause=cause)


async def test_a_cause_with_a_number_in_it_is_told_without(
    simulator: Simulator, service: RunningService
) -> None:
    phone = await simulator.dial()
    await phone.until("bridged")
    await phone.hang_up("no route to 9195550188")
    await simulator.settled()
    assert service.log(event="call.ended", cause="no route to ********88")
    assert "9195550188" not in str(service.log())
