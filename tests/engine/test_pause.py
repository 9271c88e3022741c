"""The look at whether new calls are taken goes on whatever it meets."""

from collections.abc import AsyncIterator

import pytest
import structlog

from service.engine.pause import PauseWatch
from service.metrics import Metrics
from service.store.pause import PauseState, PauseSwitch
from service.store.redis.client import Client
from service.tasks import Tasks
from tests.waiting import wait_until


class FaultySwitch(PauseSwitch):
    """Fails once in a way that nobody has thought of."""

    looks = 0

    async def read(self) -> PauseState | None:
        self.looks += 1
        if self.looks == 1:
            raise LookupError
        return await super().read()


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[Client]:
    client = Client(store_url)
    yield client
    await client.close()


async def test_a_fault_of_ours_does_not_end_it(client: Client) -> None:
    switch, tasks = FaultySwitch(client), Tasks()
    pause = PauseWatch(switch, Metrics())
    await switch.set(PauseState(since=1))
    with structlog.testing.capture_logs() as lines:
        tasks.start(pause.run(), name="pause")
        await wait_until(lambda: pause.current)
        pause.stop()
        await wait_until(lambda: not len(tasks))
    assert pause.current == PauseState(since=1)
    assert [(line["event"], line["task"]) for line in lines if line["log_level"] == "error"] == [
        ("task.failed", "pause")
    ]
