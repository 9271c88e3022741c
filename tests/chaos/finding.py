"""What an eye has found."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Wrong, unless it has an `excuse`: the name of an allowance, under which it is counted apart."""

    what: str
    ids: tuple[str, ...] = ()
    """Of calls, participants, sessions, refs and rooms, for the story of it."""
    at: float | None = None
    """Monotonic seconds."""
    excuse: str = ""


Check = Callable[["Evidence"], Iterable[Finding]]
"""Looks at a turn that is over. It is pure, and costs as much as there are calls."""
