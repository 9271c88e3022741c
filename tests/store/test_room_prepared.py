"""Participants that are made ahead: kept with the room, handed out with a seat, and never forgotten."""

from typing import Final, Literal

import pytest
from redis.asyncio import Redis

from service.calls.browser import Browser
from service.calls.effects import (
    DeleteParticipant,
    DeleteSession,
    Effect,
    FreeSeat,
    PrepareParticipant,
    RemoveParticipant,
    ReplacePrepared,
)
from service.calls.room_settings import MAX_MEMBERS
from service.store import keys
from service.store.outbox import DueEffect, Outbox, UnreadableEffect
from service.store.redis.client import Client
from service.store.room_results import ReservedSeat, TakenSeat
from service.store.rooms import Rooms
from tests.store.seats import NO_SETTINGS, NOW, ROOM, execute_owed, left_over, owed, owes, seated

TILL: Final = 1200.0
TAKEN_DOWN: Final = [RemoveParticipant("", "S", "s"), DeleteParticipant("", "s")]
OWN_ROOM: Final = "call-p03-abcdefghijklmnopqrst"


@pytest.fixture
def rooms(repeating: Client) -> Rooms:
    """Each of its scripts runs twice."""
    return Rooms(repeating, prepared=1)


async def stocked(rooms: Rooms, participant: str = "s", *, now: float = NOW) -> str:
    session = await rooms.update_prepared(ROOM, "coming", participant, now=now, usable_until=now + TILL)
    return session and await rooms.update_prepared(
        ROOM, "ready", participant, now=now, token=f"token-{participant}"
    )


async def take(rooms: Rooms, seat: str, *, now: float = NOW) -> ReservedSeat:
    place = await rooms.reserve(
        ROOM, seat, wait_if_empty=False, limit=MAX_MEMBERS, now=now, use_prepared=True
    )
    assert isinstance(place, ReservedSeat)
    return place


async def stock(rooms: Rooms) -> dict[str, bool]:
    view = await rooms.read(ROOM)
    assert view
    return dict(view.prepared)


async def test_one_is_asked_for_as_soon_as_somebody_is_there(rooms: Rooms, redis: Redis) -> None:
    await rooms.reserve(ROOM, "a.1", wait_if_empty=False, limit=MAX_MEMBERS, now=NOW, use_prepared=True)
    assert "stock-room" not in await owes(redis), "there is no session to put it into"
    await rooms.take_seat(ROOM, "a.1", participant_id="p", new_session_id="S", now=NOW)
    assert (await owes(redis))["stock-room"] == (0, PrepareParticipant(ROOM))


async def test_who_comes_takes_it_with_the_seat_and_the_next_is_asked_for(
    rooms: Rooms, outbox: Outbox, redis: Redis
) -> None:
    await seated(rooms, "a.1", session="S")
    assert await stocked(rooms) == "S"
    assert await stock(rooms) == {"s": True}
    assert await owed(outbox) == [PrepareParticipant(ROOM)]
    assert (await owes(redis))["replace-stock:s"] == (TILL, ReplacePrepared(ROOM, "s"))
    assert await take(rooms, "b.1") == ReservedSeat("S", NO_SETTINGS, "s", "token-s")
    view = await rooms.read(ROOM)
    assert view
    assert [(one.seat, one.phase, one.participant_id) for one in view.members] == [
        ("a.1", "in", "part-a.1"),
        ("b.1", "in", "s"),
    ]
    assert view.prepared == {}
    assert set(await owes(redis)) == {"stock-room", "replace-session:S", "check-room:S", "check-taken:S"}
    # The next before that one is there goes the ordinary way.
    assert await take(rooms, "c.1") == ReservedSeat("S", NO_SETTINGS)


async def test_a_seat_that_was_given_one_leaves_like_any_other(
    rooms: Rooms, outbox: Outbox, redis: Redis
) -> None:
    await seated(rooms, "a.1", session="S")
    await stocked(rooms)
    await take(rooms, "b.1")
    await rooms.vacate(ROOM, "a.1", now=NOW)
    await rooms.vacate(ROOM, "b.1", now=NOW)
    done = await execute_owed(rooms, outbox)
    assert DeleteParticipant("b.1", "s") in done
    assert await left_over(redis) == []


@pytest.mark.parametrize("which", ["of another session", "coming", "too old", "not wanted", "a browser's"])
async def test_what_is_not_handed_out(rooms: Rooms, which: str) -> None:
    await seated(rooms, "a.1", session="S")
    now, browser, takes = NOW, None, True
    match which:
        case "of another session":
            await stocked(rooms)
            await rooms.roll_over(ROOM, old_session_id="S", new_session_id="T", now=NOW)
        case "coming":
            await rooms.update_prepared(ROOM, "coming", "s", now=NOW, usable_until=NOW + TILL)
        case "too old":
            await stocked(rooms)
            now = NOW + TILL
        case "not wanted":
            await stocked(rooms)
            takes = False
        case _:
            await stocked(rooms)
            browser, takes = Browser("Ann", ()), False
    place = await rooms.reserve(
        ROOM, "web-b.1", wait_if_empty=False, limit=MAX_MEMBERS, now=now, use_prepared=takes, browser=browser
    )
    assert isinstance(place, ReservedSeat)
    assert place.participant_id == ""


async def test_a_room_of_a_callers_own_has_none(rooms: Rooms, redis: Redis) -> None:
    await rooms.reserve(OWN_ROOM, "a.1", wait_if_empty=False, limit=MAX_MEMBERS, now=NOW, use_prepared=True)
    await rooms.take_seat(OWN_ROOM, "a.1", participant_id="p", new_session_id="S", now=NOW)
    assert b"stock-room" not in await redis.hkeys(keys.owed(keys.owner_room(OWN_ROOM)))
    assert await rooms.update_prepared(OWN_ROOM, "coming", "s", now=NOW, usable_until=NOW + TILL) == ""


async def test_one_that_nobody_wants_any_more_is_deleted(rooms: Rooms, outbox: Outbox) -> None:
    await seated(rooms, "a.1", session="S")
    await stocked(rooms)
    assert await stocked(rooms, "more") == ""
    assert DeleteParticipant("", "more") in await owed(outbox)
    assert await stock(rooms) == {"s": True}


async def test_it_goes_with_the_last_and_before_the_session(
    rooms: Rooms, outbox: Outbox, redis: Redis
) -> None:
    await seated(rooms, "a.1", session="S")
    await owed(outbox)
    await stocked(rooms)
    await rooms.vacate(ROOM, "a.1", now=NOW)
    assert await execute_owed(rooms, outbox) == [
        RemoveParticipant("a.1", "S", "part-a.1"),
        DeleteParticipant("a.1", "part-a.1"),
        FreeSeat(ROOM, "a.1"),
        RemoveParticipant("", "S", "s"),
        DeleteParticipant("", "s"),
        DeleteSession("S"),
    ]
    assert await left_over(redis) == []


@pytest.mark.parametrize("step", ["gone", "failed"])
async def test_a_session_outlives_one_that_is_on_its_way_out(
    rooms: Rooms, outbox: Outbox, step: Literal["gone", "failed"]
) -> None:
    await seated(rooms, "a.1", session="S")
    await owed(outbox)
    await stocked(rooms)
    await rooms.update_prepared(ROOM, step, "s", now=NOW)
    await rooms.vacate(ROOM, "a.1", now=NOW)
    found: list[Effect | UnreadableEffect] = []
    done: list[DueEffect] = []
    while due := await outbox.settle(keys.owner_room(ROOM), now=NOW, done=done, postponed=[]):
        # Bandwidth does not let it go yet.
        done = [work for work in due if work.effect != RemoveParticipant("", "S", "s")]
        if not done:
            break
        if any(work.effect == FreeSeat(ROOM, "a.1") for work in done):
            await rooms.free_seat(ROOM, "a.1", now=NOW)
        found += [work.effect for work in done]
    assert FreeSeat(ROOM, "a.1") in found
    assert DeleteSession("S") not in found


async def test_one_that_comes_when_the_room_has_ended_is_deleted(
    rooms: Rooms, outbox: Outbox, redis: Redis
) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.update_prepared(ROOM, "coming", "s", now=NOW, usable_until=NOW + TILL)
    await rooms.vacate(ROOM, "a.1", now=NOW)
    assert DeleteParticipant("", "s") in await execute_owed(rooms, outbox)
    assert await rooms.update_prepared(ROOM, "ready", "s", now=NOW, token="t") == ""
    assert await left_over(redis) == []


async def test_a_closed_room_has_none(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await stocked(rooms)
    await rooms.close(ROOM, now=NOW)
    done = await execute_owed(rooms, outbox)
    assert done.index(DeleteParticipant("", "s")) < done.index(DeleteSession("S"))
    assert await left_over(redis) == []


async def test_with_a_new_session_it_is_made_anew(rooms: Rooms, outbox: Outbox) -> None:
    await seated(rooms, "a.1", session="S")
    await owed(outbox)
    await stocked(rooms)
    await rooms.roll_over(ROOM, old_session_id="S", new_session_id="T", now=NOW)
    done = await owed(outbox)
    assert [one for one in done if getattr(one, "participant_id", "") == "s"] == [
        RemoveParticipant("", "S", "s"),
        DeleteParticipant("", "s"),
    ]
    assert PrepareParticipant(ROOM) in done
    assert await stocked(rooms, "t") == "T"


async def test_a_session_that_vanished_has_taken_it_along(rooms: Rooms, outbox: Outbox) -> None:
    await seated(rooms, "a.1", session="S")
    await owed(outbox)
    await stocked(rooms)
    await rooms.replace_session(ROOM, "a.1", vanished_session_id="S", new_session_id="T", now=NOW)
    done = await owed(outbox)
    assert PrepareParticipant(ROOM) in done
    assert [one for one in done if one != PrepareParticipant(ROOM)] == [DeleteParticipant("", "s")]
    assert await stock(rooms) == {}


async def test_one_that_is_too_old_is_replaced(rooms: Rooms, outbox: Outbox) -> None:
    await seated(rooms, "a.1", session="S")
    await owed(outbox)
    await stocked(rooms)
    await rooms.update_prepared(ROOM, "gone", "s", now=NOW)
    done = await owed(outbox)
    assert PrepareParticipant(ROOM) in done
    assert [one for one in done if one != PrepareParticipant(ROOM)] == TAKEN_DOWN


async def test_after_a_failure_none_is_asked_for(rooms: Rooms, outbox: Outbox) -> None:
    await seated(rooms, "a.1", session="S")
    await owed(outbox)
    await rooms.update_prepared(ROOM, "coming", "s", now=NOW, usable_until=NOW + TILL)
    await rooms.update_prepared(ROOM, "failed", "s", now=NOW)
    assert await owed(outbox) == TAKEN_DOWN


async def test_people_go_before_stock(rooms: Rooms, outbox: Outbox) -> None:
    await seated(rooms, "a.1", session="S")
    await stocked(rooms)
    for number in range(MAX_MEMBERS - 5):
        await seated(rooms, f"b{number}.1")
    assert await stock(rooms) == {"s": True}, f"{MAX_MEMBERS - 4} are in"
    await owed(outbox)
    await seated(rooms, "c.1")
    assert await owed(outbox) == TAKEN_DOWN
    assert await stocked(rooms, "t") == "", "there is no place for it"


async def test_the_token_is_not_kept_for_longer_than_it_is_needed(rooms: Rooms, redis: Redis) -> None:
    await seated(rooms, "a.1", session="S")
    await stocked(rooms)
    await take(rooms, "b.1")
    assert await redis.hexists(keys.room(ROOM), "given:b.1")
    await stocked(rooms, "t", now=NOW + 59)
    assert await redis.hexists(keys.room(ROOM), "given:b.1")
    await rooms.update_prepared(ROOM, "failed", "unknown", now=NOW + 61)
    assert not await redis.hexists(keys.room(ROOM), "given:b.1")


def test_a_place_does_not_show_its_token() -> None:
    assert "secret" not in repr(ReservedSeat("S", NO_SETTINGS, "s", "secret"))


async def test_company_and_waiters_are_told_as_ever(rooms: Rooms, outbox: Outbox) -> None:
    """What is told of a seat that is taken at once is what room_enter tells; here that nobody is alone."""
    await seated(rooms, "a.1", session="S")
    await stocked(rooms)
    await take(rooms, "b.1")
    assert await rooms.take_seat(ROOM, "b.1", participant_id="s", new_session_id="", now=NOW) == TakenSeat(
        "S", has_due_work=True
    )
    assert PrepareParticipant(ROOM) in await owed(outbox)
