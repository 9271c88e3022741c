"""What the store knows: every id that a room, a live call or owed work names, readable or not."""

import pytest
from redis.asyncio import Redis

from service.calls.effects import DeleteParticipant, DeleteSession
from service.calls.refs import ref_of_call
from service.store import keys
from service.store.call_index import CallIndex
from service.store.redis.client import Client
from service.store.known_ids import Known
from service.store.rooms import Rooms

SEAT = "p00-aaaaaaaaaaaaaaaaaaaa.1"


@pytest.fixture
def known(client: Client) -> Known:
    return Known(client)


async def test_members_of_rooms_and_those_who_leave(known: Known, client: Client) -> None:
    rooms = Rooms(client)
    for number in range(3):
        room = f"room-{number}"
        await rooms.reserve(room, SEAT, waits=False, limit=20, now=1000)
        await rooms.enter(room, SEAT, participant_id=f"p-{number}", made_session=f"s-{number}", now=1000)
    await rooms.vacate("room-1", SEAT, now=1001)
    await rooms.close("room-2", now=1001)
    ids = {f"{kind}-{number}" for kind in "ps" for number in range(3)}
    assert await known.among({*ids, "p-9"}) == ids
    assert await known.among([]) == set()


async def test_stock(known: Known, redis: Redis) -> None:
    await redis.hset(keys.room("sales"), mapping={"session": "s-1", "stock:p-1": "ready 17 eyJ0"})
    await redis.sadd(keys.live(keys.partition_of_room("sales")), "sales")
    assert await known.among(["p-1", "s-1", "p-2", "stock"]) >= {"p-1", "s-1"}
    assert "p-2" not in await known.among(["p-2"])


async def test_what_is_owed(known: Known, client: Client) -> None:
    rooms = Rooms(client)
    await rooms.owe("sales", DeleteSession("s-1"), now=1000)
    await rooms.owe("sales", DeleteParticipant("seat", "p-1"), now=1000, due=5000)
    assert await known.among(["s-1", "p-1", "s-2"]) == {"s-1", "p-1"}


async def test_what_this_release_cannot_read(known: Known, redis: Redis) -> None:
    """A room whose settings are broken, a call and an effect of a release to come."""
    await redis.hset(keys.room("sales"), mapping={"session": "s-1", "sofa:p-1": "in p-2 until 17"})
    await redis.set(keys.room_settings("sales"), "what is this")
    await redis.sadd(keys.live(keys.partition_of_room("sales")), "sales")
    ref = ref_of_call("c-1")
    await redis.hset(keys.call(ref), mapping={"state": '{"schema":99,"legs":[{"far":"c-2"}]}'})
    await redis.zadd(keys.standing(0), {ref: 1})
    owner = keys.owner_room("lobby")
    await redis.hset(keys.owed(owner), "fly", '1 1 - 0 1 {"type":"fly","over":{"participant":"p-3"}}')
    await redis.zadd(keys.agenda(keys.partition_of_owner(owner)), {owner: 1})
    ids = {"s-1", "p-1", "p-2", "c-2", "p-3"}
    assert await known.among({*ids, "c-9"}) == ids


async def test_calls_by_either_name(known: Known, client: Client, redis: Redis) -> None:
    inbound, outbound, forgotten = "c-1", "c-2", "c-3"
    await redis.hset(keys.call(ref_of_call(inbound)), mapping={"state": "{}"})
    ours = ref_of_call("0123456789abcdef0123456789abcdef")
    await redis.hset(keys.call(ours), mapping={"state": "{}"})
    index = CallIndex(client, ended_days=1)
    await index.name(outbound, ours)
    await index.name(forgotten, ref_of_call("f" * 32))
    assert await known.calls([inbound, outbound, forgotten, "c-4"]) == {inbound, outbound}
    assert await known.calls([]) == set()


async def test_more_than_one_trip_takes(known: Known, client: Client) -> None:
    rooms, ids = Rooms(client), [f"s-{number}" for number in range(1200)]
    for number, id_ in enumerate(ids):
        await rooms.owe(f"room-{number}", DeleteSession(id_), now=1000)
    assert await known.among(ids) == set(ids)
