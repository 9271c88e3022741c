"""Marks in the store's journal, written all the time: they say when what stands between them was written.

The journal has the order of all that was written, and no times of this process. A step between two marks was
written after the first was sent, and before the one behind the second was.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.chaos.store_history import Step
from tests.chaos.times import NEVER
from tests.simulator.clock import monotonic

MARK: Final = "chaos:mark"
EVERY: Final = 0.1
"""Seconds between two marks."""
KEPT: Final = 1
"""Milliseconds for which a mark is there: its expiry in the journal says what the server's clock showed."""


class Moment(msgspec.Struct, frozen=True):
    """Of a step. Times are monotonic seconds."""

    after: float = -NEVER
    before: float = NEVER
    clock: float = NEVER
    """Milliseconds since the epoch: what the server's clock showed at most; NEVER where no mark says it."""


class Marks:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    async def watch(self) -> None:
        """Until `stop`. There are no marks while the store is away."""
        while not self._stopped:
            with suppress(RedisError, OSError):
                await self._redis.set(MARK, f"{monotonic():.4f}", px=KEPT)
            await asyncio.sleep(EVERY)


def moments(written: Iterable[Step]) -> Iterator[tuple[Step, Moment]]:
    """All steps, in order, with what is known of when each was written."""
    sent_at, shown = -NEVER, 0.0
    """Of the latest mark."""
    marked: list[tuple[Step, float, float]] = []
    """Behind which one mark stands, with when at the earliest and by which clock they were written."""
    waiting: list[Step] = []
    for step in written:
        waiting.append(step)
        mark = _mark(step)
        if mark is None:
            continue
        # Who sends a mark has had the answer to the one before.
        for one, after, clock in marked:
            yield one, Moment(after, mark[0], clock)
        marked = [(one, sent_at, max(shown, mark[1])) for one in waiting]
        waiting, (sent_at, shown) = [], mark
    for one, after, clock in marked:
        yield one, Moment(after, NEVER, clock)
    for one in waiting:
        yield one, Moment(sent_at)


def _mark(step: Step) -> tuple[float, float] | None:
    """When it was sent, and what the server's clock showed; None where the step is none."""
    match step:
        # In the same step the server takes away the mark before, where that has expired and is still there.
        case [*_, [b"SET", key, sent_at, option, expiry]] if (key, option.upper()) == (
            MARK.encode(),
            b"PXAT",
        ):
            return float(sent_at), float(expiry) - KEPT
    return None
