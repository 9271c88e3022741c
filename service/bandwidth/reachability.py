"""Tracks whether one of Bandwidth's APIs can be reached, whatever it answers."""

from typing import Final

MISSING_CALL_ID: Final = "c-00000000-doctor"
MISSING_SESSION_ID: Final = "00000000-0000-0000-0000-000000000000"
"""No call and no session: asked for, and not found, by somebody who may ask."""


class Reachability:
    """Of all kinds of work at an API together: a connection that fails does not know what it was for."""

    def __init__(self) -> None:
        self.unreachable_since: float | None = None
        """When the first request since the latest answer found no way (monotonic); None where none has."""

    def mark_reached(self) -> None:
        """With whatever status: somebody is there."""
        self.unreachable_since = None

    def mark_unreachable(self, now: float) -> None:
        """No connection, a broken one, or no answer for long."""
        if self.unreachable_since is None:
            self.unreachable_since = now
