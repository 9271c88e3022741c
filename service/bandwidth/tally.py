"""How many HTTP requests a piece of work has cost: told to whoever asks, without passing it through."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """Counts up while `counting()` runs, child tasks included.

    `requests`: every request sent or tried, repeats included. `retries`: those of them that were repeats.
    Token requests are not in it: one of them serves many pieces of work.
    """

    requests: int = 0
    retries: int = 0


current_tally: ContextVar[Tally | None] = ContextVar("current_tally", default=None)


def count(*, requests: int, attempt: int) -> None:
    """One attempt that took so many requests, into the tally of whoever is counting."""
    if (tally := current_tally.get()) is not None:
        tally.requests += requests
        tally.retries += requests if attempt > 1 else requests - 1


@contextmanager
def counting() -> Iterator[Tally]:
    """Everything sent inside the block is counted in what it gives, and in that only."""
    tally = Tally()
    previous = current_tally.set(tally)
    try:
        yield tally
    finally:
        current_tally.reset(previous)
