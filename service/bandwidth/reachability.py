"""Whether an API of Bandwidth can be reached from here, which says nothing about what it answers."""

from typing import Final

NO_CALL: Final = "c-00000000-doctor"
NO_SESSION: Final = "00000000-0000-0000-0000-000000000000"
"""No call and no session: asked for, and not found, by somebody who may ask."""


class Reach:
    """Of all kinds of work at an API together: a connection that fails does not know what it was for."""

    def __init__(self) -> None:
        self.lost_at: float | None = None
        """When the first request since the latest answer found no way (monotonic); None where none has."""

    def answered(self) -> None:
        """With whatever status: somebody is there."""
        self.lost_at = None

    def lost(self, now: float) -> None:
        """No connection, a broken one, or no answer for long."""
        if self.lost_at is None:
            self.lost_at = now
