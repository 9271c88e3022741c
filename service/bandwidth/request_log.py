"""Records the HTTP requests of a piece of work without passing a log through every call."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from service.calls.request_record import RequestRecord
from service.clock import Clock

UNANSWERED: Final = "unanswered"
_MAX_ENTRIES: Final = 20
"""Requests of one piece of work that are told one by one."""


@dataclass(slots=True)
class RequestEntry:
    """One request with its repeats, from the first moment on. `started`: monotonic."""

    operation: str
    started: float
    status: int | None = None
    error: str = UNANSWERED
    seconds: float | None = None
    """Until it was over; None while it is not."""
    send_count: int = 0
    """How often it went out: what breaks or is refused may be repeated at once."""


@dataclass(slots=True)
class RequestLog:
    """Counts up while `counting()` runs, child tasks included.

    `requests`: every request sent or tried, repeats included. `retries`: those of them that were repeats.
    Token requests are not in it: one of them serves many pieces of work.
    """

    work_id: str = ""
    """Which piece of work it is, however often it is tried; empty for one that nothing else belongs to."""
    requests: int = 0
    retries: int = 0
    entries: list[RequestEntry] = field(default_factory=list, compare=False)
    """The first of them, each with its repeats; also those that were not sent, as the API is left alone."""

    def records(self, clock: Clock) -> tuple[RequestRecord, ...]:
        """For the timeline of a call; one that is still under way is `unanswered`."""
        now, monotonic = clock.now(), clock.monotonic()
        return tuple(
            RequestRecord(
                at=round(now - (monotonic - one.started), 3),
                operation=one.operation,
                ms=round(1000 * (monotonic - one.started if one.seconds is None else one.seconds), 1),
                status=one.status,
                error=one.error,
                repeats=max(one.send_count - 1, 0),
            )
            for one in self.entries
        )


current_request_log: ContextVar[RequestLog | None] = ContextVar("current_tally", default=None)


def count_requests(*, requests: int, attempt: int) -> int:
    """One attempt that took so many requests, into the tally of whoever is counting; gives their repeats."""
    retries = requests if attempt > 1 else requests - 1
    if (tally := current_request_log.get()) is not None:
        tally.requests += requests
        tally.retries += retries
    return retries


def track_request(operation: str, now: float) -> RequestEntry:
    """A request is about to be sent. `now`: monotonic."""
    sent = RequestEntry(operation, now)
    tally = current_request_log.get()
    if tally is not None and len(tally.entries) < _MAX_ENTRIES:
        tally.entries.append(sent)
    return sent


def work_key(operation: str) -> tuple[str, str] | None:
    """Whose request this is: the same for all repeats of it, None where nobody can say."""
    tally = current_request_log.get()
    return (tally.work_id, operation) if tally is not None and tally.work_id else None


@contextmanager
def record_requests(work_id: str = "") -> Iterator[RequestLog]:
    """Everything sent inside the block is counted in what it gives, and in that only. `work_id`: as there."""
    tally = RequestLog(work_id)
    previous = current_request_log.set(tally)
    try:
        yield tally
    finally:
        current_request_log.reset(previous)
