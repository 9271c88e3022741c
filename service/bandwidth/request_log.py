"""Which HTTP requests a piece of work has cost: told to whoever asks, without passing it through."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from service.calls.request_record import Request
from service.clock import Clock

UNANSWERED: Final = "unanswered"
_NOTED: Final = 20
"""Requests of one piece of work that are told one by one."""


@dataclass(slots=True)
class Sent:
    """One request with its repeats, from the first moment on. `began`: monotonic."""

    operation: str
    began: float
    status: int | None = None
    error: str = UNANSWERED
    seconds: float | None = None
    """Until it was over; None while it is not."""
    times: int = 0
    """How often it went out: what breaks or is refused may be repeated at once."""


@dataclass(slots=True)
class Tally:
    """Counts up while `counting()` runs, child tasks included.

    `requests`: every request sent or tried, repeats included. `retries`: those of them that were repeats.
    Token requests are not in it: one of them serves many pieces of work.
    """

    piece: str = ""
    """Which piece of work it is, however often it is tried; empty for one that nothing else belongs to."""
    requests: int = 0
    retries: int = 0
    sent: list[Sent] = field(default_factory=list, compare=False)
    """The first of them, each with its repeats; also those that were not sent, as the API is left alone."""

    def told(self, clock: Clock) -> tuple[Request, ...]:
        """For the timeline of a call; one that is still under way is `unanswered`."""
        now, monotonic = clock.now(), clock.monotonic()
        return tuple(
            Request(
                at=round(now - (monotonic - one.began), 3),
                operation=one.operation,
                ms=round(1000 * (monotonic - one.began if one.seconds is None else one.seconds), 1),
                status=one.status,
                error=one.error,
                repeats=max(one.times - 1, 0),
            )
            for one in self.sent
        )


current_tally: ContextVar[Tally | None] = ContextVar("current_tally", default=None)


def count(*, requests: int, attempt: int) -> int:
    """One attempt that took so many requests, into the tally of whoever is counting; gives their repeats."""
    retries = requests if attempt > 1 else requests - 1
    if (tally := current_tally.get()) is not None:
        tally.requests += requests
        tally.retries += retries
    return retries


def begin(operation: str, now: float) -> Sent:
    """A request is about to be sent. `now`: monotonic."""
    sent = Sent(operation, now)
    tally = current_tally.get()
    if tally is not None and len(tally.sent) < _NOTED:
        tally.sent.append(sent)
    return sent


def piece_of_work(operation: str) -> tuple[str, str] | None:
    """Whose request this is: the same for all repeats of it, None where nobody can say."""
    tally = current_tally.get()
    return (tally.piece, operation) if tally is not None and tally.piece else None


@contextmanager
def counting(piece: str = "") -> Iterator[Tally]:
    """Everything sent inside the block is counted in what it gives, and in that only. `piece`: as there."""
    tally = Tally(piece)
    previous = current_tally.set(tally)
    try:
        yield tally
    finally:
        current_tally.reset(previous)
