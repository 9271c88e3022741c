"""Converts values for scripts and from their replies."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def ms(seconds: float) -> int:
    """Whole milliseconds, as scripts take times and durations. A fraction is cut off."""
    return int(seconds * 1000)


def nearest_ms(seconds: float) -> int:
    """Whole milliseconds, rounded. A time that was read in milliseconds comes back as the same."""
    return round(seconds * 1000)


def pairs(flat: Iterable[T]) -> Iterator[tuple[T, T]]:
    """A flat reply (`HGETALL`, `WITHSCORES`) by twos. Raises ValueError where one is left over."""
    parts = iter(flat)
    return zip(parts, parts, strict=True)
