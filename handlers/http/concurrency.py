"""How much is worked on at the same time: who finds no place is told so at once, and does not queue."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Places:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    @property
    def full(self) -> bool:
        return self.taken >= self.limit

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Whether there is a place; it is free again at the end of the block."""
        if self.full:
            yield False
            return
        self.taken += 1
        try:
            yield True
        finally:
            self.taken -= 1

    def keep(self, task: asyncio.Task[Any]) -> None:
        """What goes on after its answer keeps a place until it is done, beyond the limit if need be."""
        self.taken += 1
        task.add_done_callback(self._left)

    def _left(self, _task: asyncio.Task[Any]) -> None:
        self.taken -= 1
