"""Who is the first in a room waits outside until somebody comes; who is the last is seen to."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from service.calls.room_settings import AloneAction, AloneSettings, RoomSettings, WaitingSettings
from service.clock import SystemClock
from service.store.redis.client import Client
from service.store.rooms import Rooms
from tests.harness import CALLEE, RunningService
from tests.operators import Operator, bridged, consistent, operator_for
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

Staff = tuple[RunningService, Operator]
MUSIC = "https://example.com/wait.wav"
RING = {"sound": "ring"}
GOODBYE = "Everybody else has left this conference. Goodbye."


@pytest.fixture
async def staff(simulator: Simulator, store_url: str, redis: Redis) -> AsyncIterator[Staff]:
    """All calls are for one room, in which the first waits."""
    async with operator_for(simulator, store_url, redis, ROOM_POLICY="lobby") as (service, operator):
        await operator.set_room("lobby", waiting=RING)
        yield service, operator
        for phone in simulator.phones:
            await phone.hang_up()
        # Who waits has nothing at Bandwidth that could be waited for to go.
        await wait_until(lambda: len(service.log(event="call.ended")) == len(simulator.phones))
        await nobody_waits(operator)
        await operator.reset_rooms()


async def outside(simulator: Simulator, operator: Operator) -> Phone:
    phone = await simulator.dial()
    await simulator.until(lambda: phone.sounds != [], what="it hears something")
    assert (await operator.call(phone.call_id))["state"] == "initiated"
    return phone


async def nobody_waits(operator: Operator) -> None:
    async def gone() -> bool:
        return not (await operator.room("lobby"))["waiting"]

    await wait_until(gone, what="somebody waits")


async def briefly(store_url: str, settings: RoomSettings) -> None:
    """Shorter times than the API takes; somebody has set the room by it, and resets it."""
    client = Client(store_url)
    await Rooms(client).configure("lobby", settings, now=SystemClock().now())
    await client.close()


async def outcome(operator: Operator, phone: Phone) -> str:
    reason: str = (await operator.until(phone.call_id, "ended"))["outcome"]["reason"]
    return reason


# Outside ----------------------------------------------------------------------------------------------------


async def test_round_after_round_does_not_fill_the_timeline(simulator: Simulator, staff: Staff) -> None:
    _, operator = staff
    phone = await outside(simulator, operator)
    await simulator.until(lambda: len(phone.sounds) > 4, what="a few rounds of ringing")
    timeline = (await operator.call(phone.call_id))["timeline"]
    # What is left of a round is that its place was given up: one entry in ten seconds of real time.
    told = [entry["event"] for entry in timeline if entry["event"] != "effectDone"]
    assert told == ["initiate", "foundEmpty"]


@pytest.mark.parametrize(
    ("waiting", "sound"),
    [
        (RING, ("ring",)),
        ({"sound": "music", "music": MUSIC}, ("play", MUSIC)),
        ({"sound": "message", "message": "Just you so far."}, ("speak", "Just you so far.")),
    ],
    ids=["ring", "music", "message"],
)
async def test_the_first_waits_outside(
    simulator: Simulator, staff: Staff, waiting: dict[str, Any], sound: tuple[str, ...]
) -> None:
    _, operator = staff
    await operator.set_room("lobby", waiting=waiting)
    first = await outside(simulator, operator)
    await simulator.until(lambda: first.sounds == [sound, sound, sound], what="round after round")
    alive = simulator.ledger.alive()
    assert (alive.sessions, alive.participants) == ([], [])
    room = await operator.room("lobby")
    assert (room["members"], room["sessionId"]) == ([], None)
    assert room["waiting"] == [(await operator.call(first.call_id))["id"]]

    second, _ = await bridged(simulator, operator)

    await first.until("bridged", timeout=2)
    assert first.session_id == second.session_id
    assert simulator.hears(first) == {second.participant_id}
    assert second.sounds == []
    assert (await operator.room("lobby"))["waiting"] == []


async def test_a_called_number_brings_the_waiter_in(simulator: Simulator, staff: Staff) -> None:
    _, operator = staff
    simulator.numbers["+15550102222"] = "ring"
    first = await outside(simulator, operator)
    await operator.place("+15550102222", room="lobby")
    called = await simulator.called("+15550102222")
    assert first.stage == "answered", "nobody is there before it answers"
    called.pick_up()
    await first.until("bridged")
    await called.until("bridged")
    assert simulator.hears(first) == {called.participant_id}


async def test_an_operator_brings_the_waiter_in(simulator: Simulator, staff: Staff) -> None:
    _, operator = staff
    first = await outside(simulator, operator)
    await operator.order(first.call_id, "join", room="lobby")
    await operator.arrives(first.call_id, "lobby")
    await consistent(simulator, operator, first)


async def test_an_operator_sends_the_waiter_to_another_room(simulator: Simulator, staff: Staff) -> None:
    _, operator = staff
    first = await outside(simulator, operator)
    await operator.order(first.call_id, "join", room="sales")
    await operator.arrives(first.call_id, "sales")
    assert (await operator.room("lobby"))["waiting"] == []


async def test_somebody_who_is_moved_there_brings_the_waiter_in(simulator: Simulator, staff: Staff) -> None:
    _, operator = staff
    first = await outside(simulator, operator)
    await operator.place(room="sales")
    other = await simulator.called(CALLEE)
    await other.until("bridged")
    await operator.until(other.call_id, "bridged")
    await operator.order(other.call_id, "join", room="lobby")
    await first.until("bridged")
    await operator.arrives(other.call_id, "lobby")
    await simulator.until(lambda: simulator.hears(first) == {other.participant_id})


@pytest.mark.parametrize("what", ["hangup", "transfer"])
async def test_other_orders_to_the_waiter(simulator: Simulator, staff: Staff, what: str) -> None:
    _, operator = staff
    first = await outside(simulator, operator)
    refused = await operator.send("POST", f"/calls/{first.call_id}/hold")
    assert refused.status_code == 409
    await operator.order(first.call_id, what, **({"to": "+15550102222"} if what == "transfer" else {}))
    if what == "hangup":
        await first.until("ended")
    else:
        await simulator.until(lambda: first.stage == "bridged")
        assert (await operator.call(first.call_id))["elsewhere"] == "+15550102222"
    assert (await operator.room("lobby"))["waiting"] == []


async def test_nobody_comes(simulator: Simulator, staff: Staff, store_url: str) -> None:
    _, operator = staff
    await briefly(store_url, RoomSettings(waiting=WaitingSettings(limit=0.3)))
    first = await simulator.dial()
    await first.until("ended")
    assert "nobody has joined" in first.heard[-1]
    assert await outcome(operator, first) == "nobody-came"


async def test_a_room_is_closed_while_somebody_waits_for_it(simulator: Simulator, staff: Staff) -> None:
    _, operator = staff
    first = await outside(simulator, operator)
    assert (await operator.send("DELETE", "/rooms/lobby")).status_code == 202
    await first.until("ended")
    assert first.heard == ["This conference has been closed. Goodbye."]
    assert await outcome(operator, first) == "room-closed"


@pytest.mark.parametrize("step", ["webhook:initiate", "reply:initiate", "webhook:redirect", "reply:redirect"])
async def test_the_waiter_hangs_up(simulator: Simulator, staff: Staff, step: str) -> None:
    service, operator = staff
    gate = simulator.gates.hold(step)
    first = await simulator.dial()
    await gate.reached()
    await first.hang_up()
    await wait_until(lambda: service.log(event="call.ended"))
    gate.release()
    await nobody_waits(operator)
    second = await outside(simulator, operator)
    assert (await operator.room("lobby"))["waiting"] == [(await operator.call(second.call_id))["id"]]


@pytest.mark.parametrize(
    "step",
    [
        "updateCall",
        "webhook:redirect",
        "createParticipant",
        "addParticipantToSession",
        "reply:redirect",
        "webhook:transferAnswer",
    ],
)
async def test_the_waiter_hangs_up_when_somebody_comes(simulator: Simulator, staff: Staff, step: str) -> None:
    _, operator = staff
    first = await outside(simulator, operator)
    # The second is through before the gate is shut, the first is what comes to it then.
    hold = simulator.gates.hold("updateCall")
    second, _ = await bridged(simulator, operator)
    await hold.reached()
    gate = hold if step == "updateCall" else simulator.gates.hold(step)
    if gate is not hold:
        hold.release()
        await gate.reached()
    await first.hang_up()
    await operator.until(first.call_id, "ended")
    gate.release()
    await simulator.until(lambda: simulator.hears(second) == set())
    await consistent(simulator, operator, second)


async def test_who_came_leaves_before_the_waiter_is_in(simulator: Simulator, staff: Staff) -> None:
    _, operator = staff
    first = await outside(simulator, operator)
    # Its own next round would let it in as well as the summons does.
    rounds = simulator.gates.hold("webhook:redirect")
    await rounds.reached()
    summons = simulator.gates.hold("updateCall")
    second, _ = await bridged(simulator, operator)
    await summons.reached()
    await second.hang_up()
    await simulator.until(lambda: simulator.ledger.alive().sessions == [])
    summons.release()
    rounds.release()
    await simulator.until(lambda: first.sounds.count(("ring",)) > 2, what="it waits again")
    third, _ = await bridged(simulator, operator)
    await first.until("bridged")
    assert simulator.hears(first) == {third.participant_id}


@pytest.mark.parametrize("step", ["createParticipant", "reply:redirect"])
async def test_who_came_leaves_while_the_waiter_comes_in(
    simulator: Simulator, staff: Staff, store_url: str, step: str
) -> None:
    _, operator = staff
    await briefly(store_url, RoomSettings(waiting=WaitingSettings(), alone=AloneSettings(after=0.3)))
    first = await outside(simulator, operator)
    summons = simulator.gates.hold("updateCall")
    second, _ = await bridged(simulator, operator)
    await summons.reached()
    gate = simulator.gates.hold(step)
    summons.release()
    await gate.reached()
    company = second.participant_id
    await second.hang_up()
    await simulator.until(lambda: company not in simulator.ledger.alive().participants)
    gate.release()
    await first.until("ended")
    assert await outcome(operator, first) == "left-alone"


@pytest.mark.parametrize("held", ["", "reply:initiate", "webhook:initiate"])
async def test_two_at_the_same_instant(simulator: Simulator, staff: Staff, held: str) -> None:
    gate = simulator.gates.hold(held or "nothing")
    phones = await asyncio.gather(*(simulator.dial() for _ in range(2)))
    if held:
        await gate.reached(count=2)
        gate.release()
    one, other = phones
    for phone in phones:
        await phone.until("bridged")
    await simulator.until(lambda: simulator.hears(one) == {other.participant_id})
    assert simulator.hears(other) == {one.participant_id}


@pytest.mark.parametrize("status", [500, 429, 409])
async def test_the_summons_is_tried_again(simulator: Simulator, staff: Staff, status: int) -> None:
    _, operator = staff
    first = await outside(simulator, operator)
    fault = simulator.faults.add("updateCall", status=status, retry_after="0")
    await bridged(simulator, operator)
    await first.until("bridged", timeout=2)
    assert fault.hit_count <= 1


async def test_who_is_summoned_by_a_request_that_is_lost_comes_with_the_next_round(
    simulator: Simulator, staff: Staff
) -> None:
    _, operator = staff
    first = await outside(simulator, operator)
    fault = simulator.faults.add("updateCall", hang=True)
    await bridged(simulator, operator)
    await first.until("bridged", timeout=2)
    fault.release()
    await consistent(simulator, operator, first)


# Left alone -------------------------------------------------------------------------------------------------


async def together(simulator: Simulator, operator: Operator) -> tuple[Phone, Phone]:
    one = await outside(simulator, operator)
    other, _ = await bridged(simulator, operator)
    await one.until("bridged")
    await operator.until(one.call_id, "bridged")
    return one, other


@pytest.fixture
async def lonely(staff: Staff, store_url: str) -> Staff:
    await briefly(store_url, RoomSettings(waiting=WaitingSettings(), alone=AloneSettings(after=0.4)))
    return staff


async def test_the_last_is_told_and_hung_up(simulator: Simulator, lonely: Staff) -> None:
    _, operator = lonely
    one, other = await together(simulator, operator)
    await other.hang_up()
    await asyncio.sleep(0.2)
    assert one.stage == "bridged", "not at once"
    await one.until("ended")
    assert one.heard == [GOODBYE]
    assert await outcome(operator, one) == "left-alone"


async def test_the_last_waits_outside_again(simulator: Simulator, lonely: Staff, store_url: str) -> None:
    _, operator = lonely
    await briefly(
        store_url,
        RoomSettings(waiting=WaitingSettings(), alone=AloneSettings(after=0.1, then=AloneAction.WAIT)),
    )
    one, other = await together(simulator, operator)
    rings = len(one.sounds)
    await other.hang_up()
    await simulator.until(lambda: len(one.sounds) > rings, what="it hears something again")
    await simulator.until(lambda: simulator.ledger.alive().sessions == [])
    assert (await operator.call(one.call_id))["state"] == "detached"
    again, _ = await bridged(simulator, operator)
    await one.until("bridged")
    assert simulator.hears(one) == {again.participant_id}
    assert one.heard == []


async def test_somebody_comes_in_time(simulator: Simulator, lonely: Staff) -> None:
    _, operator = lonely
    one, other = await together(simulator, operator)
    await other.hang_up()
    await operator.until(other.call_id, "ended")
    again, _ = await bridged(simulator, operator)
    await asyncio.sleep(0.6)
    assert one.stage == again.stage == "bridged"
    assert one.heard == []


@pytest.mark.parametrize("what", ["remove", "move"])
async def test_who_is_taken_out_leaves_the_other_alone(
    simulator: Simulator, lonely: Staff, what: str
) -> None:
    _, operator = lonely
    one, other = await together(simulator, operator)
    if what == "remove":
        await operator.order(other.call_id, "hold")
    else:
        await operator.order(other.call_id, "join", room="sales")
    await one.until("ended")
    assert one.heard == [GOODBYE]
    assert other.stage != "ended"


@pytest.mark.parametrize("step", ["updateCall", "reply:redirect"])
async def test_the_last_hangs_up_as_it_is_told(simulator: Simulator, lonely: Staff, step: str) -> None:
    _, operator = lonely
    one, other = await together(simulator, operator)
    await other.hang_up()
    await simulator.until(lambda: len(simulator.ledger.alive().participants) == 1)
    gate = simulator.gates.hold(step)
    await gate.reached()
    await one.hang_up()
    gate.release()
    assert await outcome(operator, one) == "left-alone"


async def test_the_last_is_moved_in_time(simulator: Simulator, lonely: Staff) -> None:
    _, operator = lonely
    one, other = await together(simulator, operator)
    await other.hang_up()
    await operator.until(other.call_id, "ended")
    await operator.order(one.call_id, "join", room="sales")
    await operator.arrives(one.call_id, "sales")
    await asyncio.sleep(0.6)
    await consistent(simulator, operator, one)
    assert one.heard == []
