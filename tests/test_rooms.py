"""Rooms: what is seen of them, what they are set to do, their end, and the end of their sessions' lives."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from service.engine.timeouts import DEFAULT_TIMEOUTS, Timeouts
from tests.harness import CALLEE, RunningService
from tests.operators import Operator, bridged, consistent, join_outbound, operator_for
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

CLOSED = "This conference has been closed. Goodbye."
OTHER = "+15550102222"


async def outcome(operator: Operator, phone: Phone) -> str:
    reason: str = (await operator.until(phone.call_id, "ended"))["outcome"]["reason"]
    return reason


async def _members(operator: Operator, room: str, number: int) -> bool:
    return len((await operator.room(room))["members"]) == number


async def close(operator: Operator, room: str) -> None:
    assert (await operator.send("DELETE", f"/rooms/{room}")).status_code == 202


# Full, or closed, for somebody who comes back ---------------------------------------------------------------


@pytest.mark.parametrize("way", ["transfer", "bridge"])
async def test_who_was_on_hold_gets_back_into_a_room_that_their_old_seat_still_fills(
    simulator: Simulator, store_url: str, redis: Redis, way: str
) -> None:
    settings = {"ROOM_POLICY": "lobby", "INTERCONNECT": way}
    async with operator_for(simulator, store_url, redis, DEFAULT_TIMEOUTS, **settings) as (service, operator):
        await operator.set_room("lobby", limit=2)
        phones = [(await bridged(simulator, operator))[0] for _ in range(2)]
        gate = simulator.gates.hold("removeParticipantFromSession")
        await operator.order(phones[0].call_id, "hold")
        await gate.reached()
        await operator.ask("POST", f"/calls/{phones[0].call_id}/join", {"room": "lobby"})
        await wait_until(lambda: service.log(event="join.put_off", reason="room-full"))
        gate.release()
        await operator.until(phones[0].call_id, "bridged")
        assert "full" not in str(phones[0].heard)
        for phone in phones:
            await phone.hang_up()


async def test_whose_leg_breaks_in_a_full_room_gets_back(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    settings = {"ROOM_POLICY": "lobby", "INTERCONNECT": "bridge"}
    async with operator_for(simulator, store_url, redis, DEFAULT_TIMEOUTS, **settings) as (_, operator):
        await operator.set_room("lobby", limit=2)
        phones = [(await bridged(simulator, operator))[0] for _ in range(2)]
        [leg, _] = simulator.legs_into_webrtc()
        await leg.hang_up("error")
        await wait_until(lambda: len(simulator.legs_into_webrtc()) == 2 and leg.state == "ended", seconds=8)
        for phone in phones:
            await operator.until(phone.call_id, "bridged")
            assert phone.heard == []
            await phone.hang_up()


@pytest.mark.parametrize(
    "moment", ["webhook:transferComplete", "reply:transferComplete", "webhook:redirect", "createParticipant"]
)
async def test_a_room_is_closed_for_those_too_whose_way_in_has_just_broken(
    simulator: Simulator, store_url: str, redis: Redis, moment: str
) -> None:
    async with operator_for(simulator, store_url, redis, DEFAULT_TIMEOUTS, ROOM_POLICY="lobby") as (
        _,
        operator,
    ):
        phones = [(await bridged(simulator, operator))[0] for _ in range(2)]
        gate = simulator.gates.hold(moment)
        await phones[0].far_end_hangs_up("error")
        await gate.reached()
        await close(operator, "lobby")
        gate.release()
        for phone in phones:
            await phone.until("ended")
            assert phone.heard[-1:] == [CLOSED]
            assert await outcome(operator, phone) == "room-closed"
        assert await operator.ask("GET", "/rooms") == {"rooms": [], "next": None}


# What there is to see ---------------------------------------------------------------------------------------


async def test_a_room_as_it_is(simulator: Simulator, service: RunningService, operator: Operator) -> None:
    assert await operator.ask("GET", "/rooms") == {"rooms": [], "next": None}
    one, _ = await join_outbound(simulator, operator, outbound=True)
    other, _ = await join_outbound(simulator, operator, outbound=False)
    room = await operator.room("sales")
    assert "sales" in {one["room"] for one in (await operator.ask("GET", "/rooms"))["rooms"]}
    assert room["sessionId"] == one.session_id
    assert 0 <= room["sessionAge"] < 10
    calls = [await operator.call(phone.call_id) for phone in (one, other)]
    members = {(member["call"], member["participantId"], member["state"]) for member in room["members"]}
    assert members == {(call["id"], call["participantId"], "in") for call in calls}
    await asyncio.sleep(0.01)
    later = await operator.room("sales")
    assert later["epoch"] == room["epoch"]
    assert later["sessionAge"] > room["sessionAge"]
    for phone in (one, other):
        await phone.hang_up()
    await simulator.settled()


async def test_a_room_that_there_is_not(operator: Operator) -> None:
    assert (await operator.send("GET", "/rooms/nowhere")).status_code == 404
    assert (await operator.send("DELETE", "/rooms/nowhere")).status_code == 404


async def test_a_room_that_is_only_set(operator: Operator) -> None:
    await operator.set_room("lobby", limit=3)
    room = await operator.room("lobby")
    assert (room["members"], room["sessionId"], room["settings"]["limit"]) == ([], None, 3)
    assert (await operator.send("DELETE", "/rooms/lobby")).status_code == 404, "nobody is in it"
    await operator.set_room("lobby")
    assert (await operator.send("GET", "/rooms/lobby")).status_code == 404


# Settings ---------------------------------------------------------------------------------------------------


async def test_the_announcement_of_the_room_is_said(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, ROOM_POLICY="sales", ANNOUNCEMENT="Anywhere.") as (
        _,
        operator,
    ):
        await operator.set_room("sales", announcement="This is sales.")
        inbound, _ = await bridged(simulator, operator)
        await operator.place()
        outbound = await simulator.called(CALLEE)
        await operator.place(OTHER, announcement="Somebody wants you.")
        addressed = await simulator.called(OTHER)
        for phone in (outbound, addressed):
            await phone.until("bridged")
        assert inbound.heard == outbound.heard == ["This is sales."]
        assert addressed.heard == ["Somebody wants you."], "who placed the call has the first word"
        await operator.set_room("sales")
        late, _ = await bridged(simulator, operator)
        assert late.heard == ["Anywhere."]
        for phone in (inbound, outbound, addressed, late):
            await phone.hang_up()


async def test_no_more_than_the_limit(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, ROOM_POLICY="lobby") as (_, operator):
        await operator.set_room("lobby", limit=2)
        inside = [(await bridged(simulator, operator))[0] for _ in range(2)]
        late = await simulator.dial()
        await late.until("ended")
        assert "full" in late.heard[0]
        assert await outcome(operator, late) == "room-full"
        answer = await operator.send("POST", "/calls", {"to": CALLEE, "room": "lobby"})
        assert (answer.status_code, answer.json()["type"][-9:]) == (409, "room-full")
        await inside.pop().hang_up()
        # The seat is free when the participant has gone, and a moment after that.
        await wait_until(lambda: _members(operator, "lobby", 1), seconds=5, what="a seat is free")
        inside.append((await bridged(simulator, operator))[0])
        for phone in inside:
            await phone.hang_up()


async def test_the_way_in_is_the_rooms(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    await operator.set_room("sales", interconnect="bridge")
    await operator.place()
    phone = await simulator.called(CALLEE)
    await phone.until("bridged")
    assert len(simulator.legs_into_webrtc()) == 1
    await phone.hang_up()
    await simulator.settled()


# Closing ----------------------------------------------------------------------------------------------------


async def test_everybody_in_it_is_told_and_hung_up(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    inside = [(await join_outbound(simulator, operator, outbound=outbound))[0] for outbound in (False, True)]
    aside, _ = await join_outbound(simulator, operator, outbound=False)
    await operator.order(aside.call_id, "hold")
    await aside.hears("Please hold")
    elsewhere, _ = await bridged(simulator, operator)

    await close(operator, "sales")

    for phone in inside:
        await phone.until("ended")
        assert phone.heard == [CLOSED]
        assert await outcome(operator, phone) == "room-closed"
    await simulator.until(lambda: simulator.ledger.alive().participants == [elsewhere.participant_id])
    assert (await operator.send("DELETE", "/rooms/sales")).status_code == 404, "it is closed already"
    await operator.order(aside.call_id, "join", room="sales")
    await operator.arrives(aside.call_id, "sales")
    for phone in (aside, elsewhere):
        assert CLOSED not in phone.heard
        await phone.hang_up()


@pytest.mark.parametrize(
    "step",
    [
        "createSession",
        "createParticipant",
        "addParticipantToSession",
        "reply:initiate",
        "reply:transferAnswer",
    ],
)
async def test_who_is_joining(simulator: Simulator, store_url: str, redis: Redis, step: str) -> None:
    async with operator_for(simulator, store_url, redis, ROOM_POLICY="lobby") as (_, operator):
        gate = simulator.gates.hold(step)
        phone = await simulator.dial()
        await gate.reached()
        await close(operator, "lobby")
        gate.release()
        await phone.until("ended")
        assert phone.heard[-1:] in ([CLOSED], []), "cut off before it could be said"
        assert await outcome(operator, phone) == "room-closed"


@pytest.mark.parametrize("prepare", ["answer", "dial"])
async def test_who_is_being_called(
    simulator: Simulator, service: RunningService, operator: Operator, prepare: str
) -> None:
    simulator.numbers[OTHER] = "ring"
    await operator.place(OTHER, prepare=prepare, callTimeout=300)
    phone = await simulator.called(OTHER)
    if prepare == "dial":
        await simulator.until(lambda: bool(simulator.ledger.alive().participants))
    await close(operator, "sales")
    await phone.until("ended")
    assert (phone.cause, await outcome(operator, phone)) == ("cancel", "room-closed")


@pytest.mark.parametrize("step", ["createSession", "createParticipant", "addParticipantToSession"])
async def test_who_is_being_called_while_its_place_is_prepared(
    simulator: Simulator, service: RunningService, operator: Operator, step: str
) -> None:
    simulator.numbers[OTHER] = "ring"
    gate = simulator.gates.hold(step)
    await operator.place(OTHER, prepare="dial", callTimeout=300)
    phone = await simulator.called(OTHER)
    await gate.reached()
    await close(operator, "sales")
    gate.release()
    await phone.until("ended")
    assert (phone.cause, await outcome(operator, phone)) == ("cancel", "room-closed")


@pytest.mark.parametrize("step", ["updateCall", "webhook:redirect", "reply:redirect", "deleteParticipant"])
async def test_who_hangs_up_while_it_is_closed(
    simulator: Simulator, service: RunningService, operator: Operator, step: str
) -> None:
    phone, _ = await join_outbound(simulator, operator, outbound=True)
    gate = simulator.gates.hold(step)
    await close(operator, "sales")
    await gate.reached()
    await phone.hang_up()
    gate.release()
    assert await outcome(operator, phone) == "room-closed"


async def test_bandwidth_fails_while_it_is_closed(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phones = [(await join_outbound(simulator, operator, outbound=outbound))[0] for outbound in (False, True)]
    steps = ["updateCall", "removeParticipantFromSession", "deleteParticipant", "deleteSession"]
    faults = [simulator.faults.add(step, status=500, retry_after="0") for step in steps]
    await close(operator, "sales")
    for phone in phones:
        await phone.until("ended")
    await simulator.settled()
    assert [fault.hit_count for fault in faults] == [1, 1, 1, 1]


async def test_who_comes_right_after_finds_a_new_one(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, ROOM_POLICY="lobby") as (_, operator):
        gate = simulator.gates.hold("removeParticipantFromSession")
        old, _ = await bridged(simulator, operator)
        before, session = await operator.room("lobby"), old.session_id
        await close(operator, "lobby")
        await gate.reached()
        new, _ = await bridged(simulator, operator)
        after = await operator.room("lobby")
        assert after["epoch"] > before["epoch"]
        assert after["sessionId"] == new.session_id != session
        assert len(after["members"]) == 1
        gate.release()
        await old.until("ended")
        await simulator.until(lambda: simulator.ledger.alive().sessions == [new.session_id])
        assert new.heard == []
        await new.hang_up()


# The age of a session ---------------------------------------------------------------------------------------


SHORT = Timeouts(session_max_age=0.6, old_session_grace=0.2)
LONGER = Timeouts(session_max_age=2.2, old_session_grace=0.2)


@pytest.mark.parametrize("fault", [None, "addParticipantToSession"])
async def test_a_session_is_replaced_before_its_age_ends_it(
    simulator: Simulator, store_url: str, redis: Redis, fault: str | None
) -> None:
    # Room for another try before it is replaced once more.
    age = LONGER if fault else SHORT
    async with operator_for(simulator, store_url, redis, age, ROOM_POLICY="lobby") as (_, operator):
        phones = [(await bridged(simulator, operator))[0] for _ in range(3)]
        legs = [phone.leg for phone in phones]
        participants = [phone.participant_id for phone in phones]
        listener, heard = phones[0], str(participants[1])
        await subscribe(operator, listener, [heard])
        old = str(listener.session_id)
        if fault:
            simulator.faults.add(fault, status=500)
        before = await operator.room("lobby")
        await simulator.until(lambda: old not in {phone.session_id for phone in phones}, what="moved")
        await simulator.until(lambda: simulator.hears(listener) == {heard}, what="subscribed again")
        for phone in phones:
            await consistent(simulator, operator, phone)
        after = await operator.room("lobby")
        assert after["epoch"] == before["epoch"]
        assert after["sessionId"] != old
        assert [phone.leg for phone in phones] == legs
        assert [phone.participant_id for phone in phones] == participants
        await simulator.until(lambda: simulator.hears(phones[2]) == set(participants[:2]))
        await simulator.until(lambda: old not in simulator.ledger.alive().sessions, what="old one deleted")
        for phone in phones:
            assert phone.heard == []
            await phone.hang_up()


async def test_a_session_of_twenty_is_replaced_and_everybody_hears_everybody(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    age = Timeouts(session_max_age=8, old_session_grace=0.5)
    async with operator_for(simulator, store_url, redis, age, ROOM_POLICY="lobby") as (_, operator):
        phones = [(await bridged(simulator, operator))[0] for _ in range(20)]
        [old] = {phone.session_id for phone in phones}
        every = {str(phone.participant_id) for phone in phones}

        def all_hear_all() -> bool:
            moved = not {phone.session_id for phone in phones} & {old, None}
            return moved and all(simulator.hears(one) == every - {one.participant_id} for one in phones)

        await simulator.until(all_hear_all, timeout=20)
        [new] = {phone.session_id for phone in phones}
        assert not [phone.heard for phone in phones if phone.heard]
        await simulator.until(lambda: simulator.ledger.alive().sessions == [new], what="old one deleted")
        for phone in phones:
            await phone.hang_up()


async def subscribe(operator: Operator, phone: Phone, hears: Any) -> None:
    await operator.ask("PUT", f"/calls/{phone.call_id}/subscriptions", {"hears": hears})
    await operator.call(phone.call_id)


async def test_who_hangs_up_while_the_session_is_replaced(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, SHORT, ROOM_POLICY="lobby") as (_, operator):
        phones = [(await bridged(simulator, operator))[0] for _ in range(2)]
        gate = simulator.gates.hold("addParticipantToSession")
        await gate.reached(count=2)
        for phone in phones:
            await phone.hang_up()
            await operator.until(phone.call_id, "ended")
        gate.release()


async def test_a_room_that_ends_while_its_session_is_replaced(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, SHORT, ROOM_POLICY="lobby") as (_, operator):
        phone, _ = await bridged(simulator, operator)
        gate = simulator.gates.hold("createSession")
        await gate.reached()
        await phone.hang_up()
        await simulator.settled()
        gate.release()
        await simulator.until(lambda: len(simulator.ledger.alive().sessions) == 1)
