"""Limits how many requests are handled at the same time. There is no queue."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class ConcurrencyLimit:
    """`limit`: how many slots there are. Its methods raise nothing."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_use = 0

    @property
    def is_full(self) -> bool:
        return self.in_use >= self.limit

    @contextmanager
    def slot(self) -> Iterator[bool]:
        """Whether there is a slot; it is free again at the end of the block."""
        if self.is_full:
            yield False
            return
        self.in_use += 1
        try:
            yield True
        finally:
            self.in_use -= 1

    def hold_until_done(self, task: asyncio.Task[Any]) -> None:
        """A task that goes on after its answer holds a slot until it is done, beyond the limit if need be."""
        self.in_use += 1
        task.add_done_callback(self._release)

    def _release(self, _task: asyncio.Task[Any]) -> None:
        self.in_use -= 1
