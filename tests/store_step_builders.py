"""Steps of a store's journal that never was."""

from tests.chaos.store_history import Step

PARTITION = "pstn:{p00}:"
"""What the keys of a partition begin with."""


def step(*commands: str | tuple[str | bytes, ...]) -> Step:
    """Commands as texts with blanks between their arguments, or as tuples."""
    split = (tuple(one.split()) if isinstance(one, str) else one for one in commands)
    return [[arg.encode() if isinstance(arg, str) else arg for arg in one] for one in split]


def mark(sent_at: float, clock: int = 0) -> Step:
    """`clock`: milliseconds that the server's clock shows."""
    return step(f"SET chaos:mark {sent_at} PXAT {clock + 1}")
