"""What operators tell a call that is in a room: out of it, back in, elsewhere, to hang up."""

import pytest
from redis.asyncio import Redis

from tests.harness import RunningService
from tests.operators import Operator, bridged, join_outbound, operator_for
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

ELSEWHERE = "+15550102222"
MUSIC = "https://example.com/hold.wav"

both = pytest.mark.parametrize("outbound", [False, True], ids=["inbound", "outbound"])


def sent(simulator: Simulator, operation: str) -> int:
    return len([one for one in simulator.requests if one.operation == operation])


async def on_hold(simulator: Simulator, operator: Operator) -> Phone:
    phone, call = await bridged(simulator, operator)
    await operator.order(call["id"], "hold")
    await phone.hears("Please hold")
    await simulator.until(lambda: not simulator.ledger.alive().sessions, what="out of the room")
    return phone


# Remove -----------------------------------------------------------------------------------------------------


@both
async def test_who_is_removed_stays_on_the_line_and_leaves_nothing_in_the_room(
    simulator: Simulator, service: RunningService, operator: Operator, *, outbound: bool
) -> None:
    phone, call = await join_outbound(simulator, operator, outbound=outbound)
    answered = await operator.order(call["id"], "hold")
    assert answered["state"] == "detached"

    await phone.hears("Please hold")

    await simulator.until(lambda: not simulator.ledger.alive().sessions, what="session deleted")
    assert simulator.ledger.alive().participants == []
    assert sent(simulator, "removeParticipantFromSession") == (1 if outbound else 2)
    assert sent(simulator, "deleteParticipant") == 1
    now = await operator.call(call["id"])
    assert (now["state"], now["participantId"], now["sessionId"]) == ("detached", None, None)
    assert (await operator.send("GET", "/rooms/sales")).status_code == 404
    await phone.hang_up()
    ended = await operator.until(call["id"], "ended")
    assert ended["outcome"]["reason"] == "completed"


async def test_hold_goes_on_round_after_round(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone = await on_hold(simulator, operator)
    await simulator.until(lambda: phone.heard == ["Please hold."] * 4, what="four rounds")
    assert phone.stage == "answered"
    assert len((await operator.call(phone.call_id))["timeline"]) < 12, "a round is no event worth keeping"
    await phone.hang_up()


@pytest.mark.parametrize(
    ("variable", "value", "sound"),
    [("HOLD_MUSIC_URL", MUSIC, ("play", MUSIC)), ("HOLD_MESSAGE", "A moment.", ("speak", "A moment."))],
)
async def test_what_is_heard_on_hold(
    simulator: Simulator, store_url: str, redis: Redis, variable: str, value: str, sound: tuple[str, ...]
) -> None:
    async with operator_for(simulator, store_url, redis, **{variable: value}) as (_, operator):
        phone, call = await bridged(simulator, operator)
        await operator.order(call["id"], "hold")
        await simulator.until(lambda: phone.sounds == [sound, sound, sound], what="three rounds")
        await phone.hang_up()


async def test_the_others_stay_in_the_session_of_who_is_removed(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, ROOM_POLICY="lobby") as (_, operator):
        one, _ = await bridged(simulator, operator)
        other, _ = await bridged(simulator, operator)
        assert simulator.hears(other) == {one.participant_id}
        await operator.order(one.call_id, "hold")
        await simulator.until(lambda: not simulator.hears(other), what="alone")
        assert len(simulator.ledger.alive().sessions) == 1
        await operator.order(one.call_id, "join", room="lobby")
        await one.until("bridged")
        assert one.session_id == other.session_id
        assert simulator.hears(other) == {one.participant_id}
        for phone in (one, other):
            await phone.hang_up()


# Join -------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("room", ["sales", "support"])
async def test_from_hold_into_a_room(
    simulator: Simulator, store_url: str, redis: Redis, room: str, *, outbound: bool
) -> None:
    async with operator_for(simulator, store_url, redis, ANNOUNCEMENT="Welcome.") as (_, operator):
        phone, call = await join_outbound(simulator, operator, outbound=outbound)
        first = phone.participant_id
        await operator.order(call["id"], "hold")
        await phone.hears("Please hold")
        await operator.order(call["id"], "join", room=room)
        await phone.until("bridged")
        there = await operator.arrives(call["id"], room)
        assert phone.participant_id == there["participantId"] != first
        assert phone.session_id == there["sessionId"]
        assert phone.heard.count("Welcome.") == (0 if outbound else 1), "it is not said again"
        await phone.hang_up()


async def test_join_where_it_is_changes_nothing(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, call = await bridged(simulator, operator)
    before = await operator.call(call["id"])
    await operator.order(call["id"], "join", room=call["room"])
    assert await operator.call(call["id"]) == before
    assert sent(simulator, "updateCall") == sent(simulator, "removeParticipantFromSession") == 0
    await phone.hang_up()


async def test_from_hold_into_a_room_that_is_full(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    await operator.set_room("small", limit=1)
    first, _ = await join_outbound(simulator, operator, outbound=False, room="small")
    second = await on_hold_beside(simulator, operator)
    await operator.order(second.call_id, "join", room="small")
    await second.until("ended")
    assert "full" in second.heard[-1]
    ended = await operator.until(second.call_id, "ended")
    assert ended["outcome"]["reason"] == "room-full"
    await first.hang_up()


async def on_hold_beside(simulator: Simulator, operator: Operator) -> Phone:
    phone, call = await bridged(simulator, operator)
    await operator.order(call["id"], "hold")
    await phone.hears("Please hold")
    return phone


# Transfer ---------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("from_hold", [False, True], ids=["from-the-room", "from-hold"])
async def test_transfer_to_a_number_that_answers(
    simulator: Simulator, service: RunningService, operator: Operator, *, outbound: bool, from_hold: bool
) -> None:
    phone, call = await join_outbound(simulator, operator, outbound=outbound)
    if from_hold:
        await operator.order(call["id"], "hold")
        await phone.hears("Please hold")
    await operator.order(call["id"], "transfer", to=ELSEWHERE)
    await phone.hears("another number")
    await simulator.until(
        lambda: phone.stage == "bridged" and phone.leg is not None and phone.leg.transfer_to == ELSEWHERE
    )
    await simulator.until(lambda: not simulator.ledger.alive().sessions, what="out of the room")
    now = await operator.call(call["id"])
    assert (now["state"], now["elsewhere"]) == ("detached", ELSEWHERE)
    await phone.far_end_hangs_up()
    await phone.until("ended")
    assert "sorry" not in " ".join(phone.heard)
    ended = await operator.until(call["id"], "ended")
    assert ended["outcome"]["reason"] == "completed"


@pytest.mark.parametrize("behaviour", ["busy", "reject", "no-answer"])
async def test_transfer_to_a_number_that_does_not_answer_is_told(
    simulator: Simulator, service: RunningService, operator: Operator, behaviour: str
) -> None:
    simulator.numbers[ELSEWHERE] = behaviour  # type: ignore[assignment] # one of its words
    phone, call = await bridged(simulator, operator)
    await operator.order(call["id"], "transfer", to=ELSEWHERE)
    await phone.until("ended")
    assert "sorry" in phone.heard[-1]
    ended = await operator.until(call["id"], "ended")
    assert ended["outcome"]["reason"] == "transfer-failed"


async def test_back_into_a_room_from_another_number(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, call = await bridged(simulator, operator)
    await operator.order(call["id"], "transfer", to=ELSEWHERE)
    await simulator.until(lambda: bool(phone.leg and phone.leg.transfer_to == ELSEWHERE and phone.call.peer))
    await operator.order(call["id"], "join", room="sales")
    await operator.arrives(call["id"], "sales")
    await simulator.until(lambda: phone.session_id is not None)
    await phone.hang_up()


# Hang up ----------------------------------------------------------------------------------------------------


async def hung_up(operator: Operator, phone: Phone) -> None:
    await operator.order(phone.call_id, "hangup")
    await phone.until("ended")
    await operator.until(phone.call_id, "ended")
    assert "sorry" not in " ".join(phone.heard)


@both
async def test_hangup_of_a_call_in_its_room(
    simulator: Simulator, service: RunningService, operator: Operator, *, outbound: bool
) -> None:
    phone, _ = await join_outbound(simulator, operator, outbound=outbound)
    await hung_up(operator, phone)


async def test_hangup_on_hold(simulator: Simulator, service: RunningService, operator: Operator) -> None:
    await hung_up(operator, await on_hold(simulator, operator))


async def test_hangup_at_another_number(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, call = await bridged(simulator, operator)
    await operator.order(call["id"], "transfer", to=ELSEWHERE)
    await simulator.until(lambda: bool(phone.leg and phone.leg.transfer_to == ELSEWHERE and phone.call.peer))
    await hung_up(operator, phone)


@pytest.mark.parametrize(
    "moment",
    [
        "createSession",
        "addParticipantToSession",
        "reply:initiate",
        "webhook:transferAnswer",
        "reply:transferAnswer",
    ],
)
async def test_hangup_on_the_way_in(
    simulator: Simulator, service: RunningService, operator: Operator, moment: str
) -> None:
    gate = simulator.gates.hold(moment)
    phone = await simulator.dial()
    await gate.reached()
    await operator.order(phone.call_id, "hangup")
    gate.release()
    await phone.until("ended")
    await operator.until(phone.call_id, "ended")
    assert phone.heard == []


async def test_hangup_while_it_is_dialed(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    simulator.numbers[ELSEWHERE] = "ring"
    call = await operator.place(ELSEWHERE)
    phone = await simulator.called(ELSEWHERE)
    await operator.order(call["id"], "hangup")
    await phone.until("ended")
    ended = await operator.until(call["id"], "ended")
    assert (phone.cause, ended["outcome"]["reason"]) == ("cancel", "cancelled")


# Refused ----------------------------------------------------------------------------------------------------

ORDERS = {"hold": None, "join": {"room": "sales"}, "transfer": {"to": ELSEWHERE}}


async def refused(operator: Operator, id_: str, what: str) -> int:
    return (await operator.send("POST", f"/calls/{id_}/{what}", ORDERS.get(what))).status_code


async def test_who_is_in_no_room_cannot_be_removed(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    gate = simulator.gates.hold("createSession")
    phone = await simulator.dial()
    await gate.reached()
    assert await refused(operator, phone.call_id, "hold") == 409
    gate.release()
    await phone.until("bridged")
    await operator.until(phone.call_id, "bridged")
    await operator.order(phone.call_id, "hold")
    assert await refused(operator, phone.call_id, "hold") == 409, "it is out already"
    await phone.hears("Please hold")
    assert await refused(operator, phone.call_id, "hold") == 409
    await phone.hang_up()


@pytest.mark.parametrize("what", ["hold", "join", "transfer"])
async def test_a_call_that_has_ended_takes_no_orders(
    simulator: Simulator, service: RunningService, operator: Operator, what: str
) -> None:
    phone, call = await bridged(simulator, operator)
    await phone.hang_up()
    before = await operator.until(call["id"], "ended")
    assert await refused(operator, call["id"], what) == 409
    after = await operator.call(call["id"])
    # What was owed at its end is done meanwhile, and told.
    orders = [entry["event"] for entry in after.pop("timeline") if entry["event"].startswith("order")]
    del before["timeline"]
    assert (after, orders) == (before, [])


async def test_hangup_of_a_call_that_has_ended_is_done(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, call = await bridged(simulator, operator)
    await phone.hang_up()
    await operator.until(call["id"], "ended")
    assert (await operator.order(phone.call_id, "hangup"))["state"] == "ended"
    assert sent(simulator, "updateCall") == 0


@pytest.mark.parametrize("what", ["hold", "join", "transfer", "hangup"])
@pytest.mark.parametrize("id_", ["c-unknown", "p01-aaaaaaaaaaaaaaaa", "nonsense"])
async def test_a_call_that_there_is_not(operator: Operator, what: str, id_: str) -> None:
    assert await refused(operator, id_, what) == 404


async def test_while_it_is_being_hung_up_nothing_else_is_begun(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    gate = simulator.gates.hold("updateCall")
    phone, call = await bridged(simulator, operator)
    await operator.order(call["id"], "hangup")
    await gate.reached()
    assert [await refused(operator, call["id"], what) for what in ORDERS] == [409, 409, 409]
    gate.release()
    await phone.until("ended")
    await wait_until(lambda: service.log(event="call.ended"))
