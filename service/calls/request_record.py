"""Defines how the timeline keeps a request to Bandwidth. Nothing is decided by it."""

import msgspec


class RequestRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request: which, when, and how it went. No ids, numbers or secrets."""

    at: float
    """Seconds since the epoch: when it was begun."""
    operation: str
    ms: float
    """Until it was answered or given up; of one without an answer, until somebody asked."""
    status: int | None = None
    """Of the answer; None where there was none."""
    error: str = ""
    """A code of `service.bandwidth.errors`, `unanswered` while it is waited for, empty if all was well."""
    repeats: int = 0
    """How often it was repeated at once."""
