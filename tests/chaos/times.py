"""Times of a turn are seconds of the simulator's clock, `monotonic`: of any two of them one was first."""

from typing import Final

NEVER: Final = float("inf")
"""When that is which has not come."""
