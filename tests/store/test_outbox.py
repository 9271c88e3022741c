"""Owed work: under a lease, in order, and never lost."""

import asyncio

from redis.asyncio import Redis

from service.calls.effects import DeleteParticipant, DeleteSession
from service.calls.looks import Looks
from service.store import keys
from service.store.outbox import Outbox, Postponed
from service.store.redis.client import Client
from service.store.rooms import Rooms

NOW = 1_700_000_000.0
ROOM = "lobby"
OWNER = keys.owner_room(ROOM)
PARTITION = keys.partition_of_owner(OWNER)


def worker(client: Client, name: str) -> Outbox:
    return Outbox(client, worker=name, lease=45)


async def test_only_one_worker_has_an_owner_until_its_lease_ends(client: Client, rooms: Rooms) -> None:
    first, second = worker(client, "a"), worker(client, "b")
    await rooms.schedule(ROOM, DeleteSession("S"), now=NOW)
    claims = await asyncio.gather(*(one.claim(PARTITION, now=NOW, limit=9) for one in (first, second)))
    assert sorted(claims) == [[], [OWNER]]

    [work] = await first.settle(OWNER, now=NOW)
    assert work.effect == DeleteSession("S")
    assert await second.settle(OWNER, now=NOW + 44) == []
    # The first has died: at the end of its lease the other finds the work on the agenda.
    assert await second.claim(PARTITION, now=NOW + 44, limit=9) == []
    assert await second.claim(PARTITION, now=NOW + 46, limit=9) == [OWNER]
    assert await second.settle(OWNER, now=NOW + 46) == [work]


async def test_work_that_comes_while_a_worker_is_at_it_is_done_by_that_worker(
    client: Client, rooms: Rooms
) -> None:
    mine, other = worker(client, "a"), worker(client, "b")
    await rooms.schedule(ROOM, DeleteSession("S"), now=NOW)
    await mine.claim(PARTITION, now=NOW, limit=9)
    done = await mine.settle(OWNER, now=NOW)
    await rooms.schedule(ROOM, DeleteSession("T"), now=NOW + 1)
    assert await other.claim(PARTITION, now=NOW + 1, limit=9) == []
    [late] = await mine.settle(OWNER, now=NOW + 1, done=done)
    assert late.effect == DeleteSession("T")


async def test_what_is_put_off_comes_back_when_it_is_due(client: Client, rooms: Rooms, redis: Redis) -> None:
    mine = worker(client, "a")
    await rooms.schedule(ROOM, DeleteSession("S"), now=NOW)
    [work] = await mine.settle(OWNER, now=NOW)
    assert await mine.settle(OWNER, now=NOW, postponed=[Postponed(work, NOW + 10)]) == []
    assert await mine.claim(PARTITION, now=NOW + 9, limit=9) == []
    assert await mine.claim(PARTITION, now=NOW + 11, limit=9) == [OWNER]
    [again] = await mine.settle(OWNER, now=NOW + 11)
    assert (again.effect, again.tries, again.since) == (work.effect, 1, NOW)
    assert await mine.settle(OWNER, now=NOW + 11, done=[again]) == []
    assert await redis.keys() == []


async def test_since_when_it_fails_is_without_the_time_in_which_it_could_not_be_sent(
    client: Client, rooms: Rooms
) -> None:
    mine = worker(client, "a")
    await rooms.schedule(ROOM, DeleteSession("S"), now=NOW)
    [work] = await mine.settle(OWNER, now=NOW)

    async def put_off(now: float, later: Postponed) -> tuple[int, float]:
        assert await mine.settle(OWNER, now=now, postponed=[later]) == []
        [found] = await mine.settle(OWNER, now=later.due)
        nonlocal work
        work = found
        return work.tries, work.since - NOW

    assert await put_off(NOW + 1, Postponed(work, NOW + 30)) == (1, 0), "it has failed"
    assert await put_off(NOW + 30, Postponed(work, NOW + 3630, counts_as_try=False)) == (1, 3600), (
        "it was not sent"
    )
    assert await put_off(NOW + 3630, Postponed(work, NOW + 3690)) == (2, 3600)
    assert await put_off(NOW + 3690, Postponed(work, NOW + 3700, has_failed=False)) == (3, 3700), (
        "it is not time yet"
    )


async def test_what_is_taken_late_is_the_same_piece_of_work(
    client: Client, rooms: Rooms, redis: Redis
) -> None:
    """Looked at again while it is under way it is not another one: what is done is struck off."""
    mine = worker(client, "a")
    await rooms.schedule(ROOM, DeleteSession("S"), now=NOW)
    [work] = await mine.settle(OWNER, now=NOW + 60)
    assert work.since == NOW, "a minute is no lateness: others were served"
    [late] = await mine.settle(OWNER, now=NOW + 100)
    [again] = await mine.settle(OWNER, now=NOW + 140)
    assert (late.since, again.since) == (NOW + 100, NOW + 140)
    assert work.version == late.version == again.version
    assert await mine.settle(OWNER, now=NOW + 141, done=[late]) == []
    assert await redis.keys() == []


async def test_what_was_learned_of_an_effect_is_kept_with_it(client: Client, rooms: Rooms) -> None:
    mine, other = worker(client, "a"), worker(client, "b")
    await rooms.schedule(ROOM, DeleteSession("S"), now=NOW)
    [work] = await mine.settle(OWNER, now=NOW)
    looked = DeleteSession("S", Looks(NOW, NOW + 1, 2))
    assert await mine.settle(OWNER, now=NOW, postponed=[Postponed(work, NOW + 10, replacement=looked)]) == []
    [again] = await other.settle(OWNER, now=NOW + 11)
    assert (again.id, again.effect, again.tries, again.since) == (work.id, looked, 1, NOW)
    # What is owed anew meanwhile knows nothing of it.
    await rooms.schedule(ROOM, DeleteSession("S"), now=NOW + 12)
    await other.settle(OWNER, now=NOW + 12, postponed=[Postponed(again, NOW + 20, replacement=looked)])
    [anew] = await other.settle(OWNER, now=NOW + 21)
    assert anew.effect == DeleteSession("S")


async def test_one_lane_waits_for_its_head_and_others_do_not(client: Client, rooms: Rooms) -> None:
    mine = worker(client, "a")
    await rooms.reserve(ROOM, "a.1", wait_if_empty=False, limit=9, now=NOW)
    await rooms.take_seat(ROOM, "a.1", participant_id="p", new_session_id="S", now=NOW)
    await rooms.vacate(ROOM, "a.1", now=NOW)
    await rooms.schedule(ROOM, DeleteParticipant("b.1", "q"), now=NOW)
    heads = {work.id: work for work in await mine.settle(OWNER, now=NOW)}
    assert set(heads) == {"remove-participant:a.1", "delete-participant:q"}
    left = await mine.settle(
        OWNER,
        now=NOW,
        done=[heads["delete-participant:q"]],
        postponed=[Postponed(heads["remove-participant:a.1"], NOW + 5)],
    )
    assert left == [], "nothing overtakes the head of its lane"


async def test_an_effect_that_was_owed_anew_is_not_struck_off(client: Client, rooms: Rooms) -> None:
    mine = worker(client, "a")
    await rooms.schedule(ROOM, DeleteSession("S"), now=NOW)
    first = await mine.settle(OWNER, now=NOW)
    await rooms.schedule(ROOM, DeleteSession("S"), now=NOW + 1)
    [again] = await mine.settle(OWNER, now=NOW + 1, done=first)
    assert again.effect == DeleteSession("S")


async def test_a_worker_that_stops_hands_back(client: Client, rooms: Rooms) -> None:
    mine, other = worker(client, "a"), worker(client, "b")
    await rooms.schedule(ROOM, DeleteSession("S"), now=NOW)
    await rooms.schedule(ROOM, DeleteSession("T"), now=NOW)
    await mine.claim(PARTITION, now=NOW, limit=9)
    one, _ = await mine.settle(OWNER, now=NOW)
    assert await mine.settle(OWNER, now=NOW, done=[one], release=True) == []
    assert await other.claim(PARTITION, now=NOW, limit=9) == [OWNER]
    [left] = await other.settle(OWNER, now=NOW)
    assert {one.effect, left.effect} == {DeleteSession("S"), DeleteSession("T")}


async def test_half_of_what_is_claimed_has_become_due_last(client: Client, redis: Redis) -> None:
    """So that what comes up now is not behind hours of backlog, and the backlog gets done all the same."""
    owners = [f"room:r{n}" for n in range(9)]
    await redis.zadd(keys.agenda(PARTITION), {owner: NOW * 1000 + n for n, owner in enumerate(owners)})
    mine = worker(client, "a")
    later = {"room:later": NOW * 1000 + 60_000}
    await redis.zadd(keys.agenda(PARTITION), later)
    assert await mine.claim(PARTITION, now=NOW + 1, limit=5) == ["room:r8", "room:r7", *owners[:3]]
    assert sorted(await mine.claim(PARTITION, now=NOW + 1, limit=5)) == owners[3:7]
    assert await mine.claim(PARTITION, now=NOW + 1, limit=5) == []
