"""What must not be forgotten is kept for as long as the process lives; what is not kept is told."""

import asyncio
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.calls.effects import DeleteParticipant, DeleteSession, HangUpLeg, HangUpPhone
from service.engine.outbox.retry_write import UNREADABLE_TRIES, RetryWriter
from service.store.errors import StoreCorrupt, StoreError, StoreUnavailable
from service.tasks import Tasks
from tests.clocks import SetClock
from tests.waiting import wait_until

Lines = list[MutableMapping[str, Any]]
THINGS = (DeleteParticipant("seat", "p-1"), DeleteSession("s-1"), HangUpLeg("c-1"), HangUpPhone("c-2"))


@pytest.fixture
def logs() -> Iterator[Lines]:
    with capture_logs() as lines:
        yield lines


class Yielding(SetClock):
    """Others have their turn while it sleeps."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await asyncio.sleep(0)


class Write:
    def __init__(self, error: StoreError | None = None) -> None:
        self.error: StoreError | None = error or StoreUnavailable("away")
        self.tries = 0

    async def __call__(self) -> None:
        self.tries += 1
        if self.error is not None:
            raise self.error


def told(logs: Lines) -> list[tuple[str, str]]:
    return [(line["kind"], line["what"]) for line in logs if line["event"] == "cleanup.not_stored"]


async def test_it_is_tried_for_as_long_as_the_store_is_away(logs: Lines) -> None:
    clock, tasks, write = Yielding(), Tasks(), Write()
    began, persistence = clock.now(), RetryWriter(clock)
    tasks.start(persistence.retry_until_stored(write, "room", *THINGS), name="write")
    await wait_until(lambda: clock.now() - began > 24 * 3600, seconds=60)
    assert len(persistence) == 1
    write.error = None
    assert await tasks.wait(5) == 0
    assert (len(persistence), told(logs)) == (0, [])
    retried = [line for line in logs if line["event"] == "store.write_retried"]
    assert 10 < len(retried) < 20, "ever fewer lines"


async def test_what_is_cut_off_is_told_thing_by_thing(logs: Lines) -> None:
    tasks, persistence = Tasks(), RetryWriter(Yielding())
    tasks.start(persistence.retry_until_stored(Write(), "room", *THINGS, room="sales"), name="write")
    tasks.start(persistence.retry_until_stored(Write(), "browser's seat"), name="seat")
    await wait_until(lambda: len(persistence) == 2)
    assert await tasks.wait(0) == 2
    assert told(logs) == [(kind, "room") for kind in ("participant", "session", "leg", "call")]
    hints = [line["hint"] for line in logs if line["event"] == "cleanup.not_stored"]
    assert ["sweep --from-logs" in hint for hint in hints] == [True, True, False, False]
    assert [line["what"] for line in logs if line["event"] == "store.write_lost"] == ["browser's seat"]


async def test_one_that_is_cut_off_at_its_first_try_is_told_too(logs: Lines) -> None:
    tasks = Tasks()
    tasks.start(
        RetryWriter(Yielding()).retry_until_stored(asyncio.Event().wait, "leg", HangUpLeg("c-1")),
        name="write",
    )
    await asyncio.sleep(0)
    assert await tasks.wait(0) == 1
    assert told(logs) == [("leg", "leg")]


async def test_they_are_bounded_by_their_number(logs: Lines) -> None:
    tasks, persistence = Tasks(), RetryWriter(Yielding(), limit=3)
    writes = [Write() for _ in range(5)]
    for number, write in enumerate(writes):
        tasks.start(
            persistence.retry_until_stored(write, str(number), DeleteSession(f"s-{number}")), name="write"
        )
    await wait_until(lambda: len(persistence) == 3 and len(tasks) == 3)
    assert told(logs) == [("session", "3"), ("session", "4")]
    for write in writes:
        write.error = None
    assert await tasks.wait(5) == 0
    assert len(told(logs)) == 2
    await persistence.retry_until_stored(Write.__new__(Done), "room", DeleteSession("s"))
    assert len(told(logs)) == 2


class Done(Write):
    async def __call__(self) -> None:
        pass


async def test_many_do_not_take_the_processor() -> None:
    """With a thousand of them each waits for ten seconds, not one."""
    clock, tasks = Yielding(), Tasks()
    persistence, writes = RetryWriter(clock), [Write() for _ in range(1000)]
    for write in writes:
        tasks.start(persistence.retry_until_stored(write, "room"), name="write")
    await wait_until(lambda: len(persistence) == 1000)
    before, began = sum(write.tries for write in writes), clock.now()
    await wait_until(lambda: clock.now() - began > 30_000)
    # Sleeps of all of them add up on this clock: each second of it is a thousandth of a real one.
    real = (clock.now() - began) / 1000
    assert (sum(write.tries for write in writes) - before) / real < 150
    for write in writes:
        write.error = None
    await tasks.wait(10)


@pytest.mark.parametrize("error", [StoreCorrupt("what is this"), StoreUnavailable("away")], ids=repr)
async def test_what_the_store_cannot_read_is_not_tried_for_ever(logs: Lines, error: StoreError) -> None:
    tasks, write = Tasks(), Write(error)
    persistence = RetryWriter(Yielding())
    tasks.start(persistence.retry_until_stored(write, "outbound call", HangUpPhone("c-1")), name="write")
    if isinstance(error, StoreUnavailable):
        await wait_until(lambda: write.tries > UNREADABLE_TRIES * 2)
        write.error = None
    assert await tasks.wait(5) == 0
    assert told(logs) == ([] if isinstance(error, StoreUnavailable) else [("call", "outbound call")])
    assert len(persistence) == 0


async def test_a_fault_in_the_write_is_told_with_what_it_costs(logs: Lines) -> None:
    async def faulty() -> None:
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        await RetryWriter(Yielding()).retry_until_stored(faulty, "room", DeleteSession("s-1"))
    assert told(logs) == [("session", "room")]
