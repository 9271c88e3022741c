"""Who is alone: outside until somebody comes, or inside when everybody has gone."""

import pytest
from redis.asyncio import Redis

from service.calls.effects import SummonWaiter, TellAlone
from service.calls.room_settings import (
    AloneAction,
    AloneSettings,
    RoomSettings,
    WaitingSettings,
    WaitingSound,
)
from service.store import keys
from service.store.outbox import Outbox
from service.store.room_results import EmptyRoom, ReservedSeat, RoomFull, SeatGone, SessionInDoubt, TakenSeat
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

WAITING = WaitingSettings(sound=WaitingSound.MESSAGE, message="nobody is here", limit=60)
WAITS = RoomSettings(waiting=WAITING)
ALONE = RoomSettings(alone=AloneSettings(after=20.5, then=AloneAction.WAIT))


async def waits(rooms: Rooms, seat: str) -> ReservedSeat | RoomFull | EmptyRoom | SeatGone | SessionInDoubt:
    return await reserve(rooms, seat, waits=True)


async def waiting(rooms: Rooms) -> tuple[str, ...]:
    view = await rooms.read(ROOM)
    return view.waiting if view else ()


async def configure(rooms: Rooms, settings: RoomSettings) -> None:
    assert await rooms.configure(ROOM, settings, now=NOW) == ""


# Outside ----------------------------------------------------------------------------------------------------


async def test_who_is_first_waits_outside(rooms: Rooms, redis: Redis) -> None:
    await configure(rooms, WAITS)
    assert await waits(rooms, "a.1") == EmptyRoom(WAITING)
    assert await redis.hgetall(keys.room(ROOM)) == {b"waiter:a": b"a.1"}
    assert await redis.pttl(keys.room(ROOM)) > 0
    assert ROOM.encode() in await redis.smembers(keys.live_rooms(PARTITION))


async def test_plain_settings_say_how_to_wait_too(rooms: Rooms) -> None:
    await configure(rooms, RoomSettings(waiting=WaitingSettings()))
    assert await waits(rooms, "a.1") == EmptyRoom(WaitingSettings())


async def test_nobody_waits_where_it_is_not_asked_for(rooms: Rooms) -> None:
    assert await waits(rooms, "a.1") == ReservedSeat("", NO_SETTINGS)
    assert await waiting(rooms) == ()
    await rooms.vacate(ROOM, "a.1", now=NOW)
    await configure(rooms, WAITS)
    assert await reserve(rooms, "b.1") == ReservedSeat("", WAITS)


async def test_nobody_waits_where_somebody_is(rooms: Rooms) -> None:
    await configure(rooms, WAITS)
    await seated(rooms, "a.1", session="S")
    assert await waits(rooms, "b.1") == ReservedSeat("S", WAITS)


async def test_the_second_to_wait_goes_in(rooms: Rooms) -> None:
    await configure(rooms, WAITS)
    assert isinstance(await waits(rooms, "a.1"), EmptyRoom)
    assert await waits(rooms, "b.1") == ReservedSeat("", WAITS)


async def test_who_is_not_in_yet_or_about_to_leave_is_no_company(rooms: Rooms) -> None:
    await configure(rooms, WAITS)
    await seated(rooms, "a.1", session="S")
    await rooms.vacate(ROOM, "a.1", now=NOW)
    await reserve(rooms, "b.1")
    assert isinstance(await waits(rooms, "c.1"), EmptyRoom)


async def test_nobody_is_their_own_company(rooms: Rooms) -> None:
    await configure(rooms, WAITS)
    await seated(rooms, "a.1", session="S")
    for seat in ("a.2", "a.3-1"):
        assert isinstance(await waits(rooms, seat), EmptyRoom)
    assert await waiting(rooms) == ("a",)


async def test_who_has_a_seat_keeps_it(rooms: Rooms) -> None:
    await reserve(rooms, "a.1")
    await configure(rooms, WAITS)
    assert await waits(rooms, "a.1") == ReservedSeat("", WAITS)


async def test_who_gets_a_seat_waits_no_more(rooms: Rooms) -> None:
    await configure(rooms, WAITS)
    await waits(rooms, "a.1")
    assert isinstance(await reserve(rooms, "a.2"), ReservedSeat)
    assert await waiting(rooms) == ()


async def test_who_has_given_up_does_not_begin_to_wait(rooms: Rooms) -> None:
    """A replica that stalls between the beginning of a join and its seat."""
    await configure(rooms, WAITS)
    assert not await rooms.vacate(ROOM, "a.1", now=NOW)
    assert await waits(rooms, "a.1") == SeatGone()
    assert await waiting(rooms) == ()


async def test_who_gives_up_waiting_is_forgotten(rooms: Rooms, redis: Redis) -> None:
    await configure(rooms, WAITS)
    await waits(rooms, "a.2")
    await rooms.vacate(ROOM, "a.1", now=NOW)
    assert await waiting(rooms) == ("a",), "only an earlier try was given up"
    assert not await rooms.vacate(ROOM, "a.2", now=NOW)
    assert await left_over(redis) == []


async def test_whoever_comes_in_is_announced_to_all_who_wait(
    rooms: Rooms, outbox: Outbox, redis: Redis
) -> None:
    await configure(rooms, WAITS)
    await reserve(rooms, "m.1")
    await waits(rooms, "a.1")
    await redis.hset(keys.room(ROOM), "waiter:b", "b.1")
    await redis.hset(keys.room(ROOM), "waiter:m", "m.0")
    assert await owes(redis) == {}, "not before they are in"
    await rooms.take_seat(ROOM, "m.1", participant_id="p", new_session_id="S", now=NOW)
    assert await waiting(rooms) == ("m",)
    summons = await outbox.settle(keys.owner_room(ROOM), now=NOW, done=[], postponed=[])
    assert {work.id: work.effect for work in summons} == {
        "summon-waiter:a": SummonWaiter(ROOM, "a"),
        "summon-waiter:b": SummonWaiter(ROOM, "b"),
    }, "at the same time: each has a lane of its own"


async def test_who_waits_outlives_those_inside(rooms: Rooms, redis: Redis) -> None:
    await configure(rooms, WAITS)
    await waits(rooms, "a.1")
    await waits(rooms, "b.1")
    await rooms.vacate(ROOM, "b.1", now=NOW)
    assert await redis.hgetall(keys.room(ROOM)) == {b"waiter:a": b"a.1"}
    assert await rooms.list_names() == [ROOM]
    await rooms.vacate(ROOM, "a.1", now=NOW)
    assert await left_over(redis) == []


async def test_a_room_with_members_outlives_who_waits(rooms: Rooms, redis: Redis) -> None:
    await configure(rooms, WAITS)
    await waits(rooms, "a.1")
    await waits(rooms, "b.1")
    await rooms.vacate(ROOM, "a.1", now=NOW)
    assert ROOM.encode() in await redis.smembers(keys.live_rooms(PARTITION))


@pytest.mark.parametrize(("own", "theirs", "seats"), [(20, 1, 1), (1, 20, 1), (20, 20, 2)])
async def test_the_lower_limit_counts(rooms: Rooms, own: int, theirs: int, seats: int) -> None:
    await configure(rooms, RoomSettings(limit=theirs, announcement="hello"))
    for n in range(seats):
        assert isinstance(await reserve(rooms, f"{n}.1", limit=own), ReservedSeat)
    expected = ReservedSeat if seats == 2 else RoomFull
    assert isinstance(await reserve(rooms, "c.1", limit=own), expected)


# Inside -----------------------------------------------------------------------------------------------------


async def test_the_last_of_several_is_told_after_a_while(rooms: Rooms, redis: Redis) -> None:
    await configure(rooms, ALONE)
    for seat in ("a.1", "b.1", "c.1"):
        await seated(rooms, seat, session="S")
    await reserve(rooms, "d.1")
    await rooms.vacate(ROOM, "c.1", now=NOW)
    assert "tell-alone" not in await owes(redis), "two are left"
    await rooms.vacate(ROOM, "a.1", now=NOW)
    assert (await owes(redis))["tell-alone"] == (20.5, TellAlone(ROOM, "b.1", AloneAction.WAIT))


async def test_plain_settings_say_what_to_tell_too(rooms: Rooms, redis: Redis) -> None:
    await configure(rooms, RoomSettings(alone=AloneSettings()))
    for seat in ("a.1", "b.1"):
        await seated(rooms, seat, session="S")
    await rooms.vacate(ROOM, "a.1", now=NOW)
    assert (await owes(redis))["tell-alone"] == (60, TellAlone(ROOM, "b.1", AloneAction.HANGUP))


async def test_nobody_is_told_where_it_is_not_asked_for(rooms: Rooms, redis: Redis) -> None:
    for seat in ("a.1", "b.1"):
        await seated(rooms, seat, session="S")
    await rooms.vacate(ROOM, "a.1", now=NOW)
    assert "tell-alone" not in await owes(redis)


async def test_who_was_never_in_leaves_nobody_alone(rooms: Rooms, redis: Redis) -> None:
    await configure(rooms, ALONE)
    await seated(rooms, "a.1", session="S")
    await reserve(rooms, "b.1")
    await rooms.vacate(ROOM, "b.1", now=NOW)
    await rooms.vacate(ROOM, "c.1", now=NOW)
    assert "tell-alone" not in await owes(redis)


async def test_whoever_comes_calls_it_off(rooms: Rooms, redis: Redis) -> None:
    await configure(rooms, ALONE)
    for seat in ("a.1", "b.1"):
        await seated(rooms, seat, session="S")
    await rooms.vacate(ROOM, "a.1", now=NOW)
    await reserve(rooms, "c.1")
    assert "tell-alone" in await owes(redis), "not in yet"
    await rooms.take_seat(ROOM, "b.1", participant_id="part-b.1", new_session_id="", now=NOW)
    assert "tell-alone" in await owes(redis), "in before, and told so again"
    await rooms.take_seat(ROOM, "c.1", participant_id="p", new_session_id="", now=NOW)
    assert "tell-alone" not in await owes(redis)


async def test_when_the_last_one_goes_too_nobody_is_told(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await configure(rooms, ALONE)
    for seat in ("a.1", "b.1"):
        await seated(rooms, seat, session="S")
    await rooms.vacate(ROOM, "a.1", now=NOW)
    await rooms.vacate(ROOM, "b.1", now=NOW)
    assert "tell-alone" not in await owes(redis)
    await execute_owed(rooms, outbox)
    assert await left_over(redis) == []


# Moving on --------------------------------------------------------------------------------------------------


async def test_a_participant_that_lives_on_is_not_taken_down(
    rooms: Rooms, outbox: Outbox, redis: Redis
) -> None:
    await seated(rooms, "a.1", session="S")
    await seated(rooms, "b.1")
    assert await rooms.vacate(ROOM, "a.1", keep_participant=True, now=NOW)
    assert await owed(outbox) == []
    view = await rooms.read(ROOM)
    assert view
    assert [member.seat for member in view.members] == ["b.1"]
    assert await reserve(rooms, "a.1") == SeatGone(), "the reservation was sent again"


async def test_who_moves_on_leaves_the_other_alone(rooms: Rooms, redis: Redis) -> None:
    await configure(rooms, ALONE)
    await seated(rooms, "a.1", session="S")
    await seated(rooms, "b.1")
    await rooms.vacate(ROOM, "a.1", keep_participant=True, now=NOW)
    assert (await owes(redis))["tell-alone"] == (20.5, TellAlone(ROOM, "b.1", AloneAction.WAIT))


async def test_the_last_to_move_on_leaves_an_empty_room(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.vacate(ROOM, "a.1", keep_participant=True, now=NOW)
    assert set(await owes(redis)) == {"delete-session:S"}
    await owed(outbox)
    assert await left_over(redis) == []


async def test_who_moves_on_is_not_brought_back(rooms: Rooms, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await seated(rooms, "b.1")
    await rooms.replace_session(ROOM, "b.1", vanished_session_id="S", new_session_id="T", now=NOW)
    assert "add-participant:a.1" in await owes(redis)
    await rooms.vacate(ROOM, "a.1", keep_participant=True, now=NOW)
    assert "add-participant:a.1" not in await owes(redis)


async def test_who_cannot_move_in_lives_on_where_it_is(rooms: Rooms, outbox: Outbox) -> None:
    await reserve(rooms, "a.1-1")
    await rooms.vacate(ROOM, "a.1-1", now=NOW)
    gone = await rooms.take_seat(
        ROOM, "a.1-1", participant_id="p", new_session_id="", keep_participant=True, now=NOW
    )
    assert gone == SeatGone()
    assert await owed(outbox) == []


async def test_a_moved_participant_comes_in_like_any_other(rooms: Rooms) -> None:
    await reserve(rooms, "a.1-1")
    entered = await rooms.take_seat(
        ROOM, "a.1-1", participant_id="p", new_session_id="S", keep_participant=True, now=NOW
    )
    assert entered == TakenSeat("S")
