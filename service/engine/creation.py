"""Creates that are never cancelled: what nobody waits for any more is still taken down."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

import structlog

from service.bandwidth.errors import BandwidthError
from service.tasks import Tasks

log = structlog.get_logger()
T = TypeVar("T")


class TooSlow(Exception):
    """The create may still come through; it goes on in the background."""


class Creation(Generic[T]):
    """One create request under way.

    Cancelling it would leave a thing at Bandwidth whose id nobody learns, so it runs to its end. Whoever does
    not use what it makes abandons it, and `undo` is called with it, now or when it comes.
    """

    def __init__(
        self, tasks: Tasks, request: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[None]], name: str
    ) -> None:
        self._tasks = tasks
        self._undo = undo
        self._name = name
        self.task = tasks.start(_outcome(request), name=name)

    async def within(self, seconds: float) -> T:
        """Raises TooSlow, or the request's BandwidthError."""
        if not self.task.done():
            await asyncio.wait({self.task}, timeout=max(seconds, 0))
            if not self.task.done():
                raise TooSlow
        made = self.task.result()
        if isinstance(made, BandwidthError):
            raise made
        return made

    @property
    def made(self) -> T | None:
        """What it has made by now, None if that is nothing."""
        made = self.task.result() if self.task.done() else None
        return None if isinstance(made, BandwidthError) else made

    def abandon(self) -> None:
        self._tasks.start(self._take_down(), name=f"{self._name}.abandon")

    async def _take_down(self) -> None:
        made = await self.task
        if not isinstance(made, BandwidthError):
            await self._undo(made)


async def together(one: Creation[Any], other: Creation[Any], *, apart: float, seconds: float) -> bool:
    """Wait for the first for so many seconds, and then for the other for `apart`; whether both have ended."""
    tasks = [one.task, other.task]
    await asyncio.wait(tasks, timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED)
    _, open_ = await asyncio.wait(tasks, timeout=apart)
    return not open_


async def _outcome(request: Coroutine[Any, Any, T]) -> T | BandwidthError:
    try:
        return await request
    except BandwidthError as error:
        return error
