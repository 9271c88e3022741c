"""Decides when wrong PINs are guessing, and what then becomes of the caller and of calls to the number."""

from typing import Final

import msgspec

CALLER_LIMIT: Final = 10
"""Wrong PINs of one caller in an hour, after which its calls are let go."""
NUMBER_LIMIT: Final = 100
"""On one number of ours in an hour, by whomever, after which each call has one try."""


class WrongPinCounts(msgspec.Struct, frozen=True):
    """Wrong PINs of the last hour."""

    by_caller: int = 0
    """0 for a caller without a number."""
    on_number: int = 0

    @property
    def is_caller_refused(self) -> bool:
        """Whether this caller is not asked any more."""
        return self.by_caller >= CALLER_LIMIT

    @property
    def is_number_suspicious(self) -> bool:
        """Whether somebody may be guessing on this number, by many callers or by none that has a number."""
        return self.on_number >= NUMBER_LIMIT

    def attempts_allowed(self, pin_attempts_allowed: int) -> int:
        """Of the `pin_attempts_allowed` of a call; always one, as a right first PIN is never refused."""
        return min(pin_attempts_allowed, 1) if self.is_number_suspicious else pin_attempts_allowed


NO_WRONG_PINS: Final = WrongPinCounts()
