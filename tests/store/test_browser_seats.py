"""Seats of browsers: whose it is is kept with the seat, somebody looks after it, and all goes with it."""

from typing import Any

import pytest
from redis.asyncio import Redis

from service.calls.browser import Browser, ParticipantStreams, Permission, Presence
from service.calls.effects import (
    AddParticipant,
    CheckPresence,
    DeleteParticipant,
    DeleteSession,
    FreeSeat,
    RemoveParticipant,
    Subscribe,
    SummonWaiter,
    TellAlone,
)
from service.calls.room_settings import (
    AloneAction,
    AloneSettings,
    RoomSettings,
    WaitingSettings,
    WaitingSound,
)
from service.store import keys
from service.store.errors import StoreCorrupt
from service.store.outbox import Outbox
from service.store.redis.client import Client
from service.store.room_index import Member
from service.store.room_results import EmptyRoom, ReservedSeat, RoomFull, SeatGone, TakenSeat
from service.store.rooms import ABSENT_TIMEOUT, UNUSED_TIMEOUT, Rooms
from tests.store.seats import NO_SETTINGS, NOW, ROOM, execute_owed, left_over, owed, owes, reserve, seated

WEB = "web-aaaaaaaaaaaaaaaa.1"
OTHER = "web-bbbbbbbbbbbbbbbb.1"
LOOK = f"check-presence:{WEB}"
ANNA = Browser(name="Anna", permissions=(Permission.AUDIO, Permission.VIDEO), visit="v-1")


async def taken(rooms: Rooms, seat: str = WEB, *, browser: Browser = ANNA, limit: int = 20) -> object:
    return await rooms.reserve(ROOM, seat, wait_if_empty=False, limit=limit, now=NOW, browser=browser)


async def inside(rooms: Rooms, seat: str = WEB, *, session: str = "") -> None:
    """With the participant `part-<seat>`."""
    assert isinstance(await taken(rooms, seat), ReservedSeat)
    entered = await rooms.take_seat(
        ROOM, seat, participant_id=f"part-{seat}", new_session_id=session, now=NOW
    )
    assert isinstance(entered, TakenSeat)


async def members(rooms: Rooms) -> tuple[Member, ...]:
    view = await rooms.read(ROOM)
    return view.members if view else ()


async def presence(rooms: Rooms) -> Presence:
    [member] = await members(rooms)
    return member.presence


# A seat and whose it is -------------------------------------------------------------------------------------


async def test_it_is_known_from_the_first_moment_whose_it_is_and_that_it_may_not_come(
    rooms: Rooms, redis: Redis
) -> None:
    assert await taken(rooms) == ReservedSeat("", NO_SETTINGS)
    assert await members(rooms) == (Member(WEB, "reserved", "", ANNA, Presence(NOW)),)
    assert await owes(redis) == {LOOK: (UNUSED_TIMEOUT, CheckPresence(ROOM, WEB))}
    await rooms.take_seat(ROOM, WEB, participant_id="p", new_session_id="", now=NOW)
    assert await members(rooms) == (Member(WEB, "in", "p", ANNA, Presence(NOW)),)
    assert LOOK in await owes(redis), "it has a token now, and may not use it"


async def test_a_calls_seat_has_nothing_of_it(rooms: Rooms, redis: Redis) -> None:
    await reserve(rooms, "a.1")
    assert await members(rooms) == (Member("a.1", "reserved", ""),)
    assert await owes(redis) == {}


async def test_a_full_room_is_full_for_everybody(rooms: Rooms, redis: Redis) -> None:
    await reserve(rooms, "a.1")
    assert await taken(rooms, limit=1) == RoomFull(1)
    assert [member.seat for member in await members(rooms)] == ["a.1"]
    assert await owes(redis) == {}
    await taken(rooms, limit=2)
    assert await reserve(rooms, "b.1", limit=2) == RoomFull(2)


async def test_nothing_is_left_of_who_gave_up_on_the_way(rooms: Rooms, redis: Redis) -> None:
    await taken(rooms)
    assert await rooms.vacate(ROOM, WEB, now=NOW)
    assert await left_over(redis) == []
    assert await taken(rooms) == SeatGone()
    assert await left_over(redis) == []


async def test_nothing_is_left_of_who_left(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await inside(rooms, session="S")
    await inside(rooms, OTHER)
    for seat in (WEB, OTHER):
        await rooms.vacate(ROOM, seat, now=NOW)
        assert f"check-presence:{seat}" not in await owes(redis)
    [one, _] = await members(rooms)
    assert (one.phase, one.browser) == ("leaving", ANNA), "who waits for it to be out must know whose it is"
    done = await execute_owed(rooms, outbox)
    assert [one for one in done if getattr(one, "seat", "") == WEB] == [
        RemoveParticipant(WEB, "S", f"part-{WEB}"),
        DeleteParticipant(WEB, f"part-{WEB}"),
        FreeSeat(ROOM, WEB),
    ]
    assert done[-1] == DeleteSession("S")
    assert await left_over(redis) == []


async def test_who_left_leaves_nothing_with_those_who_stay(
    rooms: Rooms, outbox: Outbox, redis: Redis
) -> None:
    await seated(rooms, "a.1", session="S")
    await inside(rooms)
    await rooms.vacate(ROOM, WEB, now=NOW)
    await execute_owed(rooms, outbox)
    fields: list[Any] = await redis.hkeys(keys.room(ROOM))
    assert {field.decode() for field in fields} == {"members", "began", "session", "opened", "seat:a.1"}
    assert await redis.hget(keys.room(ROOM), "members") == b"1"


async def test_a_record_that_cannot_be_read(rooms: Rooms, redis: Redis) -> None:
    await taken(rooms)
    await redis.hset(keys.room(ROOM), f"web:{WEB}", "nonsense")
    with pytest.raises(StoreCorrupt):
        await rooms.read(ROOM)


# Signs of life ----------------------------------------------------------------------------------------------


async def test_from_the_first_heartbeat_on_silence_means_something(rooms: Rooms, redis: Redis) -> None:
    await inside(rooms)
    assert await rooms.heartbeat(ROOM, WEB, now=NOW + 3)
    assert await presence(rooms) == Presence(NOW, heartbeat_at=NOW + 3)
    assert (await owes(redis))[LOOK] == (3 + ABSENT_TIMEOUT, CheckPresence(ROOM, WEB))
    assert await rooms.heartbeat(ROOM, WEB, now=NOW + 13)
    assert await presence(rooms) == Presence(NOW, heartbeat_at=NOW + 13)
    assert (await owes(redis))[LOOK][0] == 3 + ABSENT_TIMEOUT, "whoever looks then finds that it lives"


async def test_who_loses_its_connection_is_looked_after(rooms: Rooms, redis: Redis) -> None:
    await inside(rooms)
    assert await rooms.mark_connected(ROOM, WEB, now=NOW + 3)
    assert (await owes(redis))[LOOK][0] == UNUSED_TIMEOUT
    assert await rooms.mark_disconnected(ROOM, WEB, now=NOW + 5)
    assert await presence(rooms) == Presence(NOW, connected_at=NOW + 3, disconnected_at=NOW + 5)
    assert (await owes(redis))[LOOK][0] == 5 + ABSENT_TIMEOUT


async def test_what_was_told_late_changes_nothing(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await inside(rooms)
    assert await rooms.mark_disconnected(ROOM, WEB, now=NOW + 3, reported_ms=7)
    assert await rooms.mark_connected(ROOM, WEB, now=NOW + 4, reported_ms=8)
    known = await presence(rooms)
    assert await rooms.mark_disconnected(ROOM, WEB, now=NOW + 5, reported_ms=7), "it has its seat"
    assert await presence(rooms) == known
    assert await rooms.mark_disconnected(ROOM, WEB, now=NOW + 6), "nobody knows when"
    assert await presence(rooms) == Presence(NOW, connected_at=NOW + 4, disconnected_at=NOW + 6)
    await rooms.vacate(ROOM, WEB, now=NOW)
    await execute_owed(rooms, outbox)
    assert await left_over(redis) == []


async def test_who_is_still_on_the_way_may_be_heard_of(rooms: Rooms) -> None:
    await taken(rooms)
    assert await rooms.mark_connected(ROOM, WEB, now=NOW + 3)
    assert await presence(rooms) == Presence(NOW, connected_at=NOW + 3)


async def test_nobody_is_brought_back_by_a_sign_of_life(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    assert not await rooms.heartbeat(ROOM, WEB, now=NOW)
    assert await left_over(redis) == []
    await seated(rooms, "a.1")
    assert not await rooms.heartbeat(ROOM, "a.1", now=NOW), "a phone's"
    assert await owes(redis) == {}
    await inside(rooms)
    await rooms.vacate(ROOM, WEB, now=NOW)
    assert not await rooms.heartbeat(ROOM, WEB, now=NOW)
    assert LOOK not in await owes(redis)
    await execute_owed(rooms, outbox)
    assert not await rooms.mark_disconnected(ROOM, WEB, now=NOW)
    assert LOOK not in await owes(redis)


async def test_a_sign_of_life_keeps_the_room(rooms: Rooms, redis: Redis) -> None:
    await inside(rooms)
    await redis.pexpire(keys.room(ROOM), 1000)
    await rooms.heartbeat(ROOM, WEB, now=NOW)
    assert await redis.pttl(keys.room(ROOM)) > 11 * 3_600_000


async def test_times_are_those_that_the_rooms_were_given(repeating: Client, redis: Redis) -> None:
    rooms = Rooms(repeating, unused_timeout=7, absent_timeout=2)
    await inside(rooms)
    assert (await owes(redis))[LOOK][0] == 7
    await rooms.heartbeat(ROOM, WEB, now=NOW)
    assert (await owes(redis))[LOOK][0] == 2


# Whom it hears ----------------------------------------------------------------------------------------------


async def test_whom_it_hears_is_kept_and_owed(rooms: Rooms, outbox: Outbox) -> None:
    await inside(rooms, session="S")
    for hears in (("p-1", ParticipantStreams("p-2", ("desk",))), (), None):
        kept = Browser(name="Anna", visit="v-1", hears=hears)
        assert await rooms.subscribe(ROOM, WEB, kept, participant_id=f"part-{WEB}", now=NOW)
        assert (await members(rooms))[0].browser == kept
    assert await owed(outbox) == [Subscribe(ROOM, f"part-{WEB}", None)], "the last word counts"


async def test_who_is_not_in_its_seat_hears_nobody(rooms: Rooms, redis: Redis) -> None:
    assert not await rooms.subscribe(ROOM, WEB, ANNA, participant_id="p", now=NOW)
    assert await left_over(redis) == []
    await taken(rooms)
    assert not await rooms.subscribe(ROOM, WEB, ANNA, participant_id="p", now=NOW)
    await rooms.take_seat(ROOM, WEB, participant_id="p", new_session_id="S", now=NOW)
    await rooms.vacate(ROOM, WEB, now=NOW)
    assert not await rooms.subscribe(ROOM, WEB, ANNA, participant_id="p", now=NOW)
    assert f"subscribe:{WEB}" not in await owes(redis)


async def test_who_leaves_is_not_subscribed_any_more(rooms: Rooms, outbox: Outbox) -> None:
    await inside(rooms, session="S")
    await rooms.subscribe(ROOM, WEB, ANNA, participant_id=f"part-{WEB}", now=NOW)
    await rooms.vacate(ROOM, WEB, now=NOW)
    assert Subscribe not in {type(one) for one in await owed(outbox)}


async def test_into_a_new_session_it_comes_as_phones_do(rooms: Rooms, outbox: Outbox) -> None:
    await seated(rooms, "a.1", session="S")
    await inside(rooms)
    await rooms.replace_session(ROOM, "a.1", vanished_session_id="S", new_session_id="T", now=NOW)
    assert await owed(outbox) == [AddParticipant(ROOM, WEB, "T", f"part-{WEB}")]
    assert await rooms.roll_over(ROOM, old_session_id="T", new_session_id="U", now=NOW)
    assert [one for one in await owed(outbox) if getattr(one, "seat", "") == WEB] == [
        RemoveParticipant(WEB, "T", f"part-{WEB}"),
        AddParticipant(ROOM, WEB, "U", f"part-{WEB}"),
    ]


# With phones ------------------------------------------------------------------------------------------------


async def waiting_room(rooms: Rooms) -> None:
    await rooms.configure(ROOM, RoomSettings(waiting=WaitingSettings(sound=WaitingSound.RING)), now=NOW)


async def test_who_waits_outside_is_told_when_it_comes(rooms: Rooms, outbox: Outbox) -> None:
    await waiting_room(rooms)
    assert isinstance(await reserve(rooms, "a.1", waits=True), EmptyRoom)
    await inside(rooms)
    assert await owed(outbox) == [SummonWaiter(ROOM, "a")]


async def test_nobody_waits_outside_of_a_room_that_it_is_in(rooms: Rooms) -> None:
    await waiting_room(rooms)
    await inside(rooms, session="S")
    assert isinstance(await reserve(rooms, "a.1", waits=True), ReservedSeat)


@pytest.fixture
async def lonely(rooms: Rooms) -> Rooms:
    """The room tells whoever is left alone in it."""
    await rooms.configure(ROOM, RoomSettings(alone=AloneSettings(after=30, then=AloneAction.HANGUP)), now=NOW)
    return rooms


async def test_a_phone_that_it_leaves_alone_is_told(lonely: Rooms, redis: Redis) -> None:
    await seated(lonely, "a.1", session="S")
    await inside(lonely)
    await lonely.vacate(ROOM, WEB, now=NOW)
    assert (await owes(redis))["tell-alone"] == (30, TellAlone(ROOM, "a.1", AloneAction.HANGUP))


async def test_company_is_company(lonely: Rooms, redis: Redis) -> None:
    await seated(lonely, "a.1", session="S")
    await seated(lonely, "b.1")
    await lonely.vacate(ROOM, "b.1", now=NOW)
    assert "tell-alone" in await owes(redis)
    await inside(lonely)
    assert "tell-alone" not in await owes(redis)


async def test_a_browser_that_is_left_alone_sees_it_for_itself(lonely: Rooms, redis: Redis) -> None:
    await seated(lonely, "a.1", session="S")
    await inside(lonely)
    await lonely.vacate(ROOM, "a.1", now=NOW)
    assert "tell-alone" not in await owes(redis)


# The end of the room ----------------------------------------------------------------------------------------


async def test_closing_takes_everybody_down_and_tells_no_call(
    rooms: Rooms, outbox: Outbox, redis: Redis
) -> None:
    await inside(rooms, session="S")
    assert await rooms.close(ROOM, now=NOW)
    assert await members(rooms) == ()
    assert not await rooms.heartbeat(ROOM, WEB, now=NOW)
    assert await execute_owed(rooms, outbox) == [
        RemoveParticipant(WEB, "S", f"part-{WEB}"),
        DeleteParticipant(WEB, f"part-{WEB}"),
        FreeSeat(ROOM, WEB),
        DeleteSession("S"),
    ]
    assert await left_over(redis) == []


async def test_closing_while_it_is_on_its_way(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await taken(rooms)
    assert await rooms.close(ROOM, now=NOW)
    assert await left_over(redis) == []
    assert await taken(rooms) == SeatGone(), "the reservation was sent again"
    assert await rooms.take_seat(ROOM, WEB, participant_id="p", new_session_id="S", now=NOW) == SeatGone()
    assert sorted(await owed(outbox), key=str) == [DeleteParticipant(WEB, "p"), DeleteSession("S")]
    assert await left_over(redis) == []


async def test_closing_while_it_leaves(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await inside(rooms, session="S")
    await rooms.vacate(ROOM, WEB, now=NOW)
    await rooms.close(ROOM, now=NOW)
    assert (await execute_owed(rooms, outbox))[-1] == DeleteSession("S")
    assert await left_over(redis) == []
