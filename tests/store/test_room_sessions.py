"""A room outlives its sessions: each is replaced before Bandwidth ends it for its age."""

from redis.asyncio import Redis

from service.calls.effects import (
    AddParticipant,
    CheckRoom,
    DeleteParticipant,
    DeleteSession,
    FreeSeat,
    RemoveParticipant,
    ReplaceSession,
)
from service.store import keys
from service.store.outbox import Outbox
from service.store.room_results import TakenSeat
from service.store.rooms import CHECK_INTERVAL, ROLL_OVER_AFTER, Rooms
from tests.store.seats import NOW, ROOM, execute_owed, left_over, owed, owes, reserve, seated

LATER = NOW + ROLL_OVER_AFTER
MINUTE = 60


async def test_a_session_that_is_published_is_to_be_replaced(rooms: Rooms, redis: Redis) -> None:
    await reserve(rooms, "a.1")
    assert await owes(redis) == {}
    await rooms.take_seat(ROOM, "a.1", participant_id="p", new_session_id="S", now=NOW)
    assert await owes(redis) == {
        "replace-session:S": (ROLL_OVER_AFTER, ReplaceSession(ROOM, "S")),
        "check-room:S": (CHECK_INTERVAL, CheckRoom(ROOM, "S")),
    }
    await seated(rooms, "b.1")
    assert len(await owes(redis)) == 2


async def test_so_is_the_one_in_the_place_of_one_that_vanished(rooms: Rooms, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.replace_session(ROOM, "a.1", vanished_session_id="S", new_session_id="T", now=NOW + 9)
    assert await owes(redis) == {
        "replace-session:T": (ROLL_OVER_AFTER + 9, ReplaceSession(ROOM, "T")),
        "check-room:T": (CHECK_INTERVAL + 9, CheckRoom(ROOM, "T")),
    }
    view = await rooms.read(ROOM)
    assert view
    assert (view.session_id, view.opened) == ("T", NOW + 9)


async def test_the_end_of_the_room_calls_it_off(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.vacate(ROOM, "a.1", now=NOW)
    assert "replace-session:S" in await owes(redis), "who is leaving may still be in the session"
    await execute_owed(rooms, outbox)
    assert await left_over(redis) == []


async def test_everybody_moves_over(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await seated(rooms, "b.1")
    await seated(rooms, "l.1")
    await rooms.vacate(ROOM, "l.1", now=NOW)
    await owed(outbox)
    await reserve(rooms, "r.1")
    assert await rooms.roll_over(ROOM, old_session_id="S", new_session_id="T", now=LATER)

    assert (await owes(redis))["delete-session:S"] == (ROLL_OVER_AFTER + MINUTE, DeleteSession("S"))
    assert (await owes(redis))["replace-session:T"] == (2 * ROLL_OVER_AFTER, ReplaceSession(ROOM, "T"))
    assert not {"replace-session:S", "check-room:S"} & set(await owes(redis))
    work = await owed(outbox, now=LATER)
    for seat in ("a.1", "b.1"):
        assert [effect for effect in work if getattr(effect, "seat", "") == seat] == [
            RemoveParticipant(seat, "S", f"part-{seat}"),
            AddParticipant(ROOM, seat, "T", f"part-{seat}"),
        ]
    assert len(work) == 4
    view = await rooms.read(ROOM)
    assert view
    assert (view.session_id, view.opened, view.epoch) == ("T", LATER, NOW * 1000)
    assert await rooms.take_seat(ROOM, "r.1", participant_id="p", new_session_id="", now=LATER) == TakenSeat(
        "T"
    )


async def test_rolling_over_keeps_the_room(rooms: Rooms, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await redis.pexpire(keys.room(ROOM), 1000)
    await rooms.roll_over(ROOM, old_session_id="S", new_session_id="T", now=LATER)
    assert await redis.pttl(keys.room(ROOM)) > 11 * 3_600_000


async def test_a_session_is_replaced_by_one(rooms: Rooms, outbox: Outbox) -> None:
    await seated(rooms, "a.1", session="S")
    assert await rooms.roll_over(ROOM, old_session_id="S", new_session_id="T", now=LATER)
    await owed(outbox, now=LATER)
    assert not await rooms.roll_over(ROOM, old_session_id="S", new_session_id="U", now=LATER)
    assert await owed(outbox, now=LATER) == [DeleteSession("U")]
    assert await rooms.roll_over(ROOM, old_session_id="S", new_session_id="T", now=LATER), "sent again"
    assert await owed(outbox, now=LATER) == []


async def test_a_room_that_has_ended_needs_no_session(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    assert not await rooms.roll_over(ROOM, old_session_id="S", new_session_id="T", now=LATER)
    assert await owed(outbox, now=LATER) == [DeleteSession("T")]
    assert await left_over(redis) == []


async def test_who_leaves_while_being_moved_over(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await seated(rooms, "b.1")
    await rooms.roll_over(ROOM, old_session_id="S", new_session_id="T", now=NOW)
    await rooms.vacate(ROOM, "a.1", now=NOW)
    assert [effect for effect in await owed(outbox) if getattr(effect, "seat", "") == "a.1"] == [
        RemoveParticipant("a.1", "S", "part-a.1"),
        RemoveParticipant("a.1", "T", "part-a.1"),
        DeleteParticipant("a.1", "part-a.1"),
        FreeSeat(ROOM, "a.1"),
    ]


async def test_who_repaired_a_session_and_left_does_not_end_it_for_the_others(
    rooms: Rooms, outbox: Outbox
) -> None:
    """The repair is written again when the store did not answer, and by then its seat may be given up."""
    await seated(rooms, "a.1", session="S")
    await seated(rooms, "b.1")
    await rooms.replace_session(ROOM, "a.1", vanished_session_id="S", new_session_id="T", now=NOW)
    await rooms.vacate(ROOM, "a.1", now=NOW)
    await rooms.replace_session(ROOM, "a.1", vanished_session_id="S", new_session_id="T", now=NOW)
    assert DeleteSession("T") not in await owed(outbox)


async def test_what_was_not_made_is_not_published(rooms: Rooms, redis: Redis) -> None:
    await reserve(rooms, "a.1")
    assert await rooms.take_seat(ROOM, "a.1", participant_id="p", new_session_id="", now=NOW) == TakenSeat("")
    assert await owes(redis) == {}
