"""The worker hears of new work at once."""

import asyncio

from service.engine.outbox.wakeup import _LIMIT, WorkerSignal
from service.tasks import Tasks


async def test_new_work_is_told_at_once_and_once() -> None:
    alarm = WorkerSignal()
    waiting = Tasks().start(alarm.wait(), name="waiting")
    await asyncio.sleep(0)
    for owner in ("room:lobby", "call:c-1", "room:lobby"):
        alarm.notify(owner)
    assert await waiting == ["room:lobby", "call:c-1"]


async def test_who_is_to_come_round_is_told_so_without_work() -> None:
    alarm = WorkerSignal()
    alarm.notify_all()
    assert await alarm.wait() == []


async def test_owners_that_nobody_takes_are_not_kept_without_end() -> None:
    """A replica without a worker has nobody who would."""
    alarm = WorkerSignal()
    for n in range(_LIMIT + 5):
        alarm.notify(f"room:{n}")
    assert len(await alarm.wait()) == _LIMIT
