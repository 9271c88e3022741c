"""Rooms: seats before requests, one session, and nothing forgotten when members leave."""

import asyncio

import msgspec
import pytest
from redis.asyncio import Redis

from service.calls.effects import (
    AddParticipant,
    DeleteParticipant,
    DeleteSession,
    Effect,
    FreeSeat,
    RemoveParticipant,
)
from service.store import keys
from service.store.client import Client
from service.store.outbox import Outbox
from service.store.rooms import Gone, RoomFull, Rooms, Seat

NOW = 1_700_000_000.0
ROOM = "lobby"


@pytest.fixture
def rooms(client: Client) -> Rooms:
    return Rooms(client)


@pytest.fixture
def outbox(client: Client) -> Outbox:
    return Outbox(client, worker="w", lease=45)


async def owed(outbox: Outbox) -> list[Effect]:
    """Everything that the room owes, in the order in which it is done."""
    found: list[Effect] = []
    due = await outbox.work(keys.owner_room(ROOM), now=NOW, done=[], later=[])
    while due:
        found += [work.effect for work in due]
        due = await outbox.work(keys.owner_room(ROOM), now=NOW, done=due, later=[])
    return found


async def seated(rooms: Rooms, seat: str, *, session: str = "", limit: int = 20) -> None:
    assert isinstance(await rooms.reserve(ROOM, seat, limit=limit, now=NOW), Seat)
    entered = await rooms.enter(ROOM, seat, participant_id=f"part-{seat}", made_session=session, now=NOW)
    assert isinstance(entered, Seat)


async def test_the_first_publishes_its_session_and_the_next_use_it(rooms: Rooms, outbox: Outbox) -> None:
    assert await rooms.reserve(ROOM, "a.1", limit=20, now=NOW) == Seat("")
    assert await rooms.enter(ROOM, "a.1", participant_id="pa", made_session="S", now=NOW) == Seat("S")
    assert await rooms.reserve(ROOM, "b.1", limit=20, now=NOW) == Seat("S")
    assert await owed(outbox) == []


async def test_who_comes_second_with_a_session_owes_its_deletion(rooms: Rooms, outbox: Outbox) -> None:
    for seat in ("a.1", "b.1"):
        assert await rooms.reserve(ROOM, seat, limit=20, now=NOW) == Seat("")
    assert await rooms.enter(ROOM, "a.1", participant_id="pa", made_session="S", now=NOW) == Seat("S")
    assert await rooms.enter(ROOM, "b.1", participant_id="pb", made_session="T", now=NOW) == Seat("S")
    assert await owed(outbox) == [DeleteSession("T")]


async def test_seats_run_out(rooms: Rooms) -> None:
    taken = await asyncio.gather(*(rooms.reserve(ROOM, f"{n}.1", limit=3, now=NOW) for n in range(5)))
    assert sum(isinstance(place, Seat) for place in taken) == 3
    assert RoomFull(3) in taken
    # Who has a seat keeps it, however often it asks.
    mine = next(n for n, place in enumerate(taken) if isinstance(place, Seat))
    assert isinstance(await rooms.reserve(ROOM, f"{mine}.1", limit=3, now=NOW), Seat)
    await rooms.vacate(ROOM, f"{mine}.1", now=NOW)
    assert isinstance(await rooms.reserve(ROOM, "9.1", limit=3, now=NOW), Seat)


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
    await rooms.free(ROOM, "a.1", now=NOW)
    await rooms.free(ROOM, "a.1", now=NOW)
    assert await owed(outbox) == [DeleteSession("S")]
    assert not await redis.exists(keys.room(ROOM))


async def test_a_reserved_seat_keeps_the_session(rooms: Rooms, outbox: Outbox) -> None:
    await seated(rooms, "a.1", session="S")
    assert await rooms.reserve(ROOM, "b.1", limit=20, now=NOW) == Seat("S")
    await rooms.vacate(ROOM, "a.1", now=NOW)
    await rooms.free(ROOM, "a.1", now=NOW)
    assert DeleteSession("S") not in await owed(outbox)
    assert await rooms.enter(ROOM, "b.1", participant_id="pb", made_session="", now=NOW) == Seat("S")


async def test_who_lost_its_seat_meanwhile_owes_what_it_made(rooms: Rooms, outbox: Outbox) -> None:
    await rooms.reserve(ROOM, "a.1", limit=20, now=NOW)
    await rooms.vacate(ROOM, "a.1", now=NOW)
    assert await rooms.enter(ROOM, "a.1", participant_id="pa", made_session="S", now=NOW) == Gone()
    assert sorted(await owed(outbox), key=str) == [DeleteParticipant("a.1", "pa"), DeleteSession("S")]


async def test_a_seat_that_is_given_up_before_it_is_taken_is_gone(rooms: Rooms, redis: Redis) -> None:
    """A replica that stalls between the beginning of a join and its seat, past everybody's patience."""
    assert not await rooms.vacate(ROOM, "a.1", now=NOW)
    assert await rooms.reserve(ROOM, "a.1", limit=20, now=NOW) == Gone()
    assert isinstance(await rooms.reserve(ROOM, "a.2", limit=20, now=NOW), Seat)
    assert await rooms.vacate(ROOM, "a.2", now=NOW)
    assert await rooms.reserve(ROOM, "a.2", limit=20, now=NOW) == Gone(), "the reservation was sent again"
    assert await redis.ttl(keys.left(ROOM, "a.1")) > 0


async def test_who_is_leaving_and_told_to_leave_again_owes_only_what_is_not_done(
    rooms: Rooms, outbox: Outbox
) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.vacate(ROOM, "a.1", now=NOW)
    owner = keys.owner_room(ROOM)
    removed = await outbox.work(owner, now=NOW, done=[], later=[])
    deleted = await outbox.work(owner, now=NOW, done=removed, later=[])
    await outbox.work(owner, now=NOW, done=deleted, later=[], release=True)
    await rooms.vacate(ROOM, "a.1", now=NOW)
    assert await owed(outbox) == [FreeSeat(ROOM, "a.1")]


async def test_who_is_leaving_does_not_come_back(rooms: Rooms, outbox: Outbox) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.vacate(ROOM, "a.1", now=NOW)
    assert await rooms.enter(ROOM, "a.1", participant_id="part-a.1", made_session="S", now=NOW) == Gone()
    assert DeleteSession("S") not in await owed(outbox), "it is the room's until the seat is free"


async def test_a_vanished_session_is_replaced_once_and_for_all(rooms: Rooms, outbox: Outbox) -> None:
    for seat in ("a.1", "b.1", "c.1"):
        await seated(rooms, seat, session="S" if seat == "a.1" else "")
    await rooms.reserve(ROOM, "d.1", limit=20, now=NOW)
    replaced = await rooms.replace_session(ROOM, "a.1", vanished="S", made_session="T", now=NOW)
    assert replaced == Seat("T")
    second = await rooms.replace_session(ROOM, "b.1", vanished="S", made_session="U", now=NOW)
    assert second == Seat("T")
    again = await rooms.replace_session(ROOM, "a.1", vanished="S", made_session="T", now=NOW)
    assert again == Seat("T")
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
    assert await rooms.replace_session(ROOM, "b.1", vanished="S", made_session="T", now=NOW) == Gone()
    assert DeleteSession("T") in await owed(outbox)
    assert await rooms.reserve(ROOM, "c.1", limit=20, now=NOW) == Seat("S")


async def test_entering_twice_is_entering_once(rooms: Rooms, outbox: Outbox) -> None:
    await rooms.reserve(ROOM, "a.1", limit=20, now=NOW)
    for _ in range(2):
        assert await rooms.enter(ROOM, "a.1", participant_id="p", made_session="S", now=NOW) == Seat("S")
    assert await owed(outbox) == []


async def test_what_came_too_late_is_owed(rooms: Rooms, outbox: Outbox) -> None:
    await rooms.owe(ROOM, DeleteParticipant("a.1", "late"), now=NOW)
    await rooms.owe(ROOM, DeleteParticipant("a.1", "late"), now=NOW)
    assert await owed(outbox) == [DeleteParticipant("a.1", "late")]


async def test_random_comings_and_goings_end_with_an_empty_store(
    rooms: Rooms, outbox: Outbox, redis: Redis
) -> None:
    """Twenty members at once, whatever the order in which their steps fall."""

    async def member(n: int) -> None:
        seat = f"{n}.1"
        place = await rooms.reserve(ROOM, seat, limit=20, now=NOW)
        assert isinstance(place, Seat)
        made = "" if place.session_id else f"S{n}"
        await rooms.enter(ROOM, seat, participant_id=f"p{n}", made_session=made, now=NOW)
        await rooms.vacate(ROOM, seat, now=NOW)

    await asyncio.gather(*(member(n) for n in range(20)))
    deleted: list[str] = []
    while work := await outbox.work(keys.owner_room(ROOM), now=NOW, done=[], later=[]):
        for one in work:
            if isinstance(one.effect, FreeSeat):
                await rooms.free(ROOM, one.effect.seat, now=NOW)
            if isinstance(one.effect, DeleteParticipant | DeleteSession):
                deleted.append(msgspec.structs.astuple(one.effect)[-1])
        await outbox.work(keys.owner_room(ROOM), now=NOW, done=work, later=[], release=True)
    assert len(deleted) == len(set(deleted))
    assert {f"p{n}" for n in range(20)} <= set(deleted)
    assert await redis.keys() == []
