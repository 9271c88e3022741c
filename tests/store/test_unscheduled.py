"""Calls and rooms that owe nothing any more of what they must are found, by one replica at a time."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from service.calls.browser import Browser
from service.calls.effects import CheckCall, CheckRoom, EndDialing, FreeSeat, ReplaceSession, Scheduled
from service.calls.model import Call, Direction, Intent, Media, Phone
from service.calls.refs import ref_of_call
from service.calls.replies import NoReply
from service.store import keys, unscheduled
from service.store.calls import CallCommit, Calls
from service.store.outbox import Outbox
from service.store.redis.client import Client
from service.store.rooms import ROLL_OVER_AFTER, Rooms
from service.store.unscheduled import Unscheduled, UnscheduledSearch
from tests.store.repeating import contents
from tests.store.seats import NOW, PARTITION, ROOM, owed, seated

OWNER: Final = keys.owner_room(ROOM)
REF: Final = next(
    ref for n in range(99) if keys.partition_of_owner(f"call:{(ref := ref_of_call(f'c-{n}'))}") == 3
)
CALLER: Final = keys.owner_call(REF)


@pytest.fixture
def search(client: Client) -> UnscheduledSearch:
    return UnscheduledSearch(client, interval=240, max_dialing=600, roll_over=ROLL_OVER_AFTER)


async def found(search: UnscheduledSearch, partition: int, *, now: float = NOW) -> list[Unscheduled]:
    return [one async for part in search.scan(partition, now=now) for one in part]


@pytest.fixture
def know(client: Client) -> Callable[..., Awaitable[Call]]:
    """A call as it is written, with what it owes."""
    calls = Calls(client, ended_days=1)

    async def know(ref: str = REF, **more: Any) -> Call:
        call = Call(
            ref=ref, call_id="c", direction=Direction.INBOUND, room=ROOM, created_at=NOW, phone=Phone.UP
        )
        call = replace(call, **{"media": Media.BRIDGED, **more})
        effect = EndDialing(ref) if call.phone is Phone.DIALING else CheckCall(ref)
        change = CallCommit(
            call=call,
            event_key="",
            reply=NoReply(),
            timeline_entry=None,
            effects=(Scheduled(effect, NOW + 900),),
        )
        assert await calls.commit(0, change, now=NOW, commit_id="1")
        return call

    return know


@pytest.fixture
async def forget(redis: Redis) -> Callable[[str], Awaitable[None]]:
    async def forget(owner: str) -> None:
        assert await redis.delete(keys.owed(owner))
        assert await redis.zrem(keys.agenda(keys.partition_of_owner(owner)), owner)

    return forget


Know = Callable[..., Awaitable[Call]]
Forget = Callable[[str], Awaitable[None]]


async def test_a_live_call_that_nobody_would_ask_after_is_asked_after_now(
    search: UnscheduledSearch, outbox: Outbox, know: Know, forget: Forget
) -> None:
    await know()
    await forget(CALLER)
    assert await found(search, 3) == [Unscheduled(CALLER, "ask-after")]
    assert await outbox.claim(3, now=NOW, limit=9) == [CALLER]
    [work] = await outbox.settle(CALLER, now=NOW)
    assert work.effect == CheckCall(REF)


async def test_a_call_that_owes_something_else_is_asked_after_all_the_same(
    search: UnscheduledSearch, know: Know, redis: Redis
) -> None:
    await know()
    await redis.hset(keys.owed(CALLER), "tell-time-up", f"9 {NOW * 1000 + 9e6:.0f} tell-time-up 0 0 {{}}")
    await redis.hdel(keys.owed(CALLER), "ask-after")
    assert await found(search, 3) == [Unscheduled(CALLER, "ask-after")]


async def test_a_call_that_is_being_dialed_is_seen_to_when_it_can_ring_no_longer(
    search: UnscheduledSearch, outbox: Outbox, know: Know, forget: Forget
) -> None:
    await know(phone=Phone.DIALING)
    await forget(CALLER)
    assert await found(search, 3) == [Unscheduled(CALLER, "end-dialing")]
    assert await outbox.settle(CALLER, now=NOW + 599) == []
    [work] = await outbox.settle(CALLER, now=NOW + 601)
    assert work.effect == EndDialing(REF)


@pytest.mark.parametrize("ended", [False, True])
async def test_what_is_owed_and_not_on_the_agenda_is_put_there(
    search: UnscheduledSearch, outbox: Outbox, know: Know, redis: Redis, ended: bool
) -> None:
    over = {"phone": Phone.GONE, "ended_at": NOW, "attempt": 1, "intent": Intent.HANGUP}
    await know(**over if ended else {})
    await redis.zrem(keys.agenda(3), CALLER)
    assert await found(search, 3) == [Unscheduled(CALLER, "agenda")]
    assert await outbox.claim(3, now=NOW, limit=9) == [CALLER]


@pytest.mark.parametrize("phone", [Phone.DIALING, Phone.RINGING, Phone.UP, Phone.GONE])
async def test_who_owes_what_it_must_is_left_alone(
    search: UnscheduledSearch, know: Know, redis: Redis, phone: Phone
) -> None:
    await know(phone=phone)
    before = await contents(redis)
    assert await found(search, 3) == []
    after = await contents(redis)
    assert {key for key in after if key not in before} == {keys.searched(3)}
    assert all(after[key] == value for key, value in before.items())


async def test_a_call_that_the_store_has_forgotten_is_not_asked_after(
    search: UnscheduledSearch, know: Know, forget: Forget, redis: Redis
) -> None:
    await know()
    await forget(CALLER)
    await redis.delete(keys.call(REF))
    assert await found(search, 3) == []


async def test_a_room_is_looked_at_and_its_session_replaced_in_time(
    search: UnscheduledSearch, outbox: Outbox, rooms: Rooms, forget: Forget, redis: Redis
) -> None:
    await seated(rooms, "a.1", session="S")
    await forget(OWNER)
    later = NOW + 3600
    assert await found(search, PARTITION, now=later) == [
        Unscheduled(OWNER, "check-room"),
        Unscheduled(OWNER, "replace-session"),
    ]
    assert await owed(outbox, now=NOW + ROLL_OVER_AFTER - 1) == [CheckRoom(ROOM, "S")]
    assert ReplaceSession(ROOM, "S") in await owed(outbox, now=NOW + ROLL_OVER_AFTER + 1)


@pytest.mark.parametrize("closed", [False, True])
async def test_a_seat_that_was_being_given_up_is_given_up(
    search: UnscheduledSearch, outbox: Outbox, rooms: Rooms, forget: Forget, redis: Redis, closed: bool
) -> None:
    await seated(rooms, "a.1", session="S")
    await seated(rooms, "b.1")
    if closed:
        await rooms.close(ROOM, now=NOW)
        await seated(rooms, "c.1", session="T")
    else:
        await rooms.vacate(ROOM, "a.1", now=NOW)
    await forget(OWNER)
    seats = {"a.1", "b.1"} if closed else {"a.1"}
    again = await found(search, PARTITION)
    assert again.count(Unscheduled(OWNER, "free-seat")) == len(seats)
    done = await owed(outbox)
    assert {one.seat for one in done if isinstance(one, FreeSeat)} == seats
    assert {getattr(one, "session_id", "S") for one in done} - {"T"} == {"S"}


async def test_a_browser_is_looked_after(
    search: UnscheduledSearch, rooms: Rooms, forget: Forget, outbox: Outbox
) -> None:
    seat = "web-a.1"
    await rooms.reserve(ROOM, seat, wait_if_empty=False, limit=9, now=NOW, browser=Browser("", (), ""))
    await forget(OWNER)
    assert await found(search, PARTITION) == [Unscheduled(OWNER, "check-presence")]
    assert [one.id for one in await outbox.settle(OWNER, now=NOW)] == [f"check-presence:{seat}"]


async def test_one_replica_looks_through_a_partition_and_not_soon_again(
    client: Client, search: UnscheduledSearch, know: Know, forget: Forget, redis: Redis
) -> None:
    await know()
    assert await found(search, 3) == []
    await forget(CALLER)
    other = UnscheduledSearch(client, interval=240, max_dialing=600, roll_over=ROLL_OVER_AFTER)
    assert await found(other, 3) == []
    assert 230 < await redis.ttl(keys.searched(3)) <= 240
    await redis.delete(keys.searched(3))
    assert len(await found(other, 3)) == 1


async def test_however_many_there_are_each_step_looks_at_some(
    client: Client, search: UnscheduledSearch, redis: Redis, know: Know, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unscheduled, "_PART", 4)
    refs = [
        ref for n in range(400) if keys.partition_of_owner(f"call:{(ref := ref_of_call(f'c-{n}'))}") == 3
    ][:11]
    for ref in refs:
        await know(ref)
        await redis.delete(keys.owed(keys.owner_call(ref)))
    parts = [part async for part in search.scan(3, now=NOW)]
    assert [len(part) for part in parts] == [4, 4, 3, 0, 0, 0, 0]
    assert {one.owner for part in parts for one in part} == {keys.owner_call(ref) for ref in refs}
