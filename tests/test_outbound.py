"""Outbound calls over loopback HTTP: asked for, placed, answered, and brought into a room."""

import asyncio
import json
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.harness import (
    CALLEE,
    NUMBER,
    ORIGIN,
    PASSWORD,
    READER_KEY,
    USERNAME,
    RunningService,
    nothing_left,
    serving,
)
from tests.operators import Operator
from tests.outbound import MAKING, PATIENT, dialed, end_reason, operations, ringing, start_placing
from tests.simulator.simulator import Simulator

WAYS_TO_PREPARE = pytest.mark.parametrize("prepare", ["answer", "dial"])
SECOND = "https://second.test"


@WAYS_TO_PREPARE
@pytest.mark.parametrize("interconnect", ["transfer", "bridge"])
async def test_a_number_is_called_and_brought_into_a_room(
    simulator: Simulator, service: RunningService, operator: Operator, prepare: str, interconnect: str
) -> None:
    asked = {"to": CALLEE, "room": "sales", "prepare": prepare, "interconnect": interconnect}
    placed = await operator.send("POST", "/calls", asked)
    assert placed.status_code == 201, placed.text
    call = placed.json()
    assert placed.headers["location"] == f"/api/v1/calls/{call['id']}"

    phone = await simulator.called(CALLEE)
    assert call["callId"] == phone.call_id
    await phone.until("bridged")
    there = await operator.until(call["id"], "bridged")
    assert (there["room"], there["direction"]) == ("sales", "outbound")
    assert (there["from"], there["to"]) == (NUMBER, CALLEE)
    assert (there["sessionId"], there["participantId"]) == (phone.session_id, phone.participant_id)
    assert there["createdAt"] <= there["answeredAt"] <= there["bridgedAt"]
    assert phone.heard == []

    await phone.hang_up()
    ended = await operator.until(call["id"], "ended")
    assert end_reason(ended) == ("nobody", "completed")
    assert len(dialed(simulator)) == (2 if interconnect == "bridge" else 1)


async def test_by_default_nothing_is_made_for_a_phone_that_has_not_answered(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    gate = simulator.gates.hold("webhook:answer")
    await operator.place()
    await gate.reached()
    assert operations(simulator) == ["createCall"]
    gate.release()
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    assert sorted(operations(simulator)[1:]) == sorted(MAKING)
    await phone.hang_up()


async def test_prepared_at_dialing_the_place_in_the_room_is_made_while_it_rings(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, _ = await ringing(simulator, operator, prepare="dial")
    await simulator.until(lambda: set(MAKING) <= set(operations(simulator)), what="made")
    assert phone.state == "ringing"
    phone.pick_up()
    await phone.until("bridged")
    assert sorted(operations(simulator)) == sorted([*MAKING, "createCall"])
    await phone.hang_up()


async def test_prepared_at_dialing_neither_waits_for_the_other(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    gates = [simulator.gates.hold(step) for step in ("createCall", "createSession", "createParticipant")]
    placing = asyncio.gather(operator.place(prepare="dial"))
    for gate in gates:
        await gate.reached()
    for gate in gates:
        gate.release()
    await placing
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    await phone.hang_up()


async def test_a_place_that_could_not_be_made_in_advance_is_made_at_the_answer(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    simulator.faults.add("createParticipant", status=500, times=2)
    phone, call = await ringing(simulator, operator, prepare="dial")
    await simulator.until(lambda: bool(service.log("join.failed")), what="preparing has failed")
    phone.pick_up()
    await phone.until("bridged")
    assert phone.heard == []
    assert (await operator.until(call["id"], "bridged"))["sessionId"] == phone.session_id
    await phone.hang_up()


async def test_who_answers_before_the_place_is_made_waits_for_it(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    gate = simulator.gates.hold("createParticipant")
    await operator.place(prepare="dial")
    phone = await simulator.called(CALLEE)
    await simulator.until(lambda: "<Redirect" in (phone.document or ""), what="told to wait")
    gate.release()
    await phone.until("bridged")
    assert operations(simulator).count("createParticipant") == 1
    await phone.hang_up()


def least(call_id: str) -> dict[str, Any]:
    """The body of createCall for a call that nothing particular is wanted of."""
    url = f"{ORIGIN}/callbacks/voice/{call_id}"
    return {
        "to": CALLEE,
        "from": NUMBER,
        "applicationId": "04e88489-df02-4e34-a0ee-27a91849555f",
        "answerUrl": url,
        "disconnectUrl": url,
        "username": USERNAME,
        "password": PASSWORD,
        "callTimeout": 30,
        "callbackTimeout": 10,
    }


async def test_what_bandwidth_is_told(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    simulator.numbers[CALLEE] = "reject"
    call = await operator.place()
    assert dialed(simulator) == [least(call["id"])]
    assert (await operator.until(call["id"], "ended"))["tag"] is None


async def test_what_bandwidth_is_told_of_what_is_wanted(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    own: dict[str, Any] = {"from": "+15550001111", "callTimeout": 42, "tag": 'order 4711 "é"'}
    call = await operator.place(**own)
    assert (call["tag"], call["from"]) == (own["tag"], own["from"])
    assert dialed(simulator) == [least(call["id"]) | own]

    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    assert (await operator.until(call["id"], "bridged"))["tag"] == own["tag"]
    await phone.hang_up()
    assert (await operator.until(call["id"], "ended"))["tag"] == own["tag"]


async def test_a_second_address_of_ours_is_told_too(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    simulator.map_origin(SECOND)
    simulator.numbers[CALLEE] = "reject"
    overrides = {"FALLBACK_CALLBACK_URL": SECOND, "WEBHOOK_BUDGET": "5"}
    async with serving(simulator, store_url, **overrides) as service, Operator.of(service) as operator:
        call = await operator.place()
        assert dialed(simulator) == [
            least(call["id"])
            | {
                "callbackTimeout": 7,
                "answerFallbackUrl": f"{SECOND}/callbacks/voice/{call['id']}",
                "fallbackUsername": USERNAME,
                "fallbackPassword": PASSWORD,
            }
        ]
        await operator.until(call["id"], "ended")
        await nothing_left(simulator, redis)


async def test_no_number_is_in_what_we_call_things(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    call = await operator.place()
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    made = [one for one in simulator.requests if one.operation in MAKING]
    told = json.dumps([[one.path, one.body] for one in made]) + str(phone.document)
    assert call["id"] in told
    for number in (CALLEE, NUMBER):
        assert number[1:] not in told
        assert not [line for line in service.log() if number[1:] in json.dumps(line)]
    await phone.hang_up()


async def test_numbers_are_shown_to_who_may_see_them(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    simulator.numbers[CALLEE] = "busy"
    call = await operator.place()
    async with Operator.of(service, READER_KEY) as reader:
        seen = await reader.until(call["id"], "ended")
        assert (seen["to"], seen["from"]) == ("+1********21", "+1********67")
        assert (await reader.send("POST", "/calls", {"to": CALLEE, "room": "sales"})).status_code == 403
    assert len(dialed(simulator)) == 1


@WAYS_TO_PREPARE
@pytest.mark.parametrize(
    ("own", "of_the_room", "heard"),
    [("A call for you.", None, "A call for you."), ("Mine & yours.", "The room.", "Mine & yours."),
     (None, "The room.", "The room.")],
)  # fmt: skip
async def test_what_is_said_first(
    simulator: Simulator,
    service: RunningService,
    operator: Operator,
    prepare: str,
    own: str | None,
    of_the_room: str | None,
    heard: str,
) -> None:
    await operator.set_room("sales", announcement=of_the_room)
    call = await operator.place(prepare=prepare, announcement=own)
    # Its room's, if it has none of its own and is there already.
    assert call["announcement"] in ({own} if own else {None, of_the_room})
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    assert phone.heard == [heard]
    await phone.hang_up()


async def test_the_id_in_the_answer_names_the_call_at_once(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    for _ in range(5):
        placed = await operator.place()
        assert (await operator.call(placed["callId"]))["id"] == placed["id"]
    for phone in simulator.phones:
        await phone.hang_up()


# Full rooms -------------------------------------------------------------------------------------------------


async def test_nobody_is_called_for_a_full_room(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    await operator.set_room("sales", limit=1)
    await operator.place()
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")

    body, key = {"to": "+15550002222", "room": "sales"}, "again"
    refused = await operator.send("POST", "/calls", body, Idempotency_Key=key)
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:pstn-bridge:problem:room-full"
    assert len(dialed(simulator)) == 1
    calls = (await operator.ask("GET", "/calls?state=ended"))["calls"]
    assert [end_reason(one) for one in calls] == [("limit", "room-full")]

    # Once there is room, the same request is a new one.
    await phone.hang_up()
    await simulator.settled()
    simulator.numbers[body["to"]] = "busy"
    placed = await operator.send("POST", "/calls", body, Idempotency_Key=key)
    assert placed.status_code == 201
    assert placed.json()["id"] != calls[0]["id"]
    await operator.until(placed.json()["id"], "ended")


async def test_a_phone_that_rings_has_its_place(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    """Twenty are in a session at most, so that the twenty-first would be answered by an apology."""
    numbers = [f"+155500030{n:02}" for n in range(22)]
    simulator.numbers.update(dict.fromkeys(numbers, "ring"))
    body = {"room": "sales", "callTimeout": PATIENT}
    answers = await asyncio.gather(*(operator.send("POST", "/calls", body | {"to": to}) for to in numbers))
    assert sorted(answer.status_code for answer in answers) == [201] * 20 + [409] * 2
    assert len(dialed(simulator)) == 20
    for phone in simulator.phones:
        await phone.hang_up()


# Asked for more than once -----------------------------------------------------------------------------------


async def test_the_same_request_is_one_call(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    first = await operator.send(
        "POST", "/calls", {"to": CALLEE, "room": "sales", "prepare": "dial"}, Idempotency_Key="one"
    )
    other_spelling = {"prepare": "dial", "tag": None, "room": "sales", "to": CALLEE}
    again = await operator.send("POST", "/calls", other_spelling, Idempotency_Key="one")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["location"] == first.headers["location"]

    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    await phone.hang_up()
    await operator.until(first.json()["id"], "ended")
    over = await operator.send("POST", "/calls", other_spelling, Idempotency_Key="one")
    assert (over.status_code, over.json()["state"]) == (201, "ended")
    assert len(dialed(simulator)) == 1


async def test_the_same_request_many_times_at_once_is_one_call(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    gate = simulator.gates.hold("createCall")
    orders = [start_placing(operator, "one") for _ in range(5)]
    await simulator.until(lambda: sum(order.done() for order in orders) == 4, what="all but one are answered")
    gate.release()
    answers = await asyncio.gather(*orders)
    assert len({answer.json()["id"] for answer in answers}) == 1
    # Who came second could not know yet what became of it.
    assert sorted(answer.status_code for answer in answers) == [201, 202, 202, 202, 202]
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    assert len(dialed(simulator)) == 1
    await phone.hang_up()


async def test_another_request_under_the_same_key_is_refused(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    simulator.numbers[CALLEE] = "reject"
    body = {"to": CALLEE, "room": "sales"}
    await operator.send("POST", "/calls", body, Idempotency_Key="one")
    other = await operator.send("POST", "/calls", body | {"tag": "mine"}, Idempotency_Key="one")
    assert other.status_code == 422
    assert other.json()["type"] == "urn:pstn-bridge:problem:idempotency-mismatch"
    assert len(dialed(simulator)) == 1


async def test_without_a_key_every_request_is_a_call(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    simulator.numbers[CALLEE] = "busy"
    calls = [await operator.place() for _ in range(2)]
    assert calls[0]["id"] != calls[1]["id"]
    assert len(dialed(simulator)) == 2
    for call in calls:
        await operator.until(call["id"], "ended")
