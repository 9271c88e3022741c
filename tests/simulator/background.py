"""Tasks that end with the simulator, and waiting for something to become true."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
Predicate = Callable[[], bool]


class Background:
    """Keeps the tasks it starts; what one of them raises is told to `on_failure`."""

    def __init__(self, on_failure: Callable[[str], None]) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self._on_failure = on_failure

    def start(self, coroutine: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        task = asyncio.create_task(coroutine, name=name)  # noqa: TID251 - may not import service.tasks
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(f"simulator task {task.get_name()} failed: {error!r}")

    async def stop(self) -> None:
        """Cancel everything; a task that starts another while it is cancelled is waited for as well."""
        while self._running:
            tasks = set(self._running)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


class Changes:
    """Wakes whoever waits for a condition; tested at each change, so that no short state is missed."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], Predicate] = {}
        self.watchers: list[Callable[[], None]] = []

    def notify(self) -> None:
        for watcher in self.watchers:
            watcher()
        for future, predicate in list(self._waiting.items()):
            if not future.done() and predicate():
                future.set_result(None)

    async def until(
        self,
        predicate: Predicate,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - becomes an assertion that says what was waited for
        what: Callable[[], str] = str,
        poll: float | None = None,
    ) -> None:
        """Return when `predicate` holds; after `timeout` seconds raise an AssertionError with `what()`.

        `poll` tests it every so many seconds besides, where it may depend on more than these changes.
        """
        if predicate():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = predicate
        try:
            async with asyncio.timeout(timeout):
                while not future.done() and not predicate():
                    await asyncio.wait([future], timeout=poll)
        except TimeoutError:
            raise AssertionError(f"not within {timeout} s: {what()}") from None
        finally:
            del self._waiting[future]
