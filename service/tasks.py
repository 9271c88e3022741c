"""Runs background tasks: keeps a reference to each, and logs what fails."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import structlog

log = structlog.get_logger()
T = TypeVar("T")


@contextmanager
def log_failures(task_name: str) -> Iterator[None]:
    """Around one turn of a loop that has to go on: what is raised is logged as that of a task is."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - it is logged
        _log_failure(task_name, error)


async def wait_set(event: asyncio.Event, max_wait: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(max_wait):
            await event.wait()
    return event.is_set()


async def repeat(
    task_name: str, action: Callable[[], Awaitable[object]], *, every: float, stop: asyncio.Event
) -> None:
    """Look, at once and then every so many seconds, until it is over; whatever a look raises is logged."""
    while not stop.is_set():
        with log_failures(task_name):
            await action()
        await wait_set(stop, every)


def _log_failure(task: str, error: BaseException) -> None:
    log.error("task.failed", task=task, error=repr(error), exc_info=error)


class Tasks:
    """Keeps every task it starts until it ends, and logs what one of them raises."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, coroutine: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        task = asyncio.create_task(coroutine, name=name)  # noqa: TID251 - this is the one place
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log_failure(task.get_name(), error)

    async def wait(self, seconds: float) -> int:
        """Let the running tasks finish for so long, then cancel the rest; tells how many were cut off."""
        if not self._running:
            return 0
        _, late = await asyncio.wait(set(self._running), timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        return len(late)
