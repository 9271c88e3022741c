"""Sends creates that are never cancelled, and owes the removal of what they make until it has an owner."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

import structlog

from service.bandwidth.errors import BandwidthError
from service.bandwidth.webrtc import CreatedParticipant
from service.clock import Clock
from service.engine.cleanup import CleanUp, ids_of
from service.engine.errors import JoinTimeout
from service.logs import log_context
from service.metrics import Metrics
from service.tasks import Tasks

log = structlog.get_logger()
T = TypeVar("T", bound=str | CreatedParticipant)

NO_REPEAT: Final = -math.inf
"""As `repeat_until` of a create that must not be sent twice."""


class CompensatedCreate(Generic[T]):
    """One create request under way, and the owner of what it makes.

    Cancelling it would leave a thing at Bandwidth whose id nobody learns, so it runs to its end. It is used
    as a context manager: when the block ends, in whatever way, the removal of what was made is owed, now or
    when it comes, unless `hand_over` was called before. The write that makes somebody else the owner calls
    that as it begins, and is carried through (`SessionJoiner.commit_handover`).

    A create that fails is sent once more, at once, if nobody has given it up and it is before `repeat_until`
    (monotonic). One that may have happened all the same is counted: what it made lives out its 9 hours.
    """

    def __init__(
        self,
        tasks: Tasks,
        request: Callable[[int], Coroutine[Any, Any, T]],
        cleanup: Callable[[str], CleanUp],
        schedule_cleanup: Callable[[CleanUp], Coroutine[Any, Any, None]],
        name: str,
        *,
        clock: Clock,
        metrics: Metrics,
        repeat_until: float = NO_REPEAT,
    ) -> None:
        """`request` is given 1 for the first try and 2 for the second.

        `cleanup`: what takes down the thing with this id. `schedule_cleanup`: sees to that, sooner or later.
        """
        self._tasks = tasks
        self._request = request
        self._cleanup = cleanup
        self._schedule_cleanup = schedule_cleanup
        self._name = name
        self._clock = clock
        self._metrics = metrics
        self._repeat_until = repeat_until
        self._owned = True
        self._wanted = True
        self.task = tasks.start(self._send_with_retry(), name=name)

    def __enter__(self) -> "CompensatedCreate[T]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wanted = False
        if self._owned and not self.has_failed:
            self._tasks.start(self._compensate(), name=f"{self._name}.abandon")

    async def wait(self, seconds: float) -> T:
        """Raises JoinTimeout, or the request's BandwidthError."""
        if not self.task.done():
            await asyncio.wait({self.task}, timeout=max(seconds, 0))
            if not self.task.done():
                raise JoinTimeout
        made = self.task.result()
        if isinstance(made, BandwidthError):
            raise made
        return made

    @property
    def created(self) -> T | None:
        """What it has made by now, None if that is nothing."""
        made = self.task.result() if self.task.done() else None
        return None if isinstance(made, BandwidthError) else made

    @property
    def has_failed(self) -> bool:
        """Whether it is known to make nothing."""
        return self.task.done() and isinstance(self.task.result(), BandwidthError)

    def hand_over(self) -> None:
        """Somebody else sees to what was made, whatever happens from now on."""
        self._owned = False

    @property
    def cleanup(self) -> CleanUp | None:
        """What takes down what it has made by now."""
        made = self.created
        return None if made is None else self._cleanup(_id_of(made))

    async def _send_with_retry(self) -> T | BandwidthError:
        first = await self._send(1)
        if isinstance(first, BandwidthError) and self._should_repeat(first):
            return await self._send(2)
        return first

    async def _send(self, attempt: int) -> T | BandwidthError:
        try:
            made = await self._request(attempt)
        except BandwidthError as error:
            self._record_failure(error)
            return error
        except asyncio.CancelledError:
            # The process ends. Whether it had been sent nobody knows any more.
            log.warning("create.in_doubt", operation=self._name, error="cut-off")
            raise
        with log_context(**ids_of(self._cleanup(_id_of(made)))):
            log.info("create.done", operation=self._name)
        return made

    def _should_repeat(self, error: BandwidthError) -> bool:
        """Not what would be refused again at once: a rate limit, or an API that is left alone."""
        in_vain = error.status == 429 or error.retry_after is not None
        return (
            error.retryable and not in_vain and self._wanted and self._clock.monotonic() < self._repeat_until
        )

    def _record_failure(self, error: BandwidthError) -> None:
        if error.created_id:
            cleanup = self._cleanup(error.created_id)
            with log_context(**ids_of(cleanup)):
                log.warning("create.unusable", operation=error.operation, error=str(error))
            self._tasks.start(self._schedule_cleanup(cleanup), name=f"{self._name}.unusable")
        elif error.may_have_happened:
            log.warning("create.in_doubt", operation=error.operation, error=error.code)
            self._metrics.in_doubt(error.operation)

    async def _compensate(self) -> None:
        made = await self.task
        if not isinstance(made, BandwidthError):
            await self._schedule_cleanup(self._cleanup(_id_of(made)))


def _id_of(made: str | CreatedParticipant) -> str:
    return made if isinstance(made, str) else made.id


async def wait_all(*creations: CompensatedCreate[Any], seconds: float) -> None:
    """Wait for all of them, but not for any beside one that has failed.

    Raises JoinTimeout, or the BandwidthError of the first that failed.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while open_ := {one.task for one in creations if not one.task.done()}:
        if any(one.has_failed for one in creations):
            break
        _, left = await asyncio.wait(
            open_, timeout=max(until - loop.time(), 0), return_when=asyncio.FIRST_COMPLETED
        )
        if left == open_:
            raise JoinTimeout
    for one in creations:
        if one.task.done():
            await one.wait(0)


async def wait_both(
    one: CompensatedCreate[Any], other: CompensatedCreate[Any], *, max_gap: float, seconds: float
) -> bool:
    """Wait for the first for so many seconds, and then for the other for `max_gap`.

    Gives whether there is nothing more to wait for: both have ended, or one has failed.
    """
    tasks = [one.task, other.task]
    await asyncio.wait(tasks, timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED)
    if one.has_failed or other.has_failed:
        return True
    _, open_ = await asyncio.wait(tasks, timeout=max_gap)
    return not open_
