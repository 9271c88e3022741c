"""Rooms: seats before requests, one session, and nothing forgotten when members leave."""

import asyncio

import pytest
from redis.asyncio import Redis

from service.calls.effects import (
    AddParticipant,
    DeleteParticipant,
    DeleteSession,
    FreeSeat,
    RemoveParticipant,
)
from service.store import keys
from service.store.outbox import Outbox
from service.store.redis.client import Client
from service.store.room_results import ReservedSeat, RoomFull, SeatGone, TakenSeat
from service.store.rooms import Rooms
from tests.store.seats import NO_SETTINGS, NOW, ROOM, left_over, owed, reserve, seated


async def test_the_first_publishes_its_session_and_the_next_use_it(rooms: Rooms, outbox: Outbox) -> None:
    assert await reserve(rooms, "a.1") == ReservedSeat("", NO_SETTINGS)
    assert await rooms.take_seat(ROOM, "a.1", participant_id="pa", new_session_id="S", now=NOW) == TakenSeat(
        "S"
    )
    assert await reserve(rooms, "b.1") == ReservedSeat("S", NO_SETTINGS)
    assert await owed(outbox) == []


async def test_who_comes_second_with_a_session_owes_its_deletion(rooms: Rooms, outbox: Outbox) -> None:
    for seat in ("a.1", "b.1"):
        assert await reserve(rooms, seat) == ReservedSeat("", NO_SETTINGS)
    assert await rooms.take_seat(ROOM, "a.1", participant_id="pa", new_session_id="S", now=NOW) == TakenSeat(
        "S"
    )
    assert await rooms.take_seat(ROOM, "b.1", participant_id="pb", new_session_id="T", now=NOW) == TakenSeat(
        "S", has_due_work=True
    )
    assert await owed(outbox) == [DeleteSession("T")]


async def test_in_a_full_room_it_is_known_who_is_going(rooms: Rooms) -> None:
    for seat in ("a.1", "b.1", "c.1"):
        await reserve(rooms, seat, limit=3)
        await rooms.take_seat(ROOM, seat, participant_id=f"p{seat}", new_session_id="S", now=NOW)
    assert await reserve(rooms, "d.1", limit=3) == RoomFull(3, leaving=0)
    # Of the same call, which has given it up or will in a moment.
    assert await reserve(rooms, "a.2", limit=3) == RoomFull(3, leaving=1)
    await rooms.vacate(ROOM, "b.1", now=NOW)
    assert await reserve(rooms, "d.1", limit=3) == RoomFull(3, leaving=1)
    assert await reserve(rooms, "a.2", limit=3) == RoomFull(3, leaving=2)


async def test_who_is_still_on_the_way_out_of_a_closed_room_makes_no_room_in_the_next(rooms: Rooms) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.close(ROOM, now=NOW)
    await reserve(rooms, "d.1", limit=1)
    assert await reserve(rooms, "e.1", limit=1) == RoomFull(1, leaving=0)


@pytest.mark.parametrize(("broke", "there"), [(0, True), (-1, False), (+1, True)])
async def test_who_broke_off_before_the_room_was_closed_does_not_come_back(
    rooms: Rooms, broke: float, there: bool
) -> None:
    await reserve(rooms, "a.1")
    await rooms.close(ROOM, now=NOW)
    came = await rooms.reserve(
        ROOM, "b.2", wait_if_empty=False, limit=20, now=NOW + 2, broken_at=NOW + broke if broke else 0
    )
    assert isinstance(came, ReservedSeat) is there
    assert there or came == SeatGone()


async def test_seats_run_out(client: Client) -> None:
    rooms = Rooms(client)
    taken = await asyncio.gather(*(reserve(rooms, f"{n}.1", limit=3) for n in range(5)))
    assert sum(isinstance(place, ReservedSeat) for place in taken) == 3
    assert RoomFull(3) in taken
    # Who has a seat keeps it, however often it asks.
    mine = next(n for n, place in enumerate(taken) if isinstance(place, ReservedSeat))
    assert isinstance(await reserve(rooms, f"{mine}.1", limit=3), ReservedSeat)
    await rooms.vacate(ROOM, f"{mine}.1", now=NOW)
    assert isinstance(await reserve(rooms, "9.1", limit=3), ReservedSeat)


async def test_leaving_takes_everything_down_in_order(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    assert await rooms.vacate(ROOM, "a.1", now=NOW)
    assert await rooms.vacate(ROOM, "a.1", now=NOW)
    assert await owed(outbox) == [
        RemoveParticipant("a.1", "S", "part-a.1"),
        DeleteParticipant("a.1", "part-a.1"),
        FreeSeat(ROOM, "a.1"),
    ]
    assert await redis.exists(keys.room(ROOM)), "the seat keeps the epoch open until it is free"
    await rooms.free_seat(ROOM, "a.1", now=NOW)
    await rooms.free_seat(ROOM, "a.1", now=NOW)
    assert await owed(outbox) == [DeleteSession("S")]
    assert not await redis.exists(keys.room(ROOM))


async def test_a_reserved_seat_keeps_the_session(rooms: Rooms, outbox: Outbox) -> None:
    await seated(rooms, "a.1", session="S")
    assert await reserve(rooms, "b.1") == ReservedSeat("S", NO_SETTINGS)
    await rooms.vacate(ROOM, "a.1", now=NOW)
    await rooms.free_seat(ROOM, "a.1", now=NOW)
    assert DeleteSession("S") not in await owed(outbox)
    assert await rooms.take_seat(ROOM, "b.1", participant_id="pb", new_session_id="", now=NOW) == TakenSeat(
        "S"
    )


async def test_who_lost_its_seat_meanwhile_owes_what_it_made(rooms: Rooms, outbox: Outbox) -> None:
    await reserve(rooms, "a.1")
    await rooms.vacate(ROOM, "a.1", now=NOW)
    assert await rooms.take_seat(ROOM, "a.1", participant_id="pa", new_session_id="S", now=NOW) == SeatGone()
    assert sorted(await owed(outbox), key=str) == [DeleteParticipant("a.1", "pa"), DeleteSession("S")]


async def test_a_seat_that_is_given_up_before_it_is_taken_is_gone(rooms: Rooms, redis: Redis) -> None:
    """A replica that stalls between the beginning of a join and its seat, past everybody's patience."""
    assert not await rooms.vacate(ROOM, "a.1", now=NOW)
    assert await reserve(rooms, "a.1") == SeatGone()
    assert isinstance(await reserve(rooms, "a.2"), ReservedSeat)
    assert await rooms.vacate(ROOM, "a.2", now=NOW)
    assert await reserve(rooms, "a.2") == SeatGone(), "the reservation was sent again"
    assert await redis.ttl(keys.vacated_seat(ROOM, "a.1")) > 0


async def test_who_is_leaving_and_told_to_leave_again_owes_only_what_is_not_done(
    rooms: Rooms, outbox: Outbox
) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.vacate(ROOM, "a.1", now=NOW)
    owner = keys.owner_room(ROOM)
    removed = await outbox.settle(owner, now=NOW, done=[], postponed=[])
    deleted = await outbox.settle(owner, now=NOW, done=removed, postponed=[])
    await outbox.settle(owner, now=NOW, done=deleted, postponed=[], release=True)
    await rooms.vacate(ROOM, "a.1", now=NOW)
    assert await owed(outbox) == [FreeSeat(ROOM, "a.1")]


async def test_who_is_leaving_does_not_come_back(rooms: Rooms, outbox: Outbox) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.vacate(ROOM, "a.1", now=NOW)
    assert (
        await rooms.take_seat(ROOM, "a.1", participant_id="part-a.1", new_session_id="S", now=NOW)
        == SeatGone()
    )
    assert DeleteSession("S") not in await owed(outbox), "it is the room's until the seat is free"


async def test_a_vanished_session_is_replaced_once_and_for_all(rooms: Rooms, outbox: Outbox) -> None:
    for seat in ("a.1", "b.1", "c.1"):
        await seated(rooms, seat, session="S" if seat == "a.1" else "")
    await reserve(rooms, "d.1")
    replaced = await rooms.replace_session(ROOM, "a.1", vanished_session_id="S", new_session_id="T", now=NOW)
    assert replaced == TakenSeat("T", has_due_work=True)
    second = await rooms.replace_session(ROOM, "b.1", vanished_session_id="S", new_session_id="U", now=NOW)
    assert second == TakenSeat("T", has_due_work=True)
    again = await rooms.replace_session(ROOM, "a.1", vanished_session_id="S", new_session_id="T", now=NOW)
    assert again == TakenSeat("T", has_due_work=True)
    work = await owed(outbox)
    assert DeleteSession("U") in work
    added = {effect.seat: effect for effect in work if isinstance(effect, AddParticipant)}
    assert added == {
        "b.1": AddParticipant(ROOM, "b.1", "T", "part-b.1"),
        "c.1": AddParticipant(ROOM, "c.1", "T", "part-c.1"),
    }


async def test_there_is_nothing_to_repair_for_who_has_left(rooms: Rooms, outbox: Outbox) -> None:
    await seated(rooms, "a.1", session="S")
    await seated(rooms, "b.1")
    await rooms.vacate(ROOM, "b.1", now=NOW)
    assert (
        await rooms.replace_session(ROOM, "b.1", vanished_session_id="S", new_session_id="T", now=NOW)
        == SeatGone()
    )
    assert DeleteSession("T") in await owed(outbox)
    assert await reserve(rooms, "c.1") == ReservedSeat("S", NO_SETTINGS)


async def test_entering_twice_is_entering_once(rooms: Rooms, outbox: Outbox) -> None:
    await reserve(rooms, "a.1")
    for _ in range(2):
        assert await rooms.take_seat(
            ROOM, "a.1", participant_id="p", new_session_id="S", now=NOW
        ) == TakenSeat("S")
    assert await owed(outbox) == []


async def test_what_came_too_late_is_owed(rooms: Rooms, outbox: Outbox) -> None:
    await rooms.schedule(ROOM, DeleteParticipant("a.1", "late"), now=NOW)
    await rooms.schedule(ROOM, DeleteParticipant("a.1", "late"), now=NOW)
    assert await owed(outbox) == [DeleteParticipant("a.1", "late")]


async def test_many_members_at_once_end_with_an_empty_store(
    client: Client, outbox: Outbox, redis: Redis
) -> None:
    """Whatever the order in which their steps fall."""
    rooms = Rooms(client)

    async def member(n: int) -> None:
        seat = f"{n}.1"
        place = await reserve(rooms, seat)
        assert isinstance(place, ReservedSeat)
        made = "" if place.session_id else f"S{n}"
        await rooms.take_seat(ROOM, seat, participant_id=f"p{n}", new_session_id=made, now=NOW)
        await rooms.vacate(ROOM, seat, now=NOW)

    await asyncio.gather(*(member(n) for n in range(20)))
    deleted: list[str] = []
    while work := await outbox.settle(keys.owner_room(ROOM), now=NOW, done=[], postponed=[]):
        for one in work:
            if isinstance(one.effect, FreeSeat):
                await rooms.free_seat(ROOM, one.effect.seat, now=NOW)
            if isinstance(one.effect, DeleteParticipant):
                deleted.append(one.effect.participant_id)
            if isinstance(one.effect, DeleteSession):
                deleted.append(one.effect.session_id)
        await outbox.settle(keys.owner_room(ROOM), now=NOW, done=work, postponed=[], release=True)
    assert len(deleted) == len(set(deleted))
    assert {f"p{n}" for n in range(20)} <= set(deleted)
    assert await left_over(redis) == []
