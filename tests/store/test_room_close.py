"""Closing a room: everybody out and told, and whoever comes next begins anew."""

from redis.asyncio import Redis

from service.calls.effects import (
    CheckRoom,
    DeleteParticipant,
    DeleteSession,
    FreeSeat,
    RemoveParticipant,
    ReplaceSession,
    TellRoomClosed,
)
from service.calls.room_settings import AloneSettings, RoomSettings, WaitingSettings
from service.store import keys
from service.store.outbox import Outbox
from service.store.room_results import ReservedSeat, SeatGone, TakenSeat
from service.store.rooms import Rooms
from tests.store.seats import (
    NO_SETTINGS,
    NOW,
    PARTITION,
    ROOM,
    execute_owed,
    left_over,
    owed,
    owes,
    reserve,
    seated,
)


async def test_there_may_be_nothing_to_close(rooms: Rooms, redis: Redis) -> None:
    assert not await rooms.close(ROOM, now=NOW)
    await rooms.configure(ROOM, RoomSettings(limit=3), now=NOW)
    assert not await rooms.close(ROOM, now=NOW)
    assert await left_over(redis) == []


async def test_members_are_told_and_taken_down_in_order(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await seated(rooms, "b.1")
    assert await rooms.close(ROOM, now=NOW)
    work = await owed(outbox)
    for seat in ("a.1", "b.1"):
        assert [effect for effect in work if getattr(effect, "seat", "") == seat] == [
            TellRoomClosed(ROOM, seat),
            RemoveParticipant(seat, "S", f"part-{seat}"),
            DeleteParticipant(seat, f"part-{seat}"),
            FreeSeat(ROOM, seat),
        ]
    assert len(work) == 8
    await rooms.free_seat(ROOM, "a.1", now=NOW)
    assert await owed(outbox) == [], "the session outlives everybody in it"
    await rooms.free_seat(ROOM, "b.1", now=NOW)
    assert await owed(outbox) == [DeleteSession("S")]
    assert await left_over(redis) == []


async def test_a_closed_room_is_not_to_be_seen(rooms: Rooms, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.close(ROOM, now=NOW)
    assert await redis.hget(keys.room(ROOM), "seat:a.1") == b"closing part-a.1 S"
    assert await rooms.read(ROOM) is None
    assert await rooms.list_names() == []
    assert await redis.pttl(keys.room(ROOM)) > 0


async def test_closing_keeps_what_is_being_closed(rooms: Rooms, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await redis.pexpire(keys.room(ROOM), 1000)
    await rooms.close(ROOM, now=NOW)
    assert await redis.pttl(keys.room(ROOM)) > 11 * 3_600_000


async def test_who_comes_now_begins_anew(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.close(ROOM, now=NOW)
    assert await reserve(rooms, "b.1", limit=1) == ReservedSeat("", NO_SETTINGS)
    assert await rooms.take_seat(
        ROOM, "b.1", participant_id="p", new_session_id="T", now=NOW + 9
    ) == TakenSeat("T")
    view = await rooms.read(ROOM)
    assert view
    assert [member.seat for member in view.members] == ["b.1"]
    work = await execute_owed(rooms, outbox)
    assert DeleteSession("S") in work
    assert DeleteSession("T") not in work
    await rooms.vacate(ROOM, "b.1", now=NOW)
    assert DeleteSession("T") in await execute_owed(rooms, outbox)
    assert await left_over(redis) == []


async def test_a_new_life_may_end_before_the_old_one_is_taken_down(
    rooms: Rooms, outbox: Outbox, redis: Redis
) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.close(ROOM, now=NOW)
    await seated(rooms, "b.1", session="T")
    await rooms.close(ROOM, now=NOW)
    await seated(rooms, "c.1", session="U")
    await rooms.vacate(ROOM, "c.1", keep_participant=True, now=NOW)
    assert "delete-session:U" in await owes(redis)
    await rooms.free_seat(ROOM, "b.1", now=NOW)
    assert "delete-session:T" in await owes(redis)
    assert "delete-session:S" not in await owes(redis)
    await execute_owed(rooms, outbox)
    assert await left_over(redis) == []


async def test_who_is_leaving_already_holds_the_session(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.vacate(ROOM, "a.1", now=NOW)
    before = await owes(redis)
    assert await rooms.close(ROOM, now=NOW)
    del before["replace-session:S"], before["check-room:S"]
    after = await owes(redis)
    # Its call knows whether it would come back, since its way in has broken.
    assert after.pop("evict:a.1") == (0, TellRoomClosed(ROOM, "a.1"))
    assert after == before, "no more than it owed before"
    assert DeleteSession("S") in await execute_owed(rooms, outbox)
    assert await left_over(redis) == []


async def test_a_seat_that_is_merely_reserved_is_gone_at_once(
    rooms: Rooms, outbox: Outbox, redis: Redis
) -> None:
    await reserve(rooms, "a.1")
    assert await rooms.close(ROOM, now=NOW)
    assert await owes(redis) == {"evict:a.1": (0, TellRoomClosed(ROOM, "a.1"))}
    assert 0 < await redis.pttl(keys.vacated_seat(ROOM, "a.1")) <= 15 * 60_000
    assert await reserve(rooms, "a.1") == SeatGone()
    assert await rooms.take_seat(ROOM, "a.1", participant_id="p", new_session_id="S", now=NOW) == SeatGone()
    assert {DeleteParticipant("a.1", "p"), DeleteSession("S")} <= set(await owed(outbox))
    assert await left_over(redis) == []


async def test_a_session_without_members_is_deleted_at_once(rooms: Rooms, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await reserve(rooms, "b.1")
    await rooms.vacate(ROOM, "a.1", keep_participant=True, now=NOW)
    assert await rooms.close(ROOM, now=NOW)
    assert set(await owes(redis)) == {"evict:b.1", "delete-session:S"}


async def test_who_waits_outside_is_told(rooms: Rooms, redis: Redis) -> None:
    await rooms.configure(ROOM, RoomSettings(waiting=WaitingSettings()), now=NOW)
    await reserve(rooms, "a.3", waits=True)
    assert await rooms.close(ROOM, now=NOW)
    assert await owes(redis) == {"evict:a.3": (0, TellRoomClosed(ROOM, "a.3"))}
    assert not await redis.exists(keys.room(ROOM))
    assert not await redis.sismember(keys.live_rooms(PARTITION), ROOM)


async def test_nothing_is_planned_for_a_closed_room(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await rooms.configure(ROOM, RoomSettings(alone=AloneSettings()), now=NOW)
    await seated(rooms, "a.1", session="S")
    await seated(rooms, "b.1")
    await rooms.vacate(ROOM, "b.1", now=NOW)
    assert {"tell-alone", "replace-session:S"} <= set(await owes(redis))
    await rooms.close(ROOM, now=NOW)
    assert not {"tell-alone", "replace-session:S"} & set(await owes(redis))
    await execute_owed(rooms, outbox)
    assert await left_over(redis) == []


async def test_who_was_closed_out_does_not_come_back(rooms: Rooms, outbox: Outbox) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.close(ROOM, now=NOW)
    await seated(rooms, "b.1", session="T")
    again = await rooms.take_seat(ROOM, "a.1", participant_id="part-a.1", new_session_id="S", now=NOW)
    assert again == SeatGone()
    assert await reserve(rooms, "a.1") == SeatGone()
    repaired = await rooms.replace_session(ROOM, "a.1", vanished_session_id="S", new_session_id="U", now=NOW)
    assert repaired == SeatGone()
    work = await owed(outbox)
    assert DeleteSession("U") in work
    assert DeleteSession("S") not in work, "it has a member still"


async def test_leaving_a_closed_room_is_under_way(rooms: Rooms, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.close(ROOM, now=NOW)
    before = await owes(redis)
    assert await rooms.vacate(ROOM, "a.1", now=NOW)
    assert await owes(redis) == before
    assert await redis.hget(keys.room(ROOM), "seat:a.1") == b"closing part-a.1 S"


async def test_who_had_moved_on_before_the_room_was_closed_lives_on(rooms: Rooms, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.close(ROOM, now=NOW)
    assert await rooms.vacate(ROOM, "a.1", keep_participant=True, now=NOW)
    assert set(await owes(redis)) == {"evict:a.1", "delete-session:S"}
    assert await reserve(rooms, "a.1") == SeatGone()


async def test_who_was_on_the_way_from_another_room_stays_there(rooms: Rooms, redis: Redis) -> None:
    await reserve(rooms, "a.1-1")
    assert await rooms.close(ROOM, now=NOW)
    assert await owes(redis) == {}
    assert await reserve(rooms, "a.1-1") == SeatGone()


async def test_closing_a_room_that_is_being_closed_closes_nothing(rooms: Rooms, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.close(ROOM, now=NOW)
    before = await owes(redis)
    assert not await rooms.close(ROOM, now=NOW + 1)
    assert await owes(redis) == before


async def test_nobody_who_is_closed_out_is_brought_into_the_next_session(rooms: Rooms, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await seated(rooms, "b.1")
    await rooms.roll_over(ROOM, old_session_id="S", new_session_id="T", now=NOW)
    await rooms.close(ROOM, now=NOW)
    assert not [id_ for id_ in await owes(redis) if id_.startswith("add-participant")]
    assert not [
        effect for _, effect in (await owes(redis)).values() if isinstance(effect, ReplaceSession | CheckRoom)
    ]


async def test_who_is_in_no_session_is_taken_out_of_none(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await seated(rooms, "a.1")
    await seated(rooms, "b.1")
    await rooms.vacate(ROOM, "b.1", now=NOW)
    await rooms.close(ROOM, now=NOW)
    work = await execute_owed(rooms, outbox)
    assert {type(effect) for effect in work} == {TellRoomClosed, DeleteParticipant, FreeSeat}
    assert await left_over(redis) == []
