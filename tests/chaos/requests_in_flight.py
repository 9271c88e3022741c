"""Requests to Bandwidth by when they were under way."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Final

from tests.simulator.journal import Request

HANGS: Final = 4.0
"""Seconds without an answer that are a failure."""


class RequestsInFlight:
    """Requests, added in the order in which they were asked for."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._last: list[Request] = []
        """Of each and those before it the one whose end was known last."""

    def add(self, request: Request) -> None:
        self._requests.append(request)
        self._last.append(max(self._last[-1], request, key=answered_at) if self._last else request)

    def last(self, since: float, until: float) -> Request | None:
        """The one whose end was known last, if it was under way in this time."""
        begun = bisect_right(self._requests, until, key=lambda one: one.at)
        return self._last[begun - 1] if begun and since <= answered_at(self._last[begun - 1]) else None


def last_of(
    all_: Mapping[str, RequestsInFlight], tags: Iterable[str], since: float, until: float
) -> Request | None:
    return next((one for tag in tags if tag in all_ and (one := all_[tag].last(since, until))), None)


def answered_at(request: Request) -> float:
    seconds = request.ms / 1000
    return request.at + (min(seconds, HANGS) if failed(request) else seconds)


def failed(request: Request) -> bool:
    return request.status is None or request.status >= 500 or request.ms >= HANGS * 1000
