"""INTERCONNECT=bridge, and something goes wrong: nobody waits for ever, and neither leg is left behind."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from service.calls.rules import arriving, legs
from tests.bridge_mode import delay_create_call, joined_again, leg_of, leg_requests, verbs
from tests.harness import CALLEE, PASSWORD, USERNAME, RunningService, nothing_left, serving
from tests.operators import Operator, bridged
from tests.simulator.journal import Delivery
from tests.simulator.phones import Phone
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator
from tests.stores import RestartableStore
from tests.waiting import wait_until


@pytest.fixture
async def service(simulator: Simulator, store_url: str, redis: Redis) -> AsyncIterator[RunningService]:
    """With the other way in; whoever uses it has to leave nothing behind."""
    async with serving(simulator, store_url, INTERCONNECT="bridge") as service:
        yield service
        await nothing_left(simulator, redis)


def told(simulator: Simulator, event_type: str) -> list[Delivery]:
    return [one for one in simulator.deliveries if one.event_type == event_type]


# The phone hangs up -----------------------------------------------------------------------------------------

ON_THE_WAY = [
    "webhook:initiate",
    "createSession",
    "createParticipant",
    "addParticipantToSession",
    "createCall",
    "reply:initiate",
    "webhook:answer",
    "reply:answer",
]


@pytest.mark.parametrize("moment", ON_THE_WAY)
async def test_the_phone_hangs_up_on_the_way_in(
    simulator: Simulator, service: RunningService, moment: str
) -> None:
    gate = simulator.gates.hold(moment)
    phone = await simulator.dial()
    await gate.reached()
    await phone.hang_up()
    await simulator.until(lambda: bool(service.log(event="call.ended")), what="disconnect is taken in")
    gate.release()
    await simulator.settled()
    assert phone.heard == []


@pytest.mark.parametrize(
    ("prepare", "moment"),
    [
        *(
            ("answer", moment)
            for moment in ("createParticipant", "createCall", "webhook:answer", "reply:answer")
        ),
        *(("dial", moment) for moment in ("createParticipant", "webhook:answer", "reply:answer")),
    ],
)
async def test_a_callee_hangs_up_on_the_way_in(
    simulator: Simulator, service: RunningService, operator: Operator, prepare: str, moment: str
) -> None:
    simulator.numbers[CALLEE] = "ring"
    if prepare == "dial":
        gate = simulator.gates.hold(moment)
        await operator.place(prepare=prepare)
        phone = await simulator.called(CALLEE)
    else:
        await operator.place(prepare=prepare)
        phone = await simulator.called(CALLEE)
        gate = simulator.gates.hold(moment)
        phone.pick_up()
    await gate.reached()
    await phone.hang_up()
    await simulator.until(lambda: bool(service.log(event="call.ended")), what="disconnect is taken in")
    gate.release()
    await simulator.settled()


@pytest.mark.parametrize("first", ["phone", "leg"])
@pytest.mark.parametrize(("leaver", "at"), [("phone", "webhook"), ("leg", "webhook"), ("leg", "reply")])
async def test_the_phone_hangs_up_while_the_bridge_ends(
    simulator: Simulator, service: RunningService, first: str, leaver: str, at: str
) -> None:
    """`first` answers first, so that the other one runs the bridge."""
    phone = await _bridged(simulator, first)
    kind = "bridgeTargetComplete" if leaver != first else "bridgeComplete"
    gate = simulator.gates.hold(f"{at}:{kind}")
    if leaver == "leg":
        await phone.far_end_hangs_up()
        await gate.reached()
    await phone.hang_up()
    if leaver == "phone":
        await gate.reached()
    await simulator.until(lambda: bool(service.log(event="call.ended")), what="disconnect is taken in")
    gate.release()
    await simulator.settled()


async def _bridged(simulator: Simulator, first: str) -> Phone:
    if first == "phone":
        simulator.interconnect.answer_delay = 0.1
    else:
        delay_create_call(simulator)
    phone = await simulator.dial()
    await phone.until("bridged")
    return phone


# The leg is in trouble --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["inbound", "answer", "dial"])
@pytest.mark.parametrize("mode", ["reject", "timeout"])
@pytest.mark.parametrize("fallback", ["", "+15550107777"])
async def test_a_leg_that_does_not_come_about(
    simulator: Simulator, store_url: str, redis: Redis, how: str, mode: Any, fallback: str
) -> None:
    simulator.interconnect.mode = mode
    async with (
        serving(simulator, store_url, INTERCONNECT="bridge", FALLBACK_NUMBER=fallback) as service,
        Operator.of(service) as operator,
    ):
        phone = await _on_the_way(simulator, operator, how)
        if fallback and how == "inbound":
            await phone.until("bridged")
            assert phone.leg is not None
            assert phone.leg.transfer_to == fallback
            await simulator.until(lambda: not simulator.ledger.alive().participants)
            await phone.far_end_hangs_up()
        await phone.until("ended")
        # Interrupted and begun again when the phone came round just as it was redirected.
        [words] = set(phone.heard)
        assert ("another number" if fallback and how == "inbound" else "sorry") in words
        # One that is refused is tried once more.
        assert len(leg_requests(simulator)) <= (3 if mode == "reject" else 2)
        await wait_until(lambda: service.log(event="call.ended", reason="transfer-failed"))
        await nothing_left(simulator, redis)


async def _on_the_way(simulator: Simulator, operator: Operator, how: str) -> Phone:
    if how == "inbound":
        return await simulator.dial()
    await operator.place(prepare=how)
    return await simulator.called(CALLEE)


async def test_a_leg_that_rings_while_nobody_says_that_it_ended(
    simulator: Simulator, service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arriving, "LEG_RING_TIMEOUT", 1.0)
    simulator.interconnect.mode = "timeout"
    simulator.webhooks.drop.add("disconnect")
    phone = await simulator.dial()
    await phone.hears("sorry")
    simulator.webhooks.drop.clear()
    await phone.until("ended")


FATES: dict[str, dict[str, Any]] = {
    "400": {"status": 400},
    "429": {"status": 429},
    "500": {"status": 500},
    "500, and it rings": {"status": 500, "executed": True},
    "reset": {"reset": True},
    "reset, and it rings": {"reset": True, "executed": True},
}


@pytest.mark.parametrize("how", ["inbound", "answer", "dial"])
@pytest.mark.parametrize("fate", FATES)
async def test_createcall_of_the_leg_fails(
    simulator: Simulator, service: RunningService, operator: Operator, how: str, fate: str
) -> None:
    simulator.numbers[CALLEE] = "ring"
    if how == "inbound":
        simulator.faults.add("createCall", **FATES[fate])
        phone = await simulator.dial()
    else:
        gate = simulator.gates.hold("createParticipant")
        await operator.place(prepare=how)
        phone = await simulator.called(CALLEE)
        simulator.faults.add("createCall", **FATES[fate])
        gate.release()
        phone.pick_up()
    if how == "dial":
        # Nobody had been told anything yet, so that it was tried again.
        await phone.until("bridged")
        await phone.hang_up()
    else:
        await phone.until("ended")
        assert "sorry" in phone.heard[0]
    await simulator.settled()
    simulator.ledger.unreceived.clear()


async def test_createcall_of_the_leg_hangs(simulator: Simulator, store_url: str, redis: Redis) -> None:
    """What comes of it when the caller has been told is taken down."""
    async with serving(simulator, store_url, INTERCONNECT="bridge", WEBHOOK_BUDGET="1.5") as service:
        fault = simulator.faults.add("createCall", hang=True)
        phone = await simulator.dial()
        await phone.until("ended")
        assert "sorry" in phone.heard[0]
        assert simulator.deliveries[0].ms < 1500
        assert service.log(event="join.failed", reason="bandwidth-timeout")
        fault.release()
        await wait_until(lambda: service.log(event="effect.done", effect="hang-up-leg"))
        await nothing_left(simulator, redis)


async def test_a_leg_of_unknown_fate_that_answers_is_let_go(store_url: str, redis: Redis) -> None:
    number = "+15550107777"
    more = {"INTERCONNECT": "bridge", "WEBHOOK_BUDGET": "1.5", "FALLBACK_NUMBER": number}
    async with (
        Simulator(SimulatorSettings(time_scale=0.1)) as simulator,
        serving(simulator, store_url, **more) as service,
    ):
        simulator.interconnect.answer_delay = 1.2
        fault = simulator.faults.add("createCall", hang=True, executed=True)
        gate = simulator.gates.hold("deleteParticipant")
        phone = await simulator.dial()
        await phone.until("bridged")
        assert phone.leg is not None
        assert phone.leg.transfer_to == number
        [leg] = simulator.legs_into_webrtc()
        await leg.until("ended")
        assert b"<Hangup" in told(simulator, "answer")[0].reply
        fault.release()
        await wait_until(lambda: service.log(event="effect.done", effect="hang-up-leg"))
        gate.release()
        assert phone.stage == "bridged"
        await phone.hang_up()
        await nothing_left(simulator, redis)


@pytest.mark.parametrize("first", ["phone", "leg"])
async def test_a_bridge_with_somebody_who_has_just_gone(
    simulator: Simulator, service: RunningService, first: str
) -> None:
    """Who runs it finds the target gone; the phone is joined by another leg."""
    if first == "leg":
        delay_create_call(simulator)
        gate = simulator.gates.hold("reply:initiate")
        phone = await simulator.dial()
        await gate.reached()
        [leg] = simulator.legs_into_webrtc()
        await leg.hang_up()
        gate.release()
    else:
        simulator.interconnect.answer_delay = 0.1
        gate = simulator.gates.hold("reply:answer")
        phone = await simulator.dial()
        await gate.reached()
        [leg] = simulator.legs_into_webrtc()
        # Taken by somebody else: the bridge is refused as busy.
        phone.call.peer = leg.call
        gate.release()
        await simulator.until(lambda: bool(told(simulator, "bridgeComplete")), what="it has failed")
        phone.call.peer = None
    await joined_again(simulator, phone, leg.participant_id)
    if first == "phone":
        assert [one.payload["cause"] for one in told(simulator, "bridgeComplete")] == ["busy"]
    assert phone.heard == []
    assert simulator.legs_into_webrtc() == [leg_of(phone, simulator)]
    await phone.hang_up()


# Webhooks of the leg ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["phone", "leg"])
@pytest.mark.parametrize(
    "kind", ["initiate", "answer", "bridgeComplete", "bridgeTargetComplete", "disconnect"]
)
async def test_twice_at_once(simulator: Simulator, service: RunningService, first: str, kind: str) -> None:
    simulator.latency = 0.01
    simulator.webhooks.duplicate.add(kind)
    phone = await _bridged(simulator, first)
    before = phone.participant_id
    await phone.far_end_hangs_up()
    await joined_again(simulator, phone, before)
    await phone.hang_up()
    await simulator.settled()
    assert len(leg_requests(simulator)) == 2
    assert len(service.log(event="call.ended")) == 1
    assert phone.heard == []


@pytest.mark.parametrize("first", ["phone", "leg"])
@pytest.mark.parametrize("late", ["disconnect", "bridgeComplete", "bridgeTargetComplete"])
async def test_whatever_is_told_first_of_a_leg_that_has_ended(
    simulator: Simulator, service: RunningService, operator: Operator, first: str, late: str
) -> None:
    phone = await _bridged(simulator, first)
    before = phone.participant_id
    simulator.webhooks.delay[late] = 0.3
    await phone.far_end_hangs_up()
    await joined_again(simulator, phone, before)
    await simulator.until(lambda: len(told(simulator, "disconnect")) == 1, what="the disconnect is told")
    assert len(leg_requests(simulator)) == 2
    await operator.until(phone.call_id, "bridged")
    simulator.webhooks.delay.clear()
    await phone.hang_up()


async def test_a_phone_that_does_not_ask_is_asked(
    simulator: Simulator, service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bandwidth has told of the leg's end and, whatever it was, has not asked what the phone does."""
    monkeypatch.setattr(legs, "BRIDGE_SETTLE_TIME", 0.2)
    phone = await _bridged(simulator, "phone")
    before = phone.participant_id
    gate = simulator.gates.hold("webhook:bridgeTargetComplete")
    await phone.far_end_hangs_up()
    await gate.reached()
    await joined_again(simulator, phone, before)
    assert told(simulator, "redirect")
    gate.release()
    await phone.hang_up()


@pytest.mark.parametrize("when", ["answer", "bridgeComplete"])
async def test_the_store_is_away_when_the_leg_asks(
    simulator: Simulator, when: str, store: RestartableStore
) -> None:
    async with serving(simulator, store.url, INTERCONNECT="bridge"):
        simulator.interconnect.answer_delay = 0.05
        gates = [simulator.gates.hold(f"webhook:{one}") for one in (when, "disconnect")]
        phone = await simulator.dial()
        if when == "bridgeComplete":
            await phone.until("bridged")
            await phone.hang_up()
        await gates[0].reached()
        [leg] = simulator.legs_into_webrtc()
        await store.kill()
        for gate in gates:
            gate.release()
        await leg.hears("One moment")
        await store.start()
        if when == "answer":
            await phone.until("bridged", timeout=15)
            await phone.hang_up()
        async with Redis.from_url(store.url) as redis:
            await nothing_left(simulator, redis, seconds=20)


@pytest.fixture
async def store() -> AsyncIterator[RestartableStore]:
    with tempfile.TemporaryDirectory(prefix="bridge-leg-") as directory:
        store = RestartableStore(Path(directory))
        await store.start()
        yield store
        await store.start()
        await store.stop()


async def test_an_unknown_event_of_a_leg_keeps_it(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, call = await bridged(simulator, operator)
    path = f"/callbacks/legs/{call['id']}/1"
    body = {"eventType": "somethingNew", "callId": leg_of(phone, simulator).call_id}
    async with httpx.AsyncClient(base_url=service.url) as client:
        refused = await client.post(path, json=body, auth=(USERNAME, "wrong"))
        assert (refused.status_code, (await client.post(path, json=body)).status_code) == (401, 401)
        answer = await client.post(path, json=body, auth=(USERNAME, PASSWORD))
    assert answer.status_code == 200
    [again] = verbs(answer.content, "Redirect")
    assert again.attrib["redirectUrl"].endswith(path)
    assert verbs(answer.content, "Pause")
    assert service.log(event="webhook.unknown", event_type="somethingNew")
    assert phone.stage == "bridged"
    await phone.hang_up()
    # And of a leg whose phone has gone it ends it.
    await simulator.settled()
    async with httpx.AsyncClient(base_url=service.url, auth=(USERNAME, PASSWORD)) as client:
        assert not verbs((await client.post(path, json=body)).content, "Redirect")
