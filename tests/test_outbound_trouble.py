"""Bandwidth fails, refuses or says nothing when it is asked for a call; webhooks get lost or come twice."""

from typing import Any

import pytest
from redis.asyncio import Redis

from service.engine.timeouts import Timeouts
from service.store import keys
from tests.harness import CALLEE, ORIGIN, RunningService, nothing_left, serving
from tests.operators import Operator
from tests.outbound import PATIENT, dialed, end_reason, entry, only_call, operations, start_placing
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

WAYS_TO_PREPARE = pytest.mark.parametrize("prepare", ["answer", "dial"])
BODY = {"to": CALLEE, "room": "sales"}
SECOND = "https://second.test"
DEAD = "http://127.0.0.1:1"
HASTY = Timeouts(create_call_wait=0.1)
UNHEARD = Timeouts(dial_grace=-0.9)
"""A call that may ring for a second is given up after a tenth of one."""


# The answer to createCall -----------------------------------------------------------------------------------


@WAYS_TO_PREPARE
async def test_the_answer_of_the_phone_overtakes_that_of_bandwidth(
    simulator: Simulator, service: RunningService, operator: Operator, prepare: str
) -> None:
    fault = simulator.faults.add("createCall", hang=True, executed=True)
    placing = start_placing(operator, prepare=prepare)
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    assert not placing.done()
    fault.release()
    placed = await placing
    assert (placed.status_code, placed.json()["callId"]) == (201, phone.call_id)
    assert placed.json()["answeredAt"]
    await phone.hang_up()
    assert len(dialed(simulator)) == 1


async def test_the_end_of_the_call_overtakes_the_answer_of_bandwidth(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    simulator.numbers[CALLEE] = "busy"
    fault = simulator.faults.add("createCall", hang=True, executed=True)
    placing = start_placing(operator)
    call = await only_call(operator)
    ended = await operator.until(call["id"], "ended")
    fault.release()
    placed = await placing
    assert (placed.status_code, placed.json()["state"]) == (201, "ended")
    assert placed.json()["callId"] == ended["callId"]


@WAYS_TO_PREPARE
async def test_a_call_that_rings_after_all_is_joined(
    simulator: Simulator, store_url: str, redis: Redis, prepare: str
) -> None:
    async with serving(simulator, store_url, HASTY) as service, Operator.of(service) as operator:
        fault = simulator.faults.add("createCall", hang=True)
        placed = await operator.send("POST", "/calls", BODY | {"prepare": prepare}, Idempotency_Key="one")
        assert placed.status_code == 202
        call = placed.json()
        assert (call["state"], call["callId"]) == ("dialing", None)
        assert placed.headers["location"] == f"/api/v1/calls/{call['id']}"
        again = await operator.send("POST", "/calls", BODY | {"prepare": prepare}, Idempotency_Key="one")
        assert (again.status_code, again.json()["id"]) == (202, call["id"])

        fault.release()
        phone = await simulator.called(CALLEE)
        await phone.until("bridged")
        assert (await operator.until(call["id"], "bridged"))["callId"] == phone.call_id
        assert fault.hit_count == len(dialed(simulator)) == 1
        await phone.hang_up()
        await nothing_left(simulator, redis)


async def test_a_late_answer_of_bandwidth_names_the_call(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with serving(simulator, store_url, HASTY) as service, Operator.of(service) as operator:
        simulator.numbers[CALLEE] = "ring"
        fault = simulator.faults.add("createCall", hang=True, executed=True)
        placed = await operator.send("POST", "/calls", BODY | {"callTimeout": PATIENT})
        assert placed.status_code == 202
        phone = await simulator.called(CALLEE)
        assert (await operator.send("GET", f"/calls/{phone.call_id}")).status_code == 404
        fault.release()

        async def named() -> bool:
            return (await operator.send("GET", f"/calls/{phone.call_id}")).is_success

        await wait_until(named, what="it is not known by Bandwidth's id")
        call = await operator.call(phone.call_id)
        assert (call["id"], call["callId"]) == (placed.json()["id"], phone.call_id)
        await operator.order(phone.call_id, "hangup")
        await phone.until("ended")
        await nothing_left(simulator, redis)


IN_DOUBT = [{"status": 500}, {"status": 503}, {"status": 408}, {"reset": True}]


@pytest.mark.parametrize("trouble", IN_DOUBT)
async def test_a_call_whose_fate_is_unknown_is_joined_when_it_rings(
    simulator: Simulator, service: RunningService, operator: Operator, trouble: dict[str, Any]
) -> None:
    fault = simulator.faults.add("createCall", executed=True, times=None, **trouble)
    placed = await operator.send("POST", "/calls", BODY)
    assert (placed.status_code, placed.json()["state"]) == (202, "dialing")
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    assert (await operator.until(placed.json()["id"], "bridged"))["callId"] == phone.call_id
    assert service.log("call.in_doubt")
    assert fault.hit_count == 1
    await phone.hang_up()
    # Nobody was told its id, and yet it was not lost.
    [unreceived] = simulator.ledger.unreceived
    assert unreceived.operation == "createCall"
    simulator.ledger.unreceived.clear()


@pytest.mark.parametrize(("prepare", "trouble"), [("answer", {"status": 500}), ("dial", {"reset": True})])
async def test_a_call_that_never_was_is_given_up(
    simulator: Simulator, store_url: str, redis: Redis, prepare: str, trouble: dict[str, Any]
) -> None:
    async with serving(simulator, store_url, UNHEARD) as service, Operator.of(service) as operator:
        fault = simulator.faults.add("createCall", times=None, **trouble)
        placed = await operator.send("POST", "/calls", BODY | {"callTimeout": 1, "prepare": prepare})
        assert placed.status_code == 202
        call = await operator.until(placed.json()["id"], "ended")
        assert end_reason(call) == ("bandwidth", "never-heard-of")
        assert fault.hit_count == 1
        await nothing_left(simulator, redis)


REFUSED = [
    ("dial", 400, 1, "request-refused", 502),
    ("answer", 401, 2, "credentials-refused", 502),
    ("answer", 403, 1, "credentials-refused", 502),
    ("answer", 429, 1, "rate-limited", 429),
    ("dial", 429, 1, "rate-limited", 429),
]


@pytest.mark.parametrize(("prepare", "status", "times", "reason", "answered"), REFUSED)
async def test_a_call_that_bandwidth_refuses(
    simulator: Simulator,
    service: RunningService,
    operator: Operator,
    prepare: str,
    status: int,
    times: int,
    reason: str,
    answered: int,
) -> None:
    simulator.faults.add("createCall", status=status, times=times, retry_after="7")
    body = BODY | {"prepare": prepare}
    refused = await operator.send("POST", "/calls", body, Idempotency_Key="one")
    assert refused.status_code == answered
    assert refused.json()["type"] == f"urn:pstn-bridge:problem:{reason}"
    assert refused.headers["retry-after"] == "7"
    call = await only_call(operator)
    assert (call["state"], end_reason(call)[1]) == ("ended", reason)
    await simulator.settled()

    # There was no call, and so the same request may be made again.
    again = await operator.send("POST", "/calls", body, Idempotency_Key="one")
    assert again.status_code == 201
    assert again.json()["id"] != call["id"]
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    await phone.hang_up()


async def test_the_same_may_be_asked_again_although_the_store_failed_when_bandwidth_refused(
    simulator: Simulator, service: RunningService, operator: Operator, redis: Redis
) -> None:
    fault = simulator.faults.add("createCall", status=400, delay=0.5)
    placing = start_placing(operator, once="one")
    await wait_until(lambda: fault.hit_count)
    [once] = [key async for key in redis.scan_iter("*:once:*")]
    await redis.rename(once, "aside")
    await redis.set(once, "which the script cannot read")
    await wait_until(lambda: service.log("store.write_retried", what="order given up"))
    await redis.rename("aside", once)
    assert (await placing).status_code == 502
    call = await only_call(operator)
    await operator.until(call["id"], "ended")

    async def asked_again() -> bool:
        again = await operator.send("POST", "/calls", BODY, Idempotency_Key="one")
        return again.status_code == 201 and again.json()["id"] != call["id"]

    await wait_until(asked_again)
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    await phone.hang_up()


async def test_who_asks_again_before_a_refusal_is_forgotten_is_refused_too(
    simulator: Simulator, service: RunningService, operator: Operator, redis: Redis
) -> None:
    """Not 201 with a call that was never placed: whoever hears that does not ask a third time."""
    gate = simulator.gates.hold("createCall")
    simulator.faults.add("createCall", status=400)
    placing = start_placing(operator, once="one")
    await wait_until(lambda: service.log("call.changed", event_type="dial"))
    [once] = [key async for key in redis.scan_iter("*:once:*")]
    known = await redis.dump(once) or b""
    gate.release()
    assert (await placing).status_code == 502
    await redis.restore(once, 60_000, known)
    body = {"to": CALLEE, "room": "sales", "callTimeout": PATIENT}
    again = await operator.send("POST", "/calls", body, Idempotency_Key="one")
    assert (again.status_code, again.json()["type"]) == (502, "urn:pstn-bridge:problem:request-refused")
    await redis.delete(once)
    assert (await operator.send("POST", "/calls", body, Idempotency_Key="one")).status_code == 201
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    await phone.hang_up()


@pytest.mark.parametrize("broken", [keys.all_concurrent_calls(), keys.room("sales")])
async def test_the_same_may_be_asked_again_when_the_store_failed_before_anybody_was_called(
    simulator: Simulator, service: RunningService, operator: Operator, redis: Redis, broken: str
) -> None:
    await redis.set(broken, "which the script cannot read")
    body = {"to": CALLEE, "room": "sales", "callTimeout": PATIENT}
    failed = await operator.send("POST", "/calls", body, Idempotency_Key="one")
    assert failed.status_code == 503
    await redis.delete(broken)
    call = await only_call(operator)
    await operator.until(call["id"], "ended")

    async def asked_again() -> bool:
        again = await operator.send("POST", "/calls", body, Idempotency_Key="one")
        assert again.status_code in {201, 503}, again.text
        return again.status_code == 201 and again.json()["id"] != call["id"]

    await wait_until(asked_again)
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    await phone.hang_up()
    assert len(dialed(simulator)) == 1


async def test_a_token_that_has_run_out_is_no_refusal(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    simulator.faults.add("createCall", status=401)
    await operator.place()
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    assert len([one for one in simulator.phones if one.call.to == CALLEE]) == 1
    await phone.hang_up()


@WAYS_TO_PREPARE
async def test_bandwidth_cannot_be_reached(
    simulator: Simulator, store_url: str, redis: Redis, prepare: str
) -> None:
    async with (
        serving(simulator, store_url, BW_VOICE_URL=f"{DEAD}/api/v2") as service,
        Operator.of(service) as operator,
    ):
        refused = await operator.send("POST", "/calls", BODY | {"prepare": prepare})
        assert refused.status_code == 502
        assert refused.json()["type"] == "urn:pstn-bridge:problem:bandwidth-error"
        call = await only_call(operator)
        assert end_reason(call) == ("bandwidth", "bandwidth-error")
        await nothing_left(simulator, redis)


async def test_without_an_application_nobody_is_called(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with (
        serving(simulator, store_url, BW_VOICE_APPLICATION_ID="") as service,
        Operator.of(service) as operator,
    ):
        refused = await operator.send("POST", "/calls", BODY)
        assert refused.status_code == 503
        assert (await operator.ask("GET", "/calls"))["calls"] == []
        assert operations(simulator) == []
        await nothing_left(simulator, redis)


# Webhooks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["busy", "ring"])
async def test_a_call_that_is_not_heard_of_is_ended(store_url: str, redis: Redis, number: Any) -> None:
    """Over without our hearing of it, or forgotten while it rings."""
    async with (
        Simulator(SimulatorSettings(time_scale=5.0)) as simulator,
        serving(simulator, store_url, UNHEARD) as service,
        Operator.of(service) as operator,
    ):
        simulator.numbers[CALLEE] = number
        simulator.webhooks.drop.add("disconnect")
        call = await operator.place(callTimeout=1, prepare="dial")
        ended = await operator.until(call["id"], "ended")
        assert end_reason(ended) == (
            ("callee", "busy") if number == "busy" else ("bandwidth", "never-heard-of")
        )
        phone = await simulator.called(CALLEE)
        assert phone.cause == ("busy" if number == "busy" else "cancel")
        await nothing_left(simulator, redis)


@pytest.mark.parametrize(
    ("kind", "prepare"),
    [("answer", "answer"), ("answer", "dial"), ("transferAnswer", "dial"), ("disconnect", "answer")],
)
async def test_a_webhook_that_comes_twice(
    simulator: Simulator, service: RunningService, operator: Operator, kind: str, prepare: str
) -> None:
    simulator.latency = 0.02
    simulator.webhooks.duplicate.add(kind)
    call = await operator.place(prepare=prepare)
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    assert phone.heard == []
    await phone.hang_up()
    ended = await operator.until(call["id"], "ended")
    assert end_reason(ended) == ("nobody", "completed")
    await simulator.settled()
    for step in ("createCall", "createSession", "createParticipant"):
        assert operations(simulator).count(step) == 1
    assert len(service.log("call.ended")) == 1


async def test_an_answer_that_comes_again_when_all_is_over(
    simulator: Simulator, service: RunningService, operator: Operator, redis: Redis
) -> None:
    await operator.place()
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    await phone.hang_up()
    await nothing_left(simulator, redis)
    before = operations(simulator)
    answer = next(one for one in simulator.deliveries if one.event_type == "answer")
    status, reply = await simulator.repeat(answer)
    assert (status, b"<Hangup" in reply) == (200, True)
    assert operations(simulator) == before


async def test_an_answer_that_comes_when_the_call_was_given_up_makes_nothing(
    store_url: str, redis: Redis
) -> None:
    async with (
        # Too soon for Bandwidth to show the call to who asks.
        Simulator(SimulatorSettings(call_visible_after=60)) as simulator,
        serving(simulator, store_url, UNHEARD) as service,
        Operator.of(service) as operator,
    ):
        gate = simulator.gates.hold("webhook:answer")
        # The one that would end it at Bandwidth is lost as well.
        simulator.faults.add("createCall", status=500, executed=True)
        placed = await operator.send("POST", "/calls", BODY | {"callTimeout": 1})
        await operator.until(placed.json()["id"], "ended")
        gate.release()
        phone = await simulator.called(CALLEE)
        await phone.until("ended")
        assert phone.heard == []
        assert operations(simulator) == ["createCall", "listCalls"]
        simulator.ledger.unreceived.clear()
        await nothing_left(simulator, redis)


async def test_the_answer_finds_another_replica_by_our_second_address(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with (
        serving(simulator, store_url, FALLBACK_CALLBACK_URL=SECOND) as other,
        serving(simulator, store_url, FALLBACK_CALLBACK_URL=SECOND) as service,
        Operator.of(service) as operator,
    ):
        simulator.map_origin(ORIGIN, DEAD)
        simulator.map_origin(SECOND, other.url)
        call = await operator.place()
        phone = await simulator.called(CALLEE)
        await phone.until("bridged")
        answers = [one for one in simulator.deliveries if one.event_type == "answer"]
        assert [one.status for one in answers] == [None, 200]
        assert answers[1].url.startswith(SECOND)
        there = await operator.until(call["id"], "bridged")
        assert there["callId"] == phone.call_id
        # Its end is told only once, and only there.
        simulator.map_origin(ORIGIN, service.url)
        await phone.hang_up()
        await operator.until(call["id"], "ended")
        await nothing_left(simulator, redis)


async def test_the_timeline_tells_how_bandwidth_calls_it(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    simulator.numbers[CALLEE] = "busy"
    call = await operator.place()
    ended = await operator.until(call["id"], "ended")
    phone = await simulator.called(CALLEE)
    told = entry(ended, "disconnect")
    assert (told["before"], told["after"], told["cause"]) == ("dialing", "ended", "busy")
    assert told["errorId"] == ended["outcome"]["errorId"] == phone.call.error_id
    assert told["sipCallId"] == phone.call.sip_call_id
    assert told["sipResponseCode"] == ended["outcome"]["sipResponseCode"] == 486
    assert ended["timeline"][0]["event"] == "dial"
    happenings = [one for one in ended["timeline"] if "effect" not in one]
    assert all(set(one) >= {"at", "event", "before", "after", "reply"} for one in happenings)
