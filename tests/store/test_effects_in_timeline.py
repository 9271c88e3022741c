"""What became of owed work is told in its call's timeline: once, whatever is repeated, and bounded."""

from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from service.calls.effects import DeleteSession, HangUpPhone, Scheduled
from service.calls.model import Phone
from service.store import keys
from service.store.calls import Calls
from service.store.outbox import MAX_TIMELINE_ENTRIES, DueEffect, GivenUp, Outbox, Postponed
from service.store.redis.client import Client
from service.store.rooms import Rooms
from tests.store.test_calls import CALL, NOW, REF, change

OWNER = keys.owner_call(REF)
ENTRY: dict[str, object] = {"at": NOW, "event": "effectDone", "effect": "hang-up", "tries": 1}


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def compresses(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def outbox(repeating: Client, compresses: bool) -> Outbox:
    """Each of its scripts runs twice, and the second time has to leave everything as it is."""
    return Outbox(repeating, worker="w", lease=45, compress=compresses)


@pytest.fixture
def calls(client: Client, compresses: bool) -> Calls:
    return Calls(client, ended_days=7, compress=compresses)


async def owing(calls: Calls, outbox: Outbox) -> DueEffect:
    owed = (Scheduled(HangUpPhone("c-1"), NOW),)
    assert await calls.commit(0, change(effects=owed), now=NOW, commit_id="a")
    [work] = await outbox.settle(OWNER, now=NOW)
    return work


async def told(calls: Calls) -> list[Any]:
    viewed = await calls.view(REF)
    assert viewed is not None
    return viewed[1][1:]


async def test_done(calls: Calls, outbox: Outbox) -> None:
    work = await owing(calls, outbox)
    await outbox.settle(OWNER, now=NOW, done=[work], timeline_entries={work.id: ENTRY})
    assert await told(calls) == [ENTRY]


async def test_put_off(calls: Calls, outbox: Outbox) -> None:
    work = await owing(calls, outbox)
    await outbox.settle(
        OWNER, now=NOW, postponed=[Postponed(work, NOW + 9)], timeline_entries={work.id: ENTRY}
    )
    assert await told(calls) == [ENTRY]


async def test_laid_aside(calls: Calls, outbox: Outbox) -> None:
    work = await owing(calls, outbox)
    await outbox.settle(
        OWNER, now=NOW, given_up=[GivenUp(work, "server-error")], timeline_entries={work.id: ENTRY}
    )
    assert await told(calls) == [ENTRY]


async def test_what_was_owed_anew_meanwhile_is_not_told_of(calls: Calls, outbox: Outbox) -> None:
    work = await owing(calls, outbox)
    again = change(event_key="other@1", effects=(Scheduled(HangUpPhone("c-2"), NOW + 1),))
    assert await calls.commit(1, again, now=NOW, commit_id="b")
    await outbox.settle(OWNER, now=NOW, done=[work], timeline_entries={work.id: ENTRY})
    assert [one["event"] for one in await told(calls)] == ["initiate"]


async def test_nothing_to_be_told(calls: Calls, outbox: Outbox) -> None:
    work = await owing(calls, outbox)
    await outbox.settle(OWNER, now=NOW, done=[work])
    assert await told(calls) == []


async def test_a_timeline_that_has_gone_stays_gone(calls: Calls, outbox: Outbox, redis: Redis) -> None:
    work = await owing(calls, outbox)
    await redis.delete(keys.CallKeys.of(REF).timeline)
    await outbox.settle(OWNER, now=NOW, done=[work], timeline_entries={work.id: ENTRY})
    assert await redis.exists(keys.CallKeys.of(REF).timeline) == 0


async def test_it_is_bounded(calls: Calls, outbox: Outbox, redis: Redis) -> None:
    work = await owing(calls, outbox)
    await redis.rpush(
        keys.CallKeys.of(REF).timeline, *(b'{"event":"x"}' for _ in range(MAX_TIMELINE_ENTRIES))
    )
    await outbox.settle(OWNER, now=NOW, done=[work], timeline_entries={work.id: ENTRY})
    assert await redis.llen(keys.CallKeys.of(REF).timeline) == MAX_TIMELINE_ENTRIES
    assert await redis.ttl(keys.CallKeys.of(REF).timeline) > 0


async def test_rooms_have_none(rooms: Rooms, outbox: Outbox, redis: Redis) -> None:
    await rooms.schedule("lobby", DeleteSession("S"), now=NOW)
    [work] = await outbox.settle(keys.owner_room("lobby"), now=NOW)
    await outbox.settle(keys.owner_room("lobby"), now=NOW, done=[work], timeline_entries={work.id: ENTRY})
    assert await redis.keys("*:timeline:*") == []


async def test_calls_by_how_they_begin_and_those_that_are_up(calls: Calls) -> None:
    call = replace(CALL, created_at=NOW)
    assert await calls.commit(0, change(call), now=NOW, commit_id="a")
    assert await calls.find_by_prefix(REF[:5], limit=9) == [REF]
    assert await calls.find_by_prefix("p99", limit=9) == []
    assert await calls.list_live() == [call]
    gone = replace(call, phone=Phone.GONE, ended_at=NOW)
    assert await calls.commit(1, change(gone, event_key="disconnect@1"), now=NOW, commit_id="b")
    assert await calls.list_live() == []
