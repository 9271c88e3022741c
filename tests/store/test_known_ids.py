"""What the store knows: every id that a room, a live call or owed work names, readable or not."""

import pytest
from redis.asyncio import Redis

from service.calls.effects import DeleteParticipant, DeleteSession
from service.calls.refs import ref_of_call
from service.store import keys
from service.store.call_index import CallIndex
from service.store.known_ids import KnownIds
from service.store.redis.client import Client
from service.store.rooms import Rooms

SEAT = "p00-aaaaaaaaaaaaaaaaaaaa.1"


@pytest.fixture
def known(client: Client) -> KnownIds:
    return KnownIds(client)


async def test_members_of_rooms_and_those_who_leave(known: KnownIds, client: Client) -> None:
    rooms = Rooms(client)
    for number in range(3):
        room = f"room-{number}"
        await rooms.reserve(room, SEAT, wait_if_empty=False, limit=20, now=1000)
        await rooms.take_seat(
            room, SEAT, participant_id=f"p-{number}", new_session_id=f"s-{number}", now=1000
        )
    await rooms.vacate("room-1", SEAT, now=1001)
    await rooms.close("room-2", now=1001)
    ids = {f"{kind}-{number}" for kind in "ps" for number in range(3)}
    assert await known.filter_known({*ids, "p-9"}) == ids
    assert await known.filter_known([]) == set()


async def test_stock(known: KnownIds, redis: Redis) -> None:
    await redis.hset(keys.room("sales"), mapping={"session": "s-1", "stock:p-1": "ready 17 eyJ0"})
    await redis.sadd(keys.live_rooms(keys.partition_of_room("sales")), "sales")
    assert await known.filter_known(["p-1", "s-1", "p-2", "stock"]) >= {"p-1", "s-1"}
    assert "p-2" not in await known.filter_known(["p-2"])


async def test_what_is_owed(known: KnownIds, client: Client) -> None:
    rooms = Rooms(client)
    await rooms.schedule("sales", DeleteSession("s-1"), now=1000)
    await rooms.schedule("sales", DeleteParticipant("seat", "p-1"), now=1000, due=5000)
    assert await known.filter_known(["s-1", "p-1", "s-2"]) == {"s-1", "p-1"}


async def test_what_this_release_cannot_read(known: KnownIds, redis: Redis) -> None:
    """A room whose settings are broken, a call and an effect of a release to come."""
    await redis.hset(keys.room("sales"), mapping={"session": "s-1", "sofa:p-1": "in p-2 until 17"})
    await redis.set(keys.room_settings("sales"), "what is this")
    await redis.sadd(keys.live_rooms(keys.partition_of_room("sales")), "sales")
    ref = ref_of_call("c-1")
    await redis.hset(keys.call(ref), mapping={"state": '{"schema":99,"legs":[{"far":"c-2"}]}'})
    await redis.zadd(keys.live_calls(0), {ref: 1})
    owner = keys.owner_room("lobby")
    await redis.hset(keys.owed(owner), "fly", '1 1 - 0 1 {"type":"fly","over":{"participant":"p-3"}}')
    await redis.zadd(keys.agenda(keys.partition_of_owner(owner)), {owner: 1})
    ids = {"s-1", "p-1", "p-2", "c-2", "p-3"}
    assert await known.filter_known({*ids, "c-9"}) == ids


async def test_calls_by_either_name(known: KnownIds, client: Client, redis: Redis) -> None:
    inbound, outbound, forgotten = "c-1", "c-2", "c-3"
    await redis.hset(keys.call(ref_of_call(inbound)), mapping={"state": "{}"})
    ours = ref_of_call("0123456789abcdef0123456789abcdef")
    await redis.hset(keys.call(ours), mapping={"state": "{}"})
    index = CallIndex(client, ended_days=1)
    await index.add_alias(outbound, ours)
    await index.add_alias(forgotten, ref_of_call("f" * 32))
    assert await known.filter_known_calls([inbound, outbound, forgotten, "c-4"]) == {inbound, outbound}
    assert await known.filter_known_calls([]) == set()


async def test_more_than_one_trip_takes(known: KnownIds, client: Client) -> None:
    rooms, ids = Rooms(client), [f"s-{number}" for number in range(1200)]
    for number, id_ in enumerate(ids):
        await rooms.schedule(f"room-{number}", DeleteSession(id_), now=1000)
    assert await known.filter_known(ids) == set(ids)
