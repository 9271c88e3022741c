"""Calls as they are looked for."""

from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from service.calls.effects import HangUpPhone, Scheduled
from service.calls.model import SCHEMA, Blame, Call, Direction, Outcome, Phone
from service.calls.outcomes import ERASED
from service.calls.refs import partition_of_ref, ref_of_call
from service.calls.replies import NoReply
from service.store import keys
from service.store.call_index import CallPage
from service.store.calls import CallCommit, Calls
from service.store.errors import StoreCorrupt
from service.store.redis.client import Client
from tests.store.repeating import contents

NOW = 1_700_000_000.0
DAY = 86_400


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def calls(repeating: Client, request: pytest.FixtureRequest) -> Calls:
    return Calls(repeating, ended_days=7, compress=request.param)


def call(name: str, at: float = NOW, **fields: Any) -> Call:
    base = Call(
        ref=ref_of_call(name),
        call_id=name,
        direction=Direction.INBOUND,
        room="lobby",
        created_at=at,
        phone=Phone.UP,
        attempt=1,
    )
    return msgspec.structs.replace(base, **fields)


async def write(
    calls: Calls, what: Call, *, revision: int = 0, now: float = NOW, owed: tuple[Scheduled, ...] = ()
) -> Call:
    change = CallCommit(
        call=what,
        event_key=f"e{revision}",
        reply=NoReply(),
        timeline_entry={"n": revision},
        effects=owed,
        token="secret",
    )
    assert await calls.commit(revision, change, now=now, commit_id=f"c{revision}")
    return what


async def recent(
    calls: Calls,
    *,
    before: tuple[float, str] | None = None,
    since: float | None = None,
    until: float | None = None,
    limit: int = 100,
) -> CallPage:
    return await calls.list_recent(before=before, since=since, until=until, limit=limit)


async def index(redis: Redis, what: Call) -> list[str]:
    """What is listed in the partition of a call, oldest first."""
    found: list[Any] = await redis.zrange(keys.calls(partition_of_ref(what.ref)), 0, -1)
    return [ref.decode() for ref in found]


# One call ---------------------------------------------------------------------------------------------------


async def test_a_call_is_seen_with_its_timeline(calls: Calls) -> None:
    one = await write(calls, call("c-1"))
    await write(calls, one, revision=1)
    assert await calls.view(one.ref) == (one, [{"n": 0}, {"n": 1}])
    assert await calls.view(ref_of_call("c-2")) is None


async def test_a_call_of_a_newer_release_may_be_seen(calls: Calls) -> None:
    one = await write(calls, call("c-1", schema=SCHEMA + 1))
    assert await calls.view(one.ref) == (one, [{"n": 0}])
    assert (await recent(calls)).calls == [one]


async def test_what_cannot_be_read_is_said(calls: Calls, redis: Redis) -> None:
    one = await write(calls, call("c-1"))
    await redis.hset(keys.call(one.ref), "state", "{")
    with pytest.raises(StoreCorrupt, match=one.ref):
        await calls.view(one.ref)


async def test_a_call_has_another_name(calls: Calls, redis: Redis) -> None:
    assert await calls.ref_of_call_id("c-1") == ref_of_call("c-1")
    await calls.add_alias("c-1", ref_of_call("mine"))
    assert await calls.ref_of_call_id("c-1") == ref_of_call("mine")
    assert await calls.ref_of_call_id("c-2") == ref_of_call("c-2")
    [key] = await redis.keys()
    assert await redis.ttl(key) == pytest.approx(8 * DAY, abs=2)


# Many -------------------------------------------------------------------------------------------------------


async def test_the_newest_come_first(calls: Calls) -> None:
    written = [await write(calls, call(f"c-{n}", NOW + n)) for n in range(20)]
    assert len({partition_of_ref(one.ref) for one in written}) > 5
    assert await recent(calls) == CallPage(written[::-1], None)


async def test_a_change_does_not_make_a_call_newer(calls: Calls) -> None:
    old, new = [await write(calls, call(f"c-{n}", NOW + n)) for n in range(2)]
    await write(calls, old, revision=1, now=NOW + 60)
    assert (await recent(calls)).calls == [new, old]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_page_after_page_every_call_is_seen_once(client: Client, limit: int) -> None:
    """Also where several began in the same millisecond, or in the middle of one."""
    calls = Calls(client, ended_days=7)
    times = [NOW, NOW + 0.0014, NOW + 0.0015, NOW + 0.0016, NOW + 1.001, NOW + 1.001, NOW + 1.001, NOW + 2]
    written = [await write(calls, call(f"c-{n}", times[n % 8])) for n in range(32)]
    seen: list[Call] = []
    page = await recent(calls, limit=limit)
    while page.next:
        assert len(page.calls) == limit
        seen += page.calls
        last = page.calls[-1]
        assert page.next[1] == last.ref
        from_call = await recent(calls, before=(last.created_at, last.ref), limit=limit)
        page = await recent(calls, before=page.next, limit=limit)
        assert page == from_call, "a call is its own position"
    seen += page.calls
    assert seen == sorted(written, key=lambda one: (round(one.created_at * 1000), one.ref), reverse=True)


async def test_calls_of_one_partition_that_began_together(client: Client) -> None:
    calls = Calls(client, ended_days=7)
    names = [f"c-{n}" for n in range(200) if partition_of_ref(ref_of_call(f"c-{n}")) == 3]
    written = sorted([(await write(calls, call(name))).ref for name in names], reverse=True)
    assert len(written) > 5
    first = await recent(calls, limit=2)
    rest = await recent(calls, before=first.next)
    assert [one.ref for one in (*first.calls, *rest.calls)] == written


async def test_from_when_and_until_when(calls: Calls) -> None:
    written = [await write(calls, call(f"c-{n}", NOW + n)) for n in range(6)]
    assert (await recent(calls, since=NOW + 3)).calls == written[:2:-1]
    assert (await recent(calls, until=NOW + 3)).calls == written[2::-1]
    assert (await recent(calls, since=NOW + 2, until=NOW + 4)).calls == written[3:1:-1]
    cursor = (NOW + 4, written[4].ref)
    assert (await recent(calls, before=cursor, since=NOW + 3, until=NOW + 9)).calls == [written[3]]
    assert (await recent(calls, before=cursor, since=NOW + 5)).calls == []
    assert (await recent(calls, before=cursor, until=NOW + 2)).calls == written[1::-1]
    assert (await recent(calls, before=(NOW + 4, "~"), until=NOW + 4)).calls == written[3::-1]
    assert (await recent(calls, before=(NOW + 4, "~"), since=NOW + 5)).calls == []


async def test_who_has_expired_is_left_out_and_one_can_go_on(calls: Calls, redis: Redis) -> None:
    written = [await write(calls, call(f"c-{n}", NOW + n)) for n in range(4)]
    await redis.delete(*(keys.call(one.ref) for one in written[2:]))
    page = await recent(calls, limit=2)
    assert page == CallPage([], (NOW + 2, written[2].ref))
    assert (await recent(calls, before=page.next, limit=2)).calls == written[1::-1]


async def test_who_cannot_be_read_hides_nobody(calls: Calls, redis: Redis) -> None:
    written = [await write(calls, call(f"c-{n}", NOW + n)) for n in range(2)]
    await redis.hset(keys.call(written[1].ref), "state", "{")
    assert (await recent(calls)).calls == [written[0]]


async def test_two_round_trips(client: Client, redis: Redis) -> None:
    calls = Calls(client, ended_days=7)
    for n in range(20):
        await write(calls, call(f"c-{n}", NOW + n))
    await recent(calls)
    before = int((await redis.info("stats"))["total_reads_processed"])
    await recent(calls)
    assert int((await redis.info("stats"))["total_reads_processed"]) - before == 2 + 1


@pytest.mark.parametrize(
    ("fields", "listed"),
    [
        ({"attempt": 0}, True),
        ({"phone": Phone.GONE}, True),
        ({"phone": Phone.GONE, "attempt": 0, "direction": Direction.OUTBOUND}, True),
        ({"phone": Phone.GONE, "attempt": 0}, False),
    ],
    ids=["asking", "ended", "outbound", "tombstone"],
)
async def test_tombstones_are_not_listed(
    calls: Calls, redis: Redis, fields: dict[str, Any], listed: bool
) -> None:
    one = await write(calls, call("c-1", **fields))
    assert bool(await index(redis, one)) is listed


async def test_the_list_forgets_with_time(calls: Calls, redis: Redis) -> None:
    names = [f"c-{n}" for n in range(100) if partition_of_ref(ref_of_call(f"c-{n}")) == 3][:3]
    first, second = [await write(calls, call(name, NOW + n)) for n, name in enumerate(names[:2])]
    assert await redis.ttl(keys.calls(3)) == pytest.approx(8 * DAY, abs=2)
    assert await index(redis, first) == [first.ref, second.ref]
    third = await write(calls, call(names[2], NOW + 8 * DAY), now=NOW + 8 * DAY)
    assert await index(redis, first) == [second.ref, third.ref]


async def test_an_outbound_call_that_failed_is_kept(calls: Calls, redis: Redis) -> None:
    one = await write(calls, call("c-1", phone=Phone.GONE, attempt=0, direction=Direction.OUTBOUND))
    assert await redis.ttl(keys.call(one.ref)) == pytest.approx(7 * DAY, abs=2)


# Forgetting -------------------------------------------------------------------------------------------------


def tombstone(of: Call) -> Call:
    return call(of.call_id, of.created_at, phone=Phone.GONE, attempt=0, room="")


async def test_an_ended_call_is_erased(calls: Calls, redis: Redis) -> None:
    one = await write(calls, call("c-1", phone=Phone.GONE, from_number="+15550100"))
    assert await calls.erase(one.ref, tombstone(one), now=NOW) is True
    news = keys.news(partition_of_ref(one.ref))
    assert set(await redis.keys()) == {keys.call(one.ref).encode(), news.encode()}
    assert await redis.ttl(news) <= 3600, "its number is masked there, and it goes by itself"
    assert await redis.ttl(keys.call(one.ref)) == pytest.approx(15 * 60, abs=2)
    assert "+15550100" not in str(await contents(redis))
    stored = await calls.load(one.ref, "e0")
    assert (stored.call, stored.reply, stored.token) == (tombstone(one), None, "")
    assert (await recent(calls)).calls == []


@pytest.mark.parametrize("direction", list(Direction))
async def test_what_comes_for_an_erased_call_does_not_keep_it(
    calls: Calls, redis: Redis, direction: Direction
) -> None:
    """What an attempt has made is taken down, and its tombstone goes as soon as before."""
    one = await write(calls, call("c-1", phone=Phone.GONE, direction=direction))
    left = msgspec.structs.replace(tombstone(one), ended_at=NOW + 9, outcome=Outcome(Blame.NOBODY, ERASED))
    assert await calls.erase(one.ref, left, now=NOW) is True
    news = await redis.xlen(keys.news(partition_of_ref(one.ref)))
    late = CallCommit(
        call=left,
        event_key="",
        reply=NoReply(),
        timeline_entry={},
        effects=(Scheduled(HangUpPhone("c-1"), NOW),),
    )
    assert await calls.commit(2, late, now=NOW, commit_id="late")
    assert await redis.ttl(keys.call(one.ref)) == pytest.approx(15 * 60, abs=2)
    assert await redis.xlen(keys.news(partition_of_ref(one.ref))) == news
    assert await index(redis, one) == []


async def test_whoever_loaded_it_before_does_not_write_it_back(calls: Calls) -> None:
    one = await write(calls, call("c-1", phone=Phone.GONE))
    await calls.erase(one.ref, tombstone(one), now=NOW)
    late = CallCommit(call=one, event_key="", reply=NoReply(), timeline_entry={})
    assert not await calls.commit(1, late, now=NOW, commit_id="late")
    assert await calls.commit(0, late, now=NOW, commit_id="c0"), "the same end once more: it was written"
    assert (await calls.load(one.ref)).call == tombstone(one)


async def test_what_is_not_known_or_lives_is_not_erased(calls: Calls, redis: Redis) -> None:
    one = call("c-1")
    assert await calls.erase(one.ref, tombstone(one), now=NOW) is None
    assert await redis.keys() == []
    await write(calls, one)
    assert await calls.erase(one.ref, tombstone(one), now=NOW) is False
    assert await calls.view(one.ref) == (one, [{"n": 0}])


async def test_a_call_that_owes_work_is_not_erased(calls: Calls) -> None:
    one = await write(calls, call("c-1", phone=Phone.GONE), owed=(Scheduled(HangUpPhone("c-1"), NOW),))
    assert await calls.erase(one.ref, tombstone(one), now=NOW) is False
    assert await calls.view(one.ref) == (one, [{"n": 0}])


async def test_erasing_takes_old_ones_off_the_list(calls: Calls, redis: Redis) -> None:
    names = [f"c-{n}" for n in range(100) if partition_of_ref(ref_of_call(f"c-{n}")) == 3][:2]
    one, other = [await write(calls, call(name, phone=Phone.GONE)) for name in names]
    await calls.erase(one.ref, tombstone(one), now=NOW + 1)
    assert await index(redis, other) == [other.ref]
    await calls.erase(one.ref, tombstone(one), now=NOW + 9 * DAY)
    assert await index(redis, other) == []
