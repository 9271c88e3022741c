"""What the storm reads from a store that runs: its marks, live calls, and what the service has written."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.calls.browser import Browser
from service.calls.room_settings import RoomSettings
from service.store.compression import compress_text
from service.store.outbox import Outbox, Postponed
from service.store.redis.client import Client
from service.store.room_index import RoomIndex
from service.store.room_results import ReservedSeat, RoomFull
from service.store.rooms import Rooms
from tests.chaos.fleet import Fleet
from tests.chaos.live_call_counts import LiveCallCounts
from tests.chaos.marks import MARK, Marks, moments
from tests.chaos.replica import PATIENCE
from tests.chaos.room_members import counts, full_rooms
from tests.chaos.silent_browsers import too_late
from tests.chaos.snapshots import Snapshots
from tests.chaos.store_history import history
from tests.chaos.times import NEVER
from tests.simulator.clock import epoch_ms, monotonic
from tests.stores import RestartableStore
from tests.waiting import wait_until


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[RestartableStore]:
    one = RestartableStore(tmp_path)
    await one.start()
    yield one
    await one.stop()


async def test_marks_say_when_and_by_which_clock_a_step_was_written(store: RestartableStore) -> None:
    async with store.client() as redis:
        marks = Marks(redis)
        async with asyncio.TaskGroup() as group:
            group.create_task(marks.watch())
            await _marked(store)
            begun, shown = monotonic(), epoch_ms()
            await redis.set("key", "value")
            over = monotonic()
            await _marked(store)
            marks.stop()
    [moment] = [moment for step, moment in moments(history(store.journal)) if step[0][1] == b"key"]
    assert begun - 5 < moment.after <= over
    assert begun <= moment.before < NEVER
    assert shown - 1000 <= moment.clock <= shown + 60_000


async def test_live_calls_are_read_as_they_are_kept(store: RestartableStore) -> None:
    """One that has ended may be compressed, and is read once."""
    async with store.client() as redis:
        gone = compress_text(b'{"phone":"gone"}')
        await redis.hset("pstn:{p00}:call:one", mapping={"revision": "3", "state": '{"phone":"dialing"}'})
        await redis.hset("pstn:{p00}:call:two", mapping={"revision": "4", "state": gone})
        gauges = LiveCallCounts(_nobody(), Snapshots(redis).query)
        found = await gauges.read()
        assert {key[-3:]: (revision, call.state) for key, (revision, call) in found.items()} == {
            "one": (b"3", "dialing"),
            "two": (b"4", "ended"),
        }
        assert [*await gauges.read()] == ["pstn:{p00}:call:one"]
        await gauges.look()
        assert gauges.all == [], "no replica runs"


SEAT = "web-aaaaaaaaaaaaaaaa.1"
"""Of a browser."""
NOW = 1_800_000_000.0


async def test_a_journal_that_the_service_writes_says_how_many_are_in_a_room(store: RestartableStore) -> None:
    client = Client(store.url)
    rooms = Rooms(client)
    await RoomIndex(client).configure("r", RoomSettings(limit=2), now=NOW)
    places = [
        await rooms.reserve("r", f"{ref}.1", wait_if_empty=False, limit=20, now=NOW, browser=None)
        for ref in ("one", "two", "three")
    ]
    assert [type(one) for one in places] == [ReservedSeat, ReservedSeat, RoomFull]
    await rooms.vacate("r", "one.1", now=NOW)
    await client.close()
    found = [(one.room, one.members, one.limit) for one in counts(history(store.journal))]
    assert found[-4:] == [("r", 0, 2), ("r", 1, 2), ("r", 2, 2), ("r", 1, 2)]
    full = full_rooms(history(store.journal))
    assert full is not None
    assert full.was_full("r", 0, 1)


@pytest.mark.parametrize(("late", "count"), [(0.0, 0), (6.0, 1)])
async def test_a_journal_that_the_service_writes_says_who_stays_too_long(
    store: RestartableStore, late: float, count: int
) -> None:
    """`late`: seconds after it counts as gone at which it is looked after, and put off."""
    client = Client(store.url)
    rooms = Rooms(client, unused_timeout=PATIENCE.unused_seat, absent_timeout=PATIENCE.browser_absence)
    outbox = Outbox(client, worker="w", lease=PATIENCE.worker_lease)
    await rooms.reserve("r", SEAT, wait_if_empty=False, limit=20, now=NOW, browser=Browser(name="Anna"))
    assert await rooms.heartbeat("r", SEAT, now=NOW + 1)
    gone = NOW + 1 + PATIENCE.browser_absence
    for at, again in ((gone - 1, gone), (gone + late, gone + late + 4)):
        works = await outbox.settle("room:r", now=at)
        put_off = [
            Postponed(one, again, has_failed=False) for one in works if one.id.startswith("check-presence")
        ]
        assert at < gone or put_off
        await outbox.settle("room:r", now=at, postponed=put_off)
    await client.close()
    assert len(list(too_late(history(store.journal)))) == count


async def _marked(store: RestartableStore) -> None:
    """Until there are some more marks."""

    def count() -> int:
        return sum(MARK.encode() in command for step in history(store.journal) for command in step)

    since = count()
    await wait_until(lambda: count() > since + 4)


def _nobody() -> Fleet:
    class Nobody(Fleet):
        def __init__(self) -> None:
            self.addresses = []

    return Nobody()
