"""The same webhook twice, at once or later, changes nothing the second time and gets the same reply."""

import asyncio

import pytest
from redis.asyncio import Redis

from tests.harness import RunningService, nothing_left
from tests.simulator.journal import Delivery
from tests.simulator.simulator import Simulator

KINDS = ["initiate", "transferAnswer", "transferComplete", "transferDisconnect", "disconnect"]


async def delivered(simulator: Simulator, redis: Redis, kind: str) -> Delivery:
    """A webhook of this kind, of a call that is over."""
    phone = await simulator.dial()
    await phone.until("bridged")
    await phone.far_end_hangs_up()
    await phone.until("ended")
    await simulator.until(lambda: any(d.event_type == "disconnect" for d in simulator.deliveries))
    await nothing_left(simulator, redis)
    return next(d for d in simulator.deliveries if d.event_type == kind)


@pytest.mark.parametrize("kind", KINDS)
async def test_twice_at_once(simulator: Simulator, service: RunningService, kind: str) -> None:
    simulator.latency = 0.02
    simulator.webhooks.duplicate.add(kind)
    phone = await simulator.dial()
    await phone.until("bridged")
    if kind == "transferComplete":
        await phone.far_end_hangs_up()
    else:
        await phone.hang_up()
    await phone.until("ended")
    await simulator.settled()
    creates = [r for r in simulator.requests if r.operation in {"createSession", "createParticipant"}]
    assert len(creates) == 2
    assert len(service.log(event="call.ended")) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_again_later(simulator: Simulator, service: RunningService, redis: Redis, kind: str) -> None:
    delivery = await delivered(simulator, redis, kind)
    requests = len(simulator.requests)

    status, reply = await simulator.repeat(delivery)

    assert status == delivery.status
    # The transfer has been carried out and its token is gone: nothing to repeat for a phone that left.
    assert b"<Hangup" in reply if kind == "initiate" else reply == delivery.reply
    assert len(simulator.requests) == requests
    assert simulator.ledger.empty


@pytest.mark.parametrize("kind", KINDS)
async def test_two_hundred_at_once(
    simulator: Simulator, service: RunningService, redis: Redis, kind: str
) -> None:
    delivery = await delivered(simulator, redis, kind)
    requests = len(simulator.requests)

    answers = await asyncio.gather(*(simulator.repeat(delivery) for _ in range(200)))

    assert len(set(answers)) == 1
    assert answers[0][0] == delivery.status
    assert len(simulator.requests) == requests
    assert len(service.log(event="call.ended")) == 1


async def test_two_hundred_while_the_first_is_worked_on(
    simulator: Simulator, service: RunningService
) -> None:
    gate = simulator.gates.hold("createParticipant")
    simulator.webhooks.duplicate.add("initiate")
    phone = await simulator.dial()
    await gate.reached()
    await simulator.until(lambda: len(simulator.deliveries) == 1)
    delivery = simulator.deliveries[0]
    answers = await asyncio.gather(*(simulator.repeat(delivery) for _ in range(200)))
    gate.release()
    await phone.until("bridged")
    assert {status for status, _ in answers} == {200}
    assert not [reply for _, reply in answers if b"<Transfer" in reply]
    creates = [r.operation for r in simulator.requests if r.operation.startswith("create")]
    assert sorted(creates) == ["createParticipant", "createSession"]
    await phone.hang_up()


async def test_initiate_again_before_the_transfer_is_answered_gets_the_same_transfer(
    simulator: Simulator, service: RunningService
) -> None:
    gate = simulator.gates.hold("reply:initiate")
    phone = await simulator.dial()
    await gate.reached()
    first = simulator.deliveries[0]
    replies = await asyncio.gather(*(simulator.repeat(first) for _ in range(5)))
    assert set(replies) == {(200, first.reply)}
    assert b"<Transfer" in first.reply
    gate.release()
    await phone.until("bridged")
    await phone.hang_up()


async def test_a_repeat_of_what_is_being_worked_on_is_told_to_come_back(
    simulator: Simulator, service: RunningService
) -> None:
    gate = simulator.gates.hold("createParticipant")
    simulator.webhooks.duplicate.add("initiate")
    phone = await simulator.dial()
    await gate.reached()
    await simulator.until(lambda: len(simulator.deliveries) == 1)
    assert b"<Pause" in simulator.deliveries[0].reply
    assert b"<Redirect" in simulator.deliveries[0].reply
    simulator.webhooks.duplicate.clear()
    gate.release()
    await phone.until("bridged")
    await phone.hang_up()
    await simulator.settled()
    assert len([r for r in simulator.requests if r.operation == "createParticipant"]) == 1


async def test_disconnect_first_makes_nothing_of_the_late_initiate(
    simulator: Simulator, service: RunningService
) -> None:
    gate = simulator.gates.hold("webhook:initiate")
    phone = await simulator.dial()
    await gate.reached()
    await phone.hang_up()
    await simulator.until(lambda: any(d.event_type == "disconnect" for d in simulator.deliveries))
    gate.release()
    await simulator.until(lambda: len(simulator.deliveries) == 2)
    assert b"<Hangup" in simulator.deliveries[-1].reply
    assert {request.operation for request in simulator.requests} <= {"token"}


async def test_a_late_copy_of_what_was_told_to_come_back_leaves_the_talk_alone(
    simulator: Simulator, service: RunningService
) -> None:
    gate = simulator.gates.hold("createParticipant")
    simulator.webhooks.duplicate.add("initiate")
    phone = await simulator.dial()
    await simulator.until(lambda: len(_asked(simulator)) == 2)
    gate.release()
    await phone.until("bridged")
    requests, participant = len(simulator.requests), phone.participant_id

    replies = [await simulator.repeat(delivery) for delivery in _asked(simulator)]

    assert not [reply for _, reply in replies if b"<Transfer" in reply]
    assert phone.participant_id == participant
    assert len(simulator.requests) == requests
    await phone.hang_up()


def _asked(simulator: Simulator) -> list[Delivery]:
    """By which the phone has come back, so far."""
    return [one for one in simulator.deliveries if one.event_type == "redirect"]
