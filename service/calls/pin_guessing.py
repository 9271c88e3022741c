"""When wrong PINs are taken for guessing: what becomes of a caller, and of calls to a number."""

from typing import Final

import msgspec

BY_CALLER: Final = 10
"""Wrong PINs of one caller in an hour, after which its calls are let go."""
ON_NUMBER: Final = 100
"""On one number of ours in an hour, by whomever, after which each call has one try."""


class Guesses(msgspec.Struct, frozen=True):
    """Wrong PINs of the last hour."""

    by_caller: int = 0
    """0 for a caller without a number."""
    on_number: int = 0

    @property
    def refused(self) -> bool:
        """Whether this caller is not asked any more."""
        return self.by_caller >= BY_CALLER

    @property
    def suspicious(self) -> bool:
        """Whether somebody may be guessing on this number, by many callers or by none that has a number."""
        return self.on_number >= ON_NUMBER

    def tries(self, asks: int) -> int:
        """Of the `asks` that a call has as a rule; always one, as a right first PIN is never refused."""
        return min(asks, 1) if self.suspicious else asks


NONE: Final = Guesses()
