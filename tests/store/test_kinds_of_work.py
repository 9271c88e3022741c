"""Work of a kind that one release knows and the one before it does not, while both run."""

import msgspec
import pytest
from redis.asyncio import Redis

from service.calls.effects import EFFECT_TAGS, DeleteParticipant, DeleteSession
from service.calls.looks import Looks
from service.store import keys
from service.store.outbox import DueEffect, Outbox, Postponed, UnreadableEffect
from service.store.outbox_index import OutboxIndex
from service.store.redis.client import Client
from service.store.rooms import Rooms

OWNER = keys.owner_room("lobby")
PARTITION = keys.partition_of_owner(OWNER)
NOW = 1_800_000_000.0
OTHER = DeleteParticipant("a.1", "p")
OFFERED = UnreadableEffect("delete-session", left_to_others=True)


def old(client: Client, name: str = "old") -> Outbox:
    """Of a release that cannot delete sessions yet."""
    return Outbox(client, worker=name, lease=45, kinds=EFFECT_TAGS - {"delete-session"})


def new(client: Client) -> Outbox:
    return Outbox(client, worker="new", lease=45)


@pytest.fixture
async def rooms(client: Client) -> Rooms:
    rooms = Rooms(client)
    await rooms.schedule("lobby", DeleteSession("S"), now=NOW)
    return rooms


async def look(outbox: Outbox, now: float, *, fails_for: float = 0) -> list[object]:
    """What a worker is given that claims now; what it knows it does, or puts off."""
    seen: list[object] = []
    for owner in await outbox.claim(PARTITION, now=now, limit=9):
        assert owner == OWNER
        due = await outbox.settle(owner, now=now)
        while due:
            seen += [one.effect for one in due]
            assert len(seen) < 9, "it is handed out over and over"
            known: list[DueEffect] = [one for one in due if not isinstance(one.effect, UnreadableEffect)]
            later = [Postponed(one, now + fails_for) for one in known] if fails_for else []
            due = await outbox.settle(owner, now=now, done=() if later else known, postponed=later)
    return seen


async def test_who_does_not_know_it_looks_once_in_ten_minutes(client: Client, rooms: Rooms) -> None:
    """However many there are, and whatever else its owner owes meanwhile."""
    looks = []
    for minute in range(25):
        now = NOW + 60 * minute
        await rooms.schedule("lobby", OTHER, now=now)
        for name in ("old-a", "old-b"):
            seen = await look(old(client, name), now)
            looks += [minute for one in seen if one == OFFERED]
            assert (OTHER in seen) == (name == "old-a"), "the rest does not wait for it"
    assert looks == [0, 10, 20]
    [left] = await OutboxIndex(client).list_owed(limit=9)
    assert (left.due, left.since, left.tries) == (NOW, NOW, 0), "it is as it was"


async def test_who_knows_it_has_it_at_once(client: Client, rooms: Rooms, redis: Redis) -> None:
    assert await look(old(client), NOW) == [OFFERED]
    assert await old(client).claim(PARTITION, now=NOW + 1, limit=9) == []
    assert await look(new(client), NOW + 1) == [DeleteSession("S")]
    assert await look(new(client), NOW + 2) == []
    assert not await redis.exists(keys.owed(OWNER), keys.agenda(PARTITION), keys.offered(PARTITION))
    assert await redis.pttl(keys.unknown(PARTITION)) > 0


async def test_who_knows_it_has_each_of_its_tries_in_time(client: Client, rooms: Rooms) -> None:
    """Those who do not know it are always there first."""
    now, looks, tries = NOW, 0, 0
    for _ in range(21):
        looks += len(await look(old(client), now))
        tries += len(await look(new(client), now + 0.5, fails_for=30))
        now += 31
    assert tries == 21
    assert looks == 2, "at the beginning and ten minutes later"


async def test_what_was_offered_and_is_called_off_is_nobodys(
    client: Client, rooms: Rooms, redis: Redis
) -> None:
    assert await look(old(client), NOW) == [OFFERED]
    directory = OutboxIndex(client)
    [owed] = await directory.list_owed(limit=9)
    await directory.drop_owed(owed, now=NOW)
    assert await new(client).claim(PARTITION, now=NOW + 1, limit=9) == []
    assert not await redis.exists(keys.owed(OWNER), keys.agenda(PARTITION))


async def test_what_nobody_knows_does_not_fill_the_store(client: Client, rooms: Rooms, redis: Redis) -> None:
    for number in range(5):
        await rooms.schedule("lobby", DeleteSession("S"), now=NOW)
        await redis.zadd(keys.offered(PARTITION), {f"never-known room:{number}": (NOW - 1201) * 1000})
        await redis.zadd(keys.unknown(PARTITION), {f"never-known room:{number}": (NOW - 1201) * 1000})
    assert await look(old(client), NOW) == [OFFERED]
    assert await redis.zrange(keys.offered(PARTITION), 0, -1) == [b"delete-session room:lobby"]
    assert await redis.zrange(keys.unknown(PARTITION), 0, -1) == [b"delete-session room:lobby"]


async def test_what_a_newer_release_has_written_of_work_outlives_its_being_put_off(
    client: Client, rooms: Rooms, redis: Redis
) -> None:
    """Whoever has written it: msgspec has the kind first, a script in any place."""
    newer = b'{"session_id":"S","whispers":{"to":[]},"type":"delete-session"}'
    await redis.hset(keys.owed(OWNER), "delete-session:S", b"1 0 S 0 %d " % (NOW * 1000) + newer)
    [owner] = await new(client).claim(PARTITION, now=NOW, limit=9)
    [work] = await new(client).settle(owner, now=NOW)
    assert work.effect == DeleteSession("S")
    seen = DeleteSession("S", Looks(2, NOW))
    await new(client).settle(owner, now=NOW, postponed=[Postponed(work, NOW + 9, replacement=seen)])
    [owed] = await OutboxIndex(client).list_owed(limit=9)
    assert owed.effect == seen
    kept = str(await redis.hget(keys.owed(OWNER), "delete-session:S"), "utf-8")  # type: ignore[arg-type] # bytes
    assert msgspec.json.decode(kept.split(" ", 5)[5])["whispers"] == {"to": []}
