"""What the storm writes into, and reads from, a store that runs: marks in its journal, and its live calls."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.store.compression import compressed
from tests.chaos.fleet import Fleet
from tests.chaos.gauges import Gauges
from tests.chaos.marks import MARK, Marks, moments
from tests.chaos.stills import Stills
from tests.chaos.store_history import history
from tests.chaos.times import NEVER
from tests.simulator.clock import epoch_ms, monotonic
from tests.stores import Store
from tests.waiting import wait_until


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    one = Store(tmp_path)
    await one.start()
    yield one
    await one.stop()


async def test_marks_say_when_and_by_which_clock_a_step_was_written(store: Store) -> None:
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


async def test_live_calls_are_read_as_they_are_kept(store: Store) -> None:
    """One that has ended may be compressed, and is read once."""
    async with store.client() as redis:
        gone = compressed(b'{"phone":"gone"}')
        await redis.hset("pstn:{p00}:call:one", mapping={"revision": "3", "state": '{"phone":"dialing"}'})
        await redis.hset("pstn:{p00}:call:two", mapping={"revision": "4", "state": gone})
        gauges = Gauges(_nobody(), Stills(redis).ask)
        for _ in range(2):
            [(key, (revision, call))] = (await gauges.live()).items()
            assert (key, revision, call.state) == ("pstn:{p00}:call:one", b"3", "dialing")
        await gauges.look()
        assert gauges.all == [], "no replica runs"


async def _marked(store: Store) -> None:
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
