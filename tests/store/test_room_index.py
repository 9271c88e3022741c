"""Settings of rooms, digits that name them, and what there is to see."""

import msgspec
import pytest
from redis.asyncio import Redis

from service.calls.room_settings import (
    AloneAction,
    AloneSettings,
    InterconnectMode,
    RoomSettings,
    WaitingSettings,
)
from service.store import keys
from service.store.errors import StoreCorrupt
from service.store.redis.client import Client
from service.store.room_index import Member, RoomView
from service.store.rooms import Rooms
from tests.store.seats import NO_SETTINGS, NOW, PARTITION, ROOM, reserve, seated

FULL = RoomSettings(
    announcement="hello",
    waiting=WaitingSettings(message="soon"),
    alone=AloneSettings(after=5, then=AloneAction.WAIT),
    limit=3,
    pin="4711",
    interconnect=InterconnectMode.BRIDGE,
)
PIN = RoomSettings(pin="4711")


async def configure(rooms: Rooms, room: str, settings: RoomSettings, now: float = NOW) -> str:
    return await rooms.configure(room, settings, now=now)


# Settings ---------------------------------------------------------------------------------------------------


async def test_settings_are_kept_and_do_not_expire(rooms: Rooms, redis: Redis) -> None:
    assert await rooms.read_settings(ROOM) == RoomSettings()
    assert await configure(rooms, ROOM, FULL) == ""
    assert await rooms.read_settings(ROOM) == FULL
    assert {await redis.ttl(key) for key in await redis.keys()} == {-1}
    assert set(await redis.keys()) == {
        keys.room_settings(ROOM).encode(),
        keys.configured(PARTITION).encode(),
        keys.pin("4711").encode(),
    }


async def test_no_settings_leave_nothing(rooms: Rooms, redis: Redis) -> None:
    await configure(rooms, ROOM, FULL)
    assert await configure(rooms, ROOM, RoomSettings()) == ""
    assert await redis.keys() == []


async def test_settings_that_cannot_be_read_are_said(rooms: Rooms, redis: Redis) -> None:
    await redis.set(keys.room_settings(ROOM), '{"limit": "many"}')
    with pytest.raises(StoreCorrupt, match="lobby"):
        await rooms.read_settings(ROOM)


# PINs -------------------------------------------------------------------------------------------------------


async def test_digits_name_a_room(rooms: Rooms) -> None:
    await configure(rooms, ROOM, PIN)
    assert await rooms.find_by_pin("4711") == ROOM
    assert await rooms.find_by_pin("4712") == ""


@pytest.mark.parametrize("digits", ["", "4711#", "*", "9" * 51, "\uff14\uff17", "47 11", "4711\n"])
async def test_what_are_no_digits_name_none(digits: str) -> None:
    unreachable = Client("unix:///nonexistent/socket")
    assert await Rooms(unreachable).find_by_pin(digits) == "", "without a trip"
    await unreachable.close()


async def test_digits_name_one_room(rooms: Rooms) -> None:
    await configure(rooms, ROOM, PIN)
    assert await configure(rooms, "other", msgspec.structs.replace(PIN, limit=2)) == ROOM
    assert await configure(rooms, "other", msgspec.structs.replace(PIN, limit=2), NOW + 999) == ROOM
    assert await rooms.read_settings("other") == RoomSettings()
    assert await rooms.find_by_pin("4711") == ROOM


async def test_a_room_may_be_set_again_with_its_digits(rooms: Rooms) -> None:
    await configure(rooms, ROOM, PIN)
    assert await configure(rooms, ROOM, msgspec.structs.replace(PIN, limit=2)) == ""
    assert await rooms.find_by_pin("4711") == ROOM
    assert (await rooms.read_settings(ROOM)).limit == 2


async def test_other_digits_release_the_old_ones(client: Client, redis: Redis) -> None:
    rooms = Rooms(client)
    await configure(rooms, ROOM, PIN)
    await configure(rooms, ROOM, RoomSettings(pin="1"))
    assert await rooms.find_by_pin("4711") == ""
    assert not await redis.exists(keys.pin("4711"))
    assert await configure(rooms, "other", PIN) == ""
    assert await rooms.find_by_pin("4711") == "other"


async def test_a_claim_whose_settings_were_never_written_names_no_room(rooms: Rooms, redis: Redis) -> None:
    await redis.set(keys.pin("4711"), f"{ROOM} {int(NOW * 1000)}")
    await configure(rooms, ROOM, RoomSettings(pin="4712"))
    assert await rooms.find_by_pin("4711") == ""


async def test_a_claim_whose_settings_were_never_written_is_taken_over(rooms: Rooms, redis: Redis) -> None:
    await redis.set(keys.pin("4711"), f"{ROOM} {int(NOW * 1000)}")
    assert await configure(rooms, "other", PIN, NOW + 59) == ROOM, "they may be about to be written"
    assert await configure(rooms, "other", PIN, NOW + 61) == ""
    assert await rooms.find_by_pin("4711") == "other"


async def test_who_takes_over_second_is_told(rooms: Rooms, redis: Redis) -> None:
    """Two rooms are about to take over the same claim."""
    claim = f"{ROOM} {int(NOW * 1000)}"
    await redis.set(keys.pin("4711"), claim)
    for room, answer in (("other", ""), ("third", "other")):
        assert await rooms._claim_over("4711", room, NOW + 61, claim.encode()) == (  # noqa: SLF001 - a race, played slowly
            f"{answer} {int((NOW + 61) * 1000)}".encode() if answer else b""
        )


async def test_a_release_that_comes_late_releases_nothing(client: Client, redis: Redis) -> None:
    """Digits changed and changed back: the first change's last step comes after the second's first."""
    rooms = Rooms(client)
    await configure(rooms, ROOM, PIN, NOW + 1)
    await redis.set(keys.pin("4711"), f"{ROOM} {int((NOW + 3) * 1000)}")
    await configure(rooms, ROOM, RoomSettings(pin="1"), NOW + 2)
    assert await redis.exists(keys.pin("4711"))


async def test_a_release_does_not_take_from_others(client: Client, redis: Redis) -> None:
    rooms = Rooms(client)
    await configure(rooms, ROOM, PIN)
    await redis.set(keys.pin("4711"), f"other {int(NOW * 1000)}")
    await configure(rooms, ROOM, RoomSettings())
    assert await redis.exists(keys.pin("4711"))


async def test_a_room_that_cannot_be_read_leaves_the_others_listed(rooms: Rooms, redis: Redis) -> None:
    await configure(rooms, "attic", RoomSettings(limit=3))
    await configure(rooms, ROOM, RoomSettings(limit=3))
    await redis.set(keys.room_settings(ROOM), '{"limit": "many"}')
    assert [one.name for one in await rooms.list_all()] == ["attic"]
    with pytest.raises(StoreCorrupt, match="lobby"):
        await rooms.read(ROOM)


async def test_a_page_reads_no_more_than_it_shows(rooms: Rooms, redis: Redis) -> None:
    for name in ("a", "b", "c"):
        await configure(rooms, name, RoomSettings(limit=3))
    await redis.set(keys.room_settings("b"), '{"limit": "many"}')
    pages = [await rooms.list_page(after=after, limit=1) for after in ("", "a", "b", "c")]
    assert [[one.name for one in page.rooms] for page in pages] == [["a"], [], ["c"], []]
    assert [page.last for page in pages] == ["a", "b", "", ""]


# What there is ----------------------------------------------------------------------------------------------


async def test_rooms_have_names(rooms: Rooms, redis: Redis) -> None:
    assert await rooms.list_names() == []
    for name in ("zoo", "bar", "both"):
        await rooms.reserve(name, f"{name}.1", wait_if_empty=False, limit=20, now=NOW)
    for name in ("both", "attic"):
        await configure(rooms, name, RoomSettings(limit=3))
    assert await rooms.list_names() == ["attic", "bar", "both", "zoo"]
    await rooms.vacate("zoo", "zoo.1", now=NOW)
    assert not await redis.exists(keys.live_rooms(keys.partition_of_room("zoo")))
    assert await rooms.list_names() == ["attic", "bar", "both"]


async def test_a_room_that_has_expired_is_off_the_list(rooms: Rooms, redis: Redis) -> None:
    await reserve(rooms, "a.1")
    assert 0 < await redis.pttl(keys.live_rooms(PARTITION)) <= 12 * 3_600_000
    await redis.delete(keys.room(ROOM))
    assert await rooms.list_names() == []
    assert not await redis.exists(keys.live_rooms(PARTITION))


async def test_a_room_that_goes_on_stays_on_the_list(rooms: Rooms, redis: Redis) -> None:
    """The list of a partition expires when nothing has happened in it for long."""
    await reserve(rooms, "a.1")
    for step in (
        lambda: rooms.take_seat(ROOM, "a.1", participant_id="p", new_session_id="S", now=NOW),
        lambda: rooms.replace_session(ROOM, "a.1", vanished_session_id="S", new_session_id="T", now=NOW),
        lambda: rooms.roll_over(ROOM, old_session_id="T", new_session_id="U", now=NOW),
    ):
        await redis.delete(keys.live_rooms(PARTITION))
        await step()
        assert await rooms.list_names() == [ROOM]


async def test_a_room_that_is_not(rooms: Rooms) -> None:
    assert await rooms.read(ROOM) is None


async def test_a_room_that_is_merely_set(rooms: Rooms) -> None:
    await configure(rooms, ROOM, FULL)
    assert await rooms.read(ROOM) == RoomView(
        name=ROOM, epoch=0, session_id="", opened=0, members=(), waiting=(), settings=FULL
    )


async def test_a_room_with_people(rooms: Rooms) -> None:
    await configure(rooms, ROOM, FULL)
    await seated(rooms, "a.1", session="S")
    await seated(rooms, "b.1")
    await rooms.vacate(ROOM, "b.1", now=NOW)
    await rooms.reserve(ROOM, "c.1", wait_if_empty=False, limit=20, now=NOW + 5)
    assert await rooms.read(ROOM) == RoomView(
        name=ROOM,
        epoch=int(NOW * 1000),
        session_id="S",
        opened=NOW,
        members=(
            Member("a.1", "in", "part-a.1"),
            Member("b.1", "leaving", "part-b.1"),
            Member("c.1", "reserved", ""),
        ),
        waiting=(),
        settings=FULL,
    )


async def test_a_room_that_is_merely_waited_for(rooms: Rooms) -> None:
    await configure(rooms, ROOM, FULL)
    await reserve(rooms, "b.1", waits=True)
    await configure(rooms, ROOM, RoomSettings())
    assert await rooms.read(ROOM) == RoomView(
        name=ROOM, epoch=0, session_id="", opened=0, members=(), waiting=("b",), settings=NO_SETTINGS
    )


async def test_each_life_is_an_epoch(rooms: Rooms) -> None:
    for now in (NOW, NOW + 60):
        await rooms.reserve(ROOM, f"a.{now}", wait_if_empty=False, limit=20, now=now)
        await rooms.reserve(ROOM, f"b.{now}", wait_if_empty=False, limit=20, now=now + 1)
        view = await rooms.read(ROOM)
        assert view
        assert view.epoch == now * 1000
        for seat in ("a", "b"):
            await rooms.vacate(ROOM, f"{seat}.{now}", now=now)
