"""INTERCONNECT=bridge: a phone and a call of ours into WebRTC, and all that is wanted of them meanwhile."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.bridge_mode import (
    delay_create_call,
    joined_again,
    leg_of,
    leg_requests,
    replies_with_verb,
    requests,
)
from tests.harness import CALLEE, NUMBER, ORIGIN, PASSWORD, USERNAME, RunningService, nothing_left, serving
from tests.operators import Operator, bridged
from tests.simulator.clock import monotonic
from tests.simulator.interpreter import SPEECH_SECONDS_PER_CHARACTER
from tests.simulator.phones import Phone
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

GREETING = "This call may be recorded."


@pytest.fixture
async def service(simulator: Simulator, store_url: str, redis: Redis) -> AsyncIterator[RunningService]:
    """As everybody's, but with the other way in; whoever uses it has to leave nothing behind."""
    async with serving(simulator, store_url, INTERCONNECT="bridge") as service:
        yield service
        await nothing_left(simulator, redis)


async def arrives(simulator: Simulator, operator: Operator, how: str) -> Phone:
    """A phone on its way into a room."""
    if how == "inbound":
        return await simulator.dial()
    await operator.place(prepare=how)
    return await simulator.called(CALLEE)


WAYS = pytest.mark.parametrize("how", ["inbound", "answer", "dial"])


@WAYS
@pytest.mark.parametrize("first", ["leg", "phone"])
async def test_whoever_answers_first_one_bridge_runs(
    simulator: Simulator, service: RunningService, operator: Operator, how: str, first: str
) -> None:
    simulator.numbers[CALLEE] = "ring"
    if first == "phone":
        simulator.interconnect.answer_delay = 0.2
    elif how == "inbound":
        delay_create_call(simulator)
    phone = await arrives(simulator, operator, how)
    if how == "answer" and first == "leg":
        delay_create_call(simulator)
    if how == "dial" and first == "leg":
        await simulator.until(lambda: bool(replies_with_verb(simulator, "Pause")), what="the leg is parked")
    phone.pick_up()
    await phone.until("bridged")
    leg = leg_of(phone, simulator)

    [(asked, bridge)] = replies_with_verb(simulator, "Bridge")
    runs, target = ("phone", "leg") if first == "leg" else ("leg", "phone")
    calls = {"phone": phone.call_id, "leg": leg.call_id}
    assert (asked.call_id, bridge.text) == (calls[runs], calls[target])
    ours = {"leg": f"{ORIGIN}/callbacks/legs/", "phone": f"{ORIGIN}/callbacks/voice/"}
    assert bridge.attrib.pop("bridgeCompleteUrl").startswith(ours[runs])
    assert bridge.attrib.pop("bridgeTargetCompleteUrl").startswith(ours[target])
    assert bridge.attrib == {"username": USERNAME, "password": PASSWORD}
    await phone.hang_up()


@WAYS
async def test_what_createcall_of_the_leg_says(
    simulator: Simulator, service: RunningService, operator: Operator, how: str
) -> None:
    phone = await arrives(simulator, operator, how)
    await phone.until("bridged")
    call = await operator.call(phone.call_id)
    [order] = leg_requests(simulator)
    participant = simulator.sessions.participants[str(phone.participant_id)]
    url = f"{ORIGIN}/callbacks/legs/{call['id']}/1"
    assert {
        "from": NUMBER,
        "uui": f"{participant.token};encoding=jwt",
        "answerUrl": url,
        "disconnectUrl": url,
        "username": USERNAME,
        "password": PASSWORD,
    }.items() <= order.items()
    assert participant.token not in str(simulator.deliveries)
    await phone.hang_up()


async def test_a_leg_is_called_from_a_number_of_ours_where_none_is_set(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with serving(simulator, store_url, INTERCONNECT="bridge", BW_NUMBER="") as service:
        phone = await simulator.dial(to="+15551110000", from_="+15552220000")
        await phone.until("bridged")
        assert [order["from"] for order in leg_requests(simulator)] == ["+15551110000"]
        await phone.hang_up()
        async with Operator.of(service) as operator:
            await operator.place(**{"from": "+15551110009"})
            called = await simulator.called(CALLEE)
            await called.until("bridged")
            assert [order["from"] for order in leg_requests(simulator)][1:] == ["+15551110009"]
            await called.hang_up()
        await nothing_left(simulator, redis)


@pytest.mark.parametrize("said", ["room", "call", "join"])
async def test_the_way_can_be_said_elsewhere(
    simulator: Simulator, store_url: str, redis: Redis, said: str
) -> None:
    way = {"interconnect": "bridge"}
    async with serving(simulator, store_url) as service, Operator.of(service) as operator:
        if said == "room":
            await operator.set_room("sales", **way)
        call = await operator.place(**(way if said == "call" else {}))
        phone = await simulator.called(CALLEE)
        await phone.until("bridged")
        if said == "join":
            assert leg_requests(simulator) == []
            await operator.until(call["id"], "bridged")
            await operator.order(call["id"], "hold")
            await phone.hears("Please hold")
            await operator.order(call["id"], "join", room="support", **way)
            await phone.until("bridged")
        assert len(leg_requests(simulator)) == 1
        assert simulator.legs_into_webrtc() == [leg_of(phone, simulator)]
        await phone.hang_up()
        await operator.reset_rooms()
        await nothing_left(simulator, redis)


async def test_those_in_a_room_hear_one_another(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with serving(simulator, store_url, INTERCONNECT="bridge", ROOM_POLICY="lobby"):
        there = [await simulator.dial(from_=f"+1555000000{n}") for n in range(3)]
        for phone in there:
            await phone.until("bridged")
        for phone in there:
            others = {other.participant_id for other in there if other is not phone}
            assert simulator.hears(phone) == others
        for phone in there:
            await phone.hang_up()
        await nothing_left(simulator, redis)


@WAYS
async def test_the_phone_hears_ringing_while_the_leg_rings(
    simulator: Simulator, service: RunningService, operator: Operator, how: str
) -> None:
    simulator.interconnect.answer_delay = 0.4
    phone = await arrives(simulator, operator, how)
    await simulator.until(lambda: len(phone.sounds) >= 2, what="it rings on")
    assert phone.stage == "answered"
    assert set(phone.sounds) == {("ring",)}
    await phone.until("bridged")
    await phone.hang_up()


@WAYS
@pytest.mark.parametrize("delay", [0.0, 0.3])
async def test_the_announcement_is_said_once_and_to_its_end(
    store_url: str, redis: Redis, how: str, delay: float
) -> None:
    """A leg that answers in the middle of it has to wait: a bridge would cut it off."""
    scale = 0.05
    async with (
        Simulator(SimulatorSettings(time_scale=scale)) as simulator,
        serving(simulator, store_url, INTERCONNECT="bridge", ANNOUNCEMENT=GREETING) as service,
        Operator.of(service) as operator,
    ):
        simulator.interconnect.answer_delay = delay
        await operator.set_room("sales", announcement=GREETING)
        phone = await arrives(simulator, operator, how)
        await phone.hears(GREETING)
        begun = monotonic()
        await phone.until("bridged")
        assert monotonic() - begun >= 0.9 * len(GREETING) * SPEECH_SECONDS_PER_CHARACTER * scale
        assert phone.heard == [GREETING]
        await phone.far_end_hangs_up()
        await joined_again(simulator, phone, phone.participant_id)
        assert phone.heard == [GREETING]
        await phone.hang_up()
        await operator.reset_rooms()
        await nothing_left(simulator, redis)


@pytest.mark.parametrize("how", ["far end hangs up", "participant deleted", "leg vanishes silently"])
async def test_the_phone_survives_its_leg(
    simulator: Simulator, service: RunningService, operator: Operator, how: str
) -> None:
    phone, call = await bridged(simulator, operator)
    before, leg = str(phone.participant_id), leg_of(phone, simulator)
    if how == "leg vanishes silently":
        simulator.webhooks.drop.add("disconnect")
    if how == "participant deleted":
        simulator.sessions.delete_participant(simulator.sessions.participants[before])
    else:
        await phone.far_end_hangs_up()
    await joined_again(simulator, phone, before)
    simulator.webhooks.drop.clear()
    assert leg.state == "ended"
    await simulator.until(lambda: before not in simulator.sessions.participants, what="the old one is gone")
    assert simulator.legs_into_webrtc() == [leg_of(phone, simulator)]
    again = await operator.until(call["id"], "bridged")
    assert again["participantId"] == phone.participant_id
    assert phone.heard == []
    await phone.hang_up()


async def test_legs_that_end_at_once_are_not_made_for_ever(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, call = await bridged(simulator, operator)
    for _ in range(2):
        before = phone.participant_id
        await phone.far_end_hangs_up()
        await joined_again(simulator, phone, before)
    await phone.far_end_hangs_up()
    await phone.until("ended")
    assert len(phone.heard) == 1
    assert "sorry" in phone.heard[0]
    assert len(leg_requests(simulator)) == 3
    ended = await operator.until(call["id"], "ended")
    assert ended["outcome"]["reason"] == "transfer-failed"


async def test_on_hold_and_back(simulator: Simulator, service: RunningService, operator: Operator) -> None:
    phone, call = await bridged(simulator, operator)
    before = phone.participant_id
    await operator.order(call["id"], "hold")
    await phone.hears("Please hold")
    await simulator.until(lambda: not simulator.legs_into_webrtc() and not simulator.ledger.alive().sessions)
    assert (await operator.call(call["id"]))["state"] == "detached"
    assert phone.state == "answered"
    await operator.order(call["id"], "join", room=call["room"])
    await joined_again(simulator, phone, before)
    await phone.hang_up()


async def test_a_move_keeps_both_legs(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, call = await bridged(simulator, operator)
    leg, session, participant = leg_of(phone, simulator), phone.session_id, phone.participant_id
    await operator.order(call["id"], "join", room="support")
    await simulator.until(lambda: phone.session_id not in {None, session}, what="moved")
    assert (leg_of(phone, simulator), phone.participant_id) == (leg, participant)
    await simulator.until(lambda: len(simulator.ledger.alive().sessions) == 1, what="the old one is gone")
    assert requests(simulator, "updateCall") == []
    assert phone.stage == "bridged"
    # And it is that room to which a lost leg leads back.
    await phone.far_end_hangs_up()
    await joined_again(simulator, phone, participant)
    assert (await operator.until(call["id"], "bridged"))["room"] == "support"
    await phone.hang_up()


async def test_a_move_that_is_tried_again_when_nobody_wants_it_any_more(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, call = await bridged(simulator, operator)
    simulator.faults.add("addParticipantToSession", status=500)
    await operator.order(call["id"], "join", room="support")
    await wait_until(lambda: service.log(event="effect.retried", effect="move-participant"))
    await operator.order(call["id"], "hold")
    await wait_until(lambda: service.log(event="effect.done", effect="move-participant"))
    await simulator.until(lambda: not simulator.ledger.alive().sessions, what="both rooms are empty")
    await phone.hang_up()


@pytest.mark.parametrize("way", ["bridge", "transfer"])
@pytest.mark.parametrize("fault", [{"delay": 0.1, "times": 2}, {"status": 500, "times": 3}], ids=str)
async def test_to_another_number(store_url: str, redis: Redis, way: str, fault: dict[str, Any]) -> None:
    """The end of the leg has the phone ask as well; the number must not be called for that and once more."""
    async with (
        Simulator(SimulatorSettings(time_scale=0.3)) as simulator,
        serving(simulator, store_url, INTERCONNECT=way) as service,
        Operator.of(service) as operator,
    ):
        phone, call = await bridged(simulator, operator)
        leg = phone.leg
        assert leg is not None
        simulator.faults.add("updateCall", **fault)
        await operator.order(call["id"], "transfer", to="+15550108888")
        await simulator.until(lambda: any(one.transfer_to == "+15550108888" for one in phone.call.legs))
        await phone.until("bridged")
        await simulator.until(lambda: leg.ended and len(simulator.ledger.alive().calls) == 1)
        elsewhere = [one for one in phone.call.legs if one.transfer_to == "+15550108888"]
        assert (len(phone.heard), len(elsewhere)) == (1, 1)
        await phone.far_end_hangs_up()
        await phone.until("ended")
        await nothing_left(simulator, redis)
        assert len(phone.call.legs) - len(elsewhere) == (way == "transfer")


async def test_hang_up_by_order(simulator: Simulator, service: RunningService, operator: Operator) -> None:
    phone, call = await bridged(simulator, operator)
    await operator.order(call["id"], "hangup")
    await phone.until("ended")
    await simulator.settled()
    assert phone.heard == []


async def test_the_room_is_closed(simulator: Simulator, service: RunningService, operator: Operator) -> None:
    phone, call = await bridged(simulator, operator)
    await operator.ask("DELETE", f"/rooms/{call['room']}")
    await phone.until("ended")
    assert phone.heard == ["This conference has been closed. Goodbye."]


async def test_the_time_is_over(simulator: Simulator, service: RunningService, operator: Operator) -> None:
    call = await operator.place(maxDuration=1)
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    await phone.until("ended")
    assert phone.heard == ["The time for this call is over. Goodbye."]
    assert (await operator.until(call["id"], "ended"))["outcome"]["reason"] == "time-limit"


@pytest.mark.parametrize("then", ["hangup", "wait"])
async def test_left_alone(simulator: Simulator, store_url: str, redis: Redis, then: str) -> None:
    async with (
        serving(simulator, store_url, INTERCONNECT="bridge", ROOM_POLICY="lobby") as service,
        Operator.of(service) as operator,
    ):
        stays, goes = [await simulator.dial(from_=f"+1555000000{n}") for n in range(2)]
        await stays.until("bridged")
        await goes.until("bridged")
        await operator.set_room("lobby", alone={"after": 1, "then": then}, waiting={"sound": "ring"})
        await goes.hang_up()
        if then == "hangup":
            await stays.until("ended")
            assert stays.heard == ["Everybody else has left this conference. Goodbye."]
        else:
            await simulator.until(lambda: ("ring",) in stays.sounds, what="it rings")
            await simulator.until(lambda: not simulator.legs_into_webrtc(), what="the leg is gone")
            await operator.place(room="lobby")
            await stays.until("bridged")
            await simulator.phones[-1].hang_up()
            await stays.hang_up()
        await operator.reset_rooms()
        await nothing_left(simulator, redis)
