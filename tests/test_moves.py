"""A phone that is moved from room to room: both of its legs stay up, and it is always in one room."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from service.calls.effects import AddParticipant
from service.clock import SystemClock
from service.engine.joining.compensated import NO_REPEAT
from service.engine.joining.session_join import SessionJoiner
from service.engine.timeouts import Timeouts
from service.store.redis.client import Client
from service.store.rooms import Rooms
from tests.harness import RunningService
from tests.operators import Json, Operator, bridged, consistent, join_outbound, operator_for
from tests.simulator.phones import Phone
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator

STEPS = ["createSession", "removeParticipantFromSession", "addParticipantToSession"]
DOUBTS = Timeouts(vanished_grace=0.8, old_session_grace=0.2)
AFTER = ["updateCall", "webhook:redirect", "deleteParticipant", "deleteSession"]

both = pytest.mark.parametrize("outbound", [False, True], ids=["inbound", "outbound"])


async def move(operator: Operator, phone: Phone, room: str) -> Json:
    return await operator.order(phone.call_id, "join", room=room)


async def timeline(operator: Operator, phone: Phone, event: str) -> list[Json]:
    return [one for one in (await operator.call(phone.call_id))["timeline"] if one["event"] == event]


def sessions(simulator: Simulator) -> int:
    return len(simulator.ledger.alive().sessions)


@both
async def test_both_legs_stay_up(
    simulator: Simulator, service: RunningService, operator: Operator, *, outbound: bool
) -> None:
    phone, call = await join_outbound(simulator, operator, outbound=outbound)
    leg, participant, session = phone.leg, phone.participant_id, phone.session_id
    ordered = await move(operator, phone, "support")
    assert (ordered["state"], ordered["room"], ordered["nextRoom"]) == ("bridged", "sales", "support")

    there = await operator.arrives(call["id"], "support")

    assert there["nextRoom"] is None
    assert phone.leg is leg
    assert phone.participant_id == participant == there["participantId"]
    assert phone.session_id == there["sessionId"] != session
    await simulator.until(lambda: sessions(simulator) == 1, what="the old session is gone")
    assert (await operator.send("GET", "/rooms/sales")).status_code == 404
    assert phone.heard == []
    operations = {one.operation for one in simulator.requests}
    assert "updateCall" not in operations
    assert "deleteParticipant" not in operations
    await phone.hang_up()
    assert (await operator.until(call["id"], "ended"))["outcome"]["reason"] == "completed"


async def test_who_has_moved_on_is_not_put_into_the_session_of_before(
    simulator: Simulator, service: RunningService, operator: Operator, store_url: str
) -> None:
    """Those in the room are put into its new session; one of them has just left for another room."""
    phone, call = await join_outbound(simulator, operator, outbound=True)
    other, _ = await join_outbound(simulator, operator, outbound=False)
    seat, session, participant = f"{call['id']}.1", phone.session_id, phone.participant_id
    assert session is not None
    assert participant is not None
    await move(operator, phone, "support")
    there = await operator.arrives(call["id"], "support")
    client = Client(store_url)
    now = SystemClock().now()
    await Rooms(client).schedule(
        "sales", AddParticipant("sales", seat, session, participant), now=now, due=now
    )
    await client.close()
    await simulator.until(
        lambda: bool(service.log("effect.done", effect="add-participant")), what="it is done"
    )
    assert phone.session_id == there["sessionId"]
    assert other.session_id == session
    await phone.hang_up()
    await other.hang_up()


async def test_who_moves_on_while_put_back_is_taken_out_of_the_session_of_before(
    simulator: Simulator,
    service: RunningService,
    operator: Operator,
    store_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both rooms get new sessions meanwhile: the other one has taken it out, and has yet to put it back."""
    phone, call = await join_outbound(simulator, operator, outbound=True)
    other, _ = await join_outbound(simulator, operator, outbound=False)
    seat, session, participant = f"{call['id']}.1", phone.session_id, phone.participant_id
    assert session is not None
    assert participant is not None
    adds = SessionJoiner.add_to_session
    moved: list[str] = []

    async def add(entrance: SessionJoiner, room: str, **of: Any) -> None:
        if room == "sales" and not moved:
            await move(operator, phone, "support")
            moved.append((await operator.arrives(call["id"], "support"))["sessionId"])
            await entrance._webrtc.remove_participant(moved[0], participant, timeout=5)  # noqa: SLF001
        await adds(entrance, room, **of)

    monkeypatch.setattr(SessionJoiner, "add_to_session", add)
    client = Client(store_url)
    now = SystemClock().now()
    await Rooms(client).schedule(
        "sales", AddParticipant("sales", seat, session, participant), now=now, due=now
    )
    await client.close()
    await simulator.until(
        lambda: bool(service.log("effect.done", effect="add-participant")), what="it is done"
    )
    assert moved
    assert phone.session_id is None
    assert other.session_id == session
    await phone.hang_up()
    await other.hang_up()


@pytest.mark.parametrize("late", [False, True], ids=["while it arrives", "as it has arrived"])
async def test_who_arrives_as_the_session_is_replaced_gets_into_the_new_one(
    simulator: Simulator,
    service: RunningService,
    operator: Operator,
    store_url: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    late: bool,
) -> None:
    """`late`: the mover has looked for the last time, and only what the room owes its members is left."""
    other, their = await join_outbound(simulator, operator, outbound=True, room="support")
    phone, call = await join_outbound(simulator, operator, outbound=False)
    seat, old = f"{their['id']}.1", other.session_id
    assert old is not None
    client = Client(store_url)
    rooms, adds, replaced = Rooms(client), SessionJoiner.add_to_session, list[str]()

    async def add(entrance: SessionJoiner, room: str, **of: Any) -> None:
        if room == "support" and of["session_id"] == old and not replaced:
            new = await entrance.creator.create_session("support", deadline=NO_REPEAT).wait(5)
            replaced.append(new)
            if late:
                await adds(entrance, room, **of)
            now = SystemClock().now()
            await rooms.replace_session("support", seat, vanished_session_id=old, new_session_id=new, now=now)
            if late:
                return
        await adds(entrance, room, **of)

    monkeypatch.setattr(SessionJoiner, "add_to_session", add)
    await move(operator, phone, "support")
    await operator.arrives(call["id"], "support")
    await simulator.until(lambda: replaced == [phone.session_id], what="it is in the new one")
    del simulator.sessions.sessions[old]  # the one that is said to have vanished
    await client.close()
    await phone.hang_up()
    await other.hang_up()


async def test_who_hears_whom_before_and_after(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    one, other, third = [
        (await join_outbound(simulator, operator, outbound=False, room=room))[0] for room in ("a", "a", "b")
    ]
    assert simulator.hears(one) == {other.participant_id}
    assert simulator.hears(third) == set()
    await move(operator, one, "b")
    await operator.arrives(one.call_id, "b")
    assert simulator.hears(one) == {third.participant_id}
    assert simulator.hears(third) == {one.participant_id}
    assert simulator.hears(other) == set()
    await consistent(simulator, operator, other)
    for phone in (one, other, third):
        await phone.hang_up()


async def test_there_and_back_and_there_again(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, _ = await join_outbound(simulator, operator, outbound=False, room="a")
    leg, participant = phone.leg, phone.participant_id
    for room in ("b", "a", "b", "c"):
        await move(operator, phone, room)
        await operator.arrives(phone.call_id, room)
        await consistent(simulator, operator, phone)
    assert phone.leg is leg
    assert phone.participant_id == participant
    await simulator.until(lambda: sessions(simulator) == 1)
    await phone.hang_up()


async def test_two_moves_at_once_are_one(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, _ = await bridged(simulator, operator)
    gate = simulator.gates.hold("createSession")
    answers = await asyncio.gather(
        *(operator.send("POST", f"/calls/{phone.call_id}/join", {"room": room}) for room in ("a", "b"))
    )
    assert sorted(one.status_code for one in answers) == [202, 409]
    assert "is being moved" in next(one.text for one in answers if one.status_code == 409)
    gate.release()
    won = "a" if answers[0].status_code == 202 else "b"
    await operator.arrives(phone.call_id, won)
    await consistent(simulator, operator, phone)
    await phone.hang_up()


async def test_remove_and_join_after_a_move(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, _ = await join_outbound(simulator, operator, outbound=True)
    await move(operator, phone, "support")
    await operator.arrives(phone.call_id, "support")
    await operator.order(phone.call_id, "hold")
    await phone.hears("Please hold")
    await simulator.until(lambda: sessions(simulator) == 0)
    await move(operator, phone, "support")
    await operator.arrives(phone.call_id, "support")
    await consistent(simulator, operator, phone)
    await phone.hang_up()


# While it is on its way -------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("first", [False, True], ids=["lost", "told"])
async def test_the_phone_hangs_up(
    simulator: Simulator, service: RunningService, operator: Operator, step: str, *, first: bool
) -> None:
    phone, call = await bridged(simulator, operator)
    gate = simulator.gates.hold(step)
    await move(operator, phone, "support")
    await gate.reached()
    await phone.hang_up()
    if first:
        await operator.until(call["id"], "ended")
    gate.release()
    await operator.until(call["id"], "ended")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("what", ["hold", "hangup", "transfer"])
async def test_something_else_is_ordered(
    simulator: Simulator, service: RunningService, operator: Operator, step: str, what: str
) -> None:
    phone, _ = await bridged(simulator, operator)
    gate = simulator.gates.hold(step)
    await move(operator, phone, "support")
    await gate.reached()
    body: dict[str, Any] = {"to": "+15550102222"} if what == "transfer" else {}
    await operator.order(phone.call_id, what, **body)
    gate.release()
    end = await consistent(simulator, operator, phone)
    assert end["state"] == {"hold": "detached", "hangup": "ended", "transfer": "detached"}[what]
    await simulator.until(lambda: not simulator.ledger.alive().participants and not sessions(simulator))
    await phone.hang_up()


# What goes wrong --------------------------------------------------------------------------------------------


async def test_a_full_room_leaves_it_where_it_is(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    await operator.set_room("small", limit=1)
    inside, _ = await join_outbound(simulator, operator, outbound=False, room="small")
    phone, call = await bridged(simulator, operator)
    before = simulator.hears(phone), phone.leg, phone.session_id
    await move(operator, phone, "small")
    await simulator.until(lambda: bool(service.log(event="move.failed", reason="room-full")))
    there = await consistent(simulator, operator, phone)
    assert there["room"] == call["room"]
    assert (simulator.hears(phone), phone.leg, phone.session_id) == before
    [failed] = await timeline(operator, phone, "moveFailed")
    assert failed["reason"] == "room-full"
    await move(operator, phone, "other")
    await operator.arrives(phone.call_id, "other")
    for one in (inside, phone):
        await one.hang_up()


@pytest.mark.parametrize(("step", "status"), list(zip(STEPS, [403, 400, 403], strict=True)))
async def test_a_step_that_is_refused_brings_it_back(
    simulator: Simulator, service: RunningService, operator: Operator, step: str, status: int
) -> None:
    phone, call = await bridged(simulator, operator)
    leg = phone.leg
    simulator.faults.add(step, status=status)
    await move(operator, phone, "support")
    await simulator.until(lambda: bool(service.log(event="move.failed")))
    there = await consistent(simulator, operator, phone)
    assert (there["room"], phone.leg) == (call["room"], leg)
    assert len(await timeline(operator, phone, "moveFailed")) == 1
    await simulator.until(lambda: sessions(simulator) == 1)
    await phone.hang_up()


async def test_the_session_of_the_other_room_has_vanished(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with operator_for(simulator, store_url, redis, DOUBTS) as (_, operator):
        await moves_into_a_vanished_session(simulator, operator)


async def moves_into_a_vanished_session(simulator: Simulator, operator: Operator) -> None:
    inside, _ = await join_outbound(simulator, operator, outbound=False, room="support")
    phone, _ = await bridged(simulator, operator)
    simulator.expire_session(str(inside.session_id))
    await move(operator, phone, "support")
    await operator.arrives(phone.call_id, "support")
    await simulator.until(lambda: simulator.hears(phone) == {inside.participant_id})
    assert simulator.hears(inside) == {phone.participant_id}
    for one in (inside, phone):
        await one.hang_up()


async def test_the_session_that_it_leaves_has_vanished(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, _ = await bridged(simulator, operator)
    simulator.expire_session(str(phone.session_id))
    await move(operator, phone, "support")
    await operator.arrives(phone.call_id, "support")
    await consistent(simulator, operator, phone)
    await phone.hang_up()


async def test_whose_participant_is_gone_is_told_and_nobody_else_is_disturbed(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    inside, _ = await join_outbound(simulator, operator, outbound=False, room="support")
    session = inside.session_id
    phone, _ = await bridged(simulator, operator)
    del simulator.sessions.participants[str(phone.participant_id)]
    await move(operator, phone, "support")
    await phone.until("ended")
    assert "lost" in phone.heard[-1]
    ended = await operator.until(phone.call_id, "ended")
    assert ended["outcome"]["reason"] == "participant-vanished"
    await simulator.until(lambda: simulator.ledger.alive().sessions == [session])
    assert inside.session_id == session
    await inside.hang_up()


async def test_a_session_that_vanishes_after_a_move_is_replaced_for_all(store_url: str, redis: Redis) -> None:
    async with (
        Simulator(SimulatorSettings(time_scale=0.25)) as simulator,
        operator_for(simulator, store_url, redis, DOUBTS) as (_, operator),
    ):
        await all_are_in_a_new_session(simulator, operator)


async def all_are_in_a_new_session(simulator: Simulator, operator: Operator) -> None:
    """Who comes when it has vanished hears rounds of waiting, half a second each, and gets in."""
    inside, _ = await join_outbound(simulator, operator, outbound=False, room="support")
    phone, _ = await bridged(simulator, operator)
    await move(operator, phone, "support")
    await operator.arrives(phone.call_id, "support")
    simulator.expire_session(str(phone.session_id))
    late, _ = await join_outbound(simulator, operator, outbound=True, room="support")
    everybody = [inside, phone, late]
    await simulator.until(lambda: len({one.session_id for one in everybody}) == 1)
    assert simulator.hears(late) == {inside.participant_id, phone.participant_id}
    assert sessions(simulator) == 1
    for one in everybody:
        await consistent(simulator, operator, one)
        await one.hang_up()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("closed", ["sales", "support"], ids=["its-own", "the-other"])
async def test_a_room_is_closed_while_it_is_on_its_way(
    simulator: Simulator, service: RunningService, operator: Operator, step: str, closed: str
) -> None:
    phone, _ = await join_outbound(simulator, operator, outbound=True)
    gate = simulator.gates.hold(step)
    await move(operator, phone, "support")
    await gate.reached()
    await operator.ask("DELETE", f"/rooms/{closed}")
    stays = closed == "support" and step == "createSession"
    await simulator.until(lambda: stays or bool(service.log(event="call.changed", event_type="evicted")))
    gate.release()
    if stays:
        # It was not there yet, and is where it was.
        await simulator.until(lambda: bool(service.log(event="move.failed", reason="room-closed")))
        there = await consistent(simulator, operator, phone)
        assert (there["state"], there["room"]) == ("bridged", "sales")
        await phone.hang_up()
    else:
        await phone.until("ended")
        assert set(phone.heard) == {"This conference has been closed. Goodbye."}
        ended = await operator.until(phone.call_id, "ended")
        assert ended["outcome"]["reason"] == "room-closed"


@pytest.mark.parametrize("closed", ["sales", "support"])
@pytest.mark.parametrize("after", [0.0, 0.002, 0.004, 0.006])
async def test_a_room_is_closed_as_it_arrives(
    simulator: Simulator, service: RunningService, operator: Operator, closed: str, after: float
) -> None:
    """It was quicker, and lives on; or it was not, and is told."""
    phone, _ = await join_outbound(simulator, operator, outbound=True)
    gate = simulator.gates.hold("addParticipantToSession")
    await move(operator, phone, "support")
    await gate.reached()
    gate.release()
    await asyncio.sleep(after)
    await operator.send("DELETE", f"/rooms/{closed}")
    end = await consistent(simulator, operator, phone)
    if end["state"] == "bridged":
        await asyncio.sleep(0.1)
        assert (await consistent(simulator, operator, phone))["room"] == "support"
        assert closed == "sales"
        await phone.hang_up()
    else:
        await phone.until("ended")
        assert set(phone.heard) == {"This conference has been closed. Goodbye."}


async def test_a_move_is_seen_in_both_rooms_until_it_is_through(
    simulator: Simulator, service: RunningService, operator: Operator
) -> None:
    phone, _ = await join_outbound(simulator, operator, outbound=True)
    gate = simulator.gates.hold("addParticipantToSession")
    await move(operator, phone, "support")
    await gate.reached()
    names = [room["room"] for room in (await operator.ask("GET", "/rooms"))["rooms"]]
    assert names == ["sales", "support"]
    gate.release()
    await consistent(simulator, operator, phone)
    await phone.hang_up()


@pytest.mark.parametrize(
    ("step", "status", "executed"),
    [
        ("createSession", 500, False),
        ("createSession", 503, True),
        ("removeParticipantFromSession", 503, True),
        ("addParticipantToSession", 429, False),
        ("addParticipantToSession", 503, True),
    ],
)
async def test_a_step_that_fails_once_is_tried_again(
    simulator: Simulator, store_url: str, redis: Redis, step: str, status: int, *, executed: bool
) -> None:
    """Also where it was carried out, and only its answer was lost."""
    async with operator_for(simulator, store_url, redis) as (_, operator):
        phone, _call = await bridged(simulator, operator)
        leg = phone.leg
        simulator.faults.add(step, status=status, executed=executed)
        await move(operator, phone, "support")
        await operator.arrives(phone.call_id, "support")
        await consistent(simulator, operator, phone)
        assert phone.leg is leg
        await phone.hang_up()
        if simulator.ledger.unreceived:
            # Made, and nobody was told its id: no design can take it down.
            [lost] = simulator.ledger.unreceived
            assert step == "createSession"
            simulator.ledger.unreceived.clear()
            simulator.expire_session(lost.id)
