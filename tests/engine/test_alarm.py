"""The worker hears of new work at once, and looks everywhere every second all the same."""

import asyncio

from service.calls.refs import PARTITIONS
from service.engine.alarm import Alarm
from service.store.keys import owner_room, partition_of_owner
from service.tasks import Tasks

OWNER = owner_room("lobby")
EVERYWHERE = list(range(PARTITIONS))


async def test_new_work_is_told_at_once() -> None:
    alarm = Alarm()
    alarm.wake(OWNER)
    alarm.wake(OWNER)
    assert await alarm.wait(60) == [partition_of_owner(OWNER)]


async def test_without_new_work_all_are_looked_at() -> None:
    assert await Alarm().wait(0.01) == EVERYWHERE


async def test_all_are_looked_at_however_much_new_work_there_is() -> None:
    alarm = Alarm()

    async def ringing() -> None:
        while True:
            alarm.wake(OWNER)
            await asyncio.sleep(0.02)

    ring = Tasks().start(ringing(), name="ringing")
    async with asyncio.timeout(5):
        while await alarm.wait(0.2) != EVERYWHERE:
            pass
        while await alarm.wait(0.2) != EVERYWHERE:
            pass
    ring.cancel()
