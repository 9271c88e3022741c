"""Whether a person or a machine answers an outbound call, and what is then done."""

from typing import Any

import pytest

from tests.harness import CALLEE, ORIGIN, PASSWORD, USERNAME, RunningService
from tests.operators import Json, Operator
from tests.outbound import MAKING, dialed, end_reason, entry, operations
from tests.simulator.detection import Value
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

MODES = pytest.mark.parametrize("mode", ["async", "sync"])
MACHINES = pytest.mark.parametrize("machine", ["answering-machine", "tone-detected"])
WAYS_TO_PREPARE = pytest.mark.parametrize("prepare", ["answer", "dial"])
MESSAGE = "Please call us back."
OVER = ("nobody", "answering-machine")


async def placed(simulator: Simulator, operator: Operator, mode: str, then: str, **more: Any) -> Json:
    """With the telling, a message is there where it is needed."""
    detection = {"mode": mode, "then": then} | ({"message": MESSAGE} if then == "message" else {})
    return await operator.place(machineDetection=detection, **more)


async def found(operator: Operator, id_: str, machine: str) -> Json:
    """The call, once the API says what machine detection has found."""

    async def known_to_all() -> bool:
        return (await operator.call(id_))["machine"] is not None

    await wait_until(known_to_all, seconds=5, what="nobody says what has answered")
    call = await operator.until(id_, "bridged")
    assert call["machine"] == machine
    return call


def told(simulator: Simulator) -> Any:
    """What the webhook said that brought the result."""
    [result] = [
        one.payload["machineDetectionResult"]
        for one in simulator.deliveries
        if "machineDetectionResult" in one.payload
    ]
    return result


# What Bandwidth is asked for --------------------------------------------------------------------------------


@pytest.mark.parametrize("then", ["join", "hangup", "message"])
@MODES
async def test_what_is_asked_for(
    simulator: Simulator, service: RunningService, operator: Operator, mode: str, then: str
) -> None:
    """A message that is said before the tone is not recorded: then the result has to wait for it."""
    simulator.numbers[CALLEE] = "busy"
    call = await placed(simulator, operator, mode, then)
    expected: Json = {"mode": mode}
    if mode == "async":
        url = f"{ORIGIN}/callbacks/voice/{call['id']}"
        expected |= {"callbackUrl": url, "username": USERNAME, "password": PASSWORD}
    if then == "message":
        expected |= {"delayResult": True}
    assert dialed(simulator)[0]["machineDetection"] == expected
    await operator.until(call["id"], "ended")


async def test_by_default_the_result_is_not_waited_for(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    simulator.numbers[CALLEE] = "busy"
    call = await operator.place(machineDetection={"then": "hangup"})
    assert dialed(simulator)[0]["machineDetection"]["mode"] == "async"
    await operator.until(call["id"], "ended")


# No machine -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("then", ["hangup", "message"])
@pytest.mark.parametrize("result", ["human", "silence", "timeout", "error"])
@MODES
async def test_who_is_not_known_to_be_a_machine_comes_in(
    simulator: Simulator, service: RunningService, operator: Operator, mode: str, result: Value, then: str
) -> None:
    simulator.detections[CALLEE] = result
    call = await placed(simulator, operator, mode, then)
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    there = await found(operator, call["id"], result)
    assert there["failure"] is None
    assert (phone.stage, phone.heard) == ("bridged", [])
    await phone.hang_up()
    assert end_reason(await operator.until(call["id"], "ended")) == ("nobody", "completed")


# Machines ---------------------------------------------------------------------------------------------------


@MACHINES
@MODES
async def test_a_machine_is_brought_in_where_that_is_wanted(
    simulator: Simulator, service: RunningService, operator: Operator, mode: str, machine: Value
) -> None:
    simulator.detections[CALLEE] = machine
    call = await placed(simulator, operator, mode, "join")
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    await found(operator, call["id"], machine)
    assert phone.stage == "bridged"
    await phone.hang_up()


@MACHINES
@MODES
@WAYS_TO_PREPARE
async def test_a_machine_is_hung_up_without_a_word(
    simulator: Simulator, service: RunningService, operator: Operator, mode: str, machine: Value, prepare: str
) -> None:
    simulator.detections[CALLEE] = machine
    call = await placed(simulator, operator, mode, "hangup", prepare=prepare)
    phone = await simulator.called(CALLEE)
    await phone.until("ended")
    assert (phone.cause, phone.heard) == ("hangup", [])
    ended = await operator.until(call["id"], "ended")
    assert (ended["machine"], end_reason(ended)) == (machine, OVER)
    if (mode, prepare) == ("sync", "answer"):
        assert not set(MAKING) & set(operations(simulator))


@MACHINES
@MODES
@WAYS_TO_PREPARE
async def test_a_machine_is_told_a_message_after_its_tone(
    simulator: Simulator, service: RunningService, operator: Operator, mode: str, machine: Value, prepare: str
) -> None:
    simulator.detections[CALLEE] = machine
    call = await placed(simulator, operator, mode, "message", prepare=prepare, announcement="Hello.")
    phone = await simulator.called(CALLEE)
    await phone.until("ended")
    # Two seconds until it is known, and six for what the machine has to say itself.
    assert told(simulator) == {"value": machine, "duration": "PT8S"}
    # Whoever it might have been was being brought in meanwhile; a machine that is waited for is not.
    assert phone.heard == (["Hello.", MESSAGE] if mode == "async" else [MESSAGE])
    ended = await operator.until(call["id"], "ended")
    assert (ended["machine"], end_reason(ended)) == (machine, OVER)


async def test_who_is_in_the_room_stays_there(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    await operator.place(to="+15550002222")
    colleague = await simulator.called("+15550002222")
    await colleague.until("bridged")
    simulator.numbers[CALLEE] = "voicemail"
    await placed(simulator, operator, "async", "message")
    machine = await simulator.called(CALLEE)
    await machine.until("bridged")
    assert machine.participant_id in simulator.hears(colleague)
    await machine.hears(MESSAGE)
    await simulator.until(lambda: simulator.hears(colleague) == set(), what="the machine is out of the room")
    await machine.until("ended")
    assert colleague.stage == "bridged"
    assert colleague.session_id is not None
    await colleague.hang_up()


# The result comes at an odd moment --------------------------------------------------------------------------


async def known(simulator: Simulator) -> None:
    await simulator.until(
        lambda: any(one.event_type == "machineDetectionComplete" for one in simulator.deliveries),
        what="the result",
    )


@pytest.mark.parametrize("then", ["hangup", "message"])
@pytest.mark.parametrize(
    "gate_name", ["webhook:answer", "createParticipant", "reply:answer", "webhook:transferAnswer"]
)
async def test_the_result_comes_on_the_way_in(
    simulator: Simulator, service: RunningService, operator: Operator, gate_name: str, then: str
) -> None:
    simulator.numbers[CALLEE] = "voicemail"
    gate = simulator.gates.hold(gate_name)
    result = simulator.gates.hold("webhook:machineDetectionComplete")
    call = await placed(simulator, operator, "async", then)
    await gate.reached()
    result.release()
    await known(simulator)
    gate.release()
    phone = await simulator.called(CALLEE)
    await phone.until("ended")
    assert phone.heard == ([MESSAGE] if then == "message" else [])
    assert end_reason(await operator.until(call["id"], "ended")) == OVER


@pytest.mark.parametrize("then", ["hangup", "message"])
async def test_the_result_comes_with_the_answer_while_the_place_is_being_made(
    simulator: Simulator, service: RunningService, operator: Operator, then: str
) -> None:
    simulator.numbers[CALLEE] = "voicemail"
    gate = simulator.gates.hold("createParticipant")
    call = await placed(simulator, operator, "sync", then, prepare="dial")
    phone = await simulator.called(CALLEE)
    await phone.until("ended")
    assert phone.heard == ([MESSAGE] if then == "message" else [])
    assert end_reason(await operator.until(call["id"], "ended")) == OVER
    gate.release()
    await simulator.until(lambda: "createParticipant" in operations(simulator))


async def test_a_machine_that_hangs_up_in_the_middle_of_the_message(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    simulator.numbers[CALLEE] = "voicemail"
    call = await placed(simulator, operator, "sync", "message")
    phone = await simulator.called(CALLEE)
    await phone.hears(MESSAGE)
    await phone.hang_up()
    ended = await operator.until(call["id"], "ended")
    assert end_reason(ended) == OVER
    assert entry(ended, "disconnect")["cause"] == "hangup"


@pytest.mark.parametrize("mode", ["async", "sync"])
async def test_the_result_comes_twice(
    simulator: Simulator, service: RunningService, operator: Operator, mode: str
) -> None:
    simulator.webhooks.duplicate.add("machineDetectionComplete" if mode == "async" else "answer")
    simulator.numbers[CALLEE] = "voicemail"
    call = await placed(simulator, operator, mode, "message")
    phone = await simulator.called(CALLEE)
    await phone.until("ended")
    assert phone.heard == [MESSAGE]
    assert end_reason(await operator.until(call["id"], "ended")) == OVER


@MODES
async def test_the_phone_hangs_up_before_it_is_known(
    simulator: Simulator, service: RunningService, operator: Operator, mode: str
) -> None:
    gate = simulator.gates.hold("webhook:machineDetectionComplete" if mode == "async" else "webhook:answer")
    simulator.numbers[CALLEE] = "voicemail"
    call = await placed(simulator, operator, mode, "message")
    phone: Phone = await simulator.called(CALLEE)
    await gate.reached()
    await phone.hang_up()
    ended = await operator.until(call["id"], "ended")
    assert ended["failure"] is None
    gate.release()
    await simulator.until(
        lambda: any("machineDetectionResult" in one.payload for one in simulator.deliveries)
    )
    assert phone.heard == []
    assert (await operator.call(call["id"]))["outcome"] == ended["outcome"]
