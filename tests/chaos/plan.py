"""Divides a storm into turns. Each turn plays one kind of weather on a fresh store, fleet and simulator.

A turn depends on its weather, seed and number of calls alone, so that one turn can be played again by itself.
"""

import math
from collections.abc import Sequence

import msgspec

TURN: int = 700
"""Calls of one turn at most: what is found is then a matter of a minute or two."""
STRIDE: int = 1_000_003
"""Between the seeds of two turns: the seeds of two storms with neighbouring seeds do not meet."""


class Turn(msgspec.Struct, frozen=True):
    fault_profile: str
    seed: int
    calls: int
    only: tuple[int, ...] = ()
    """Numbers of the calls that take part. Empty: all."""
    window: tuple[float, float] | None = None
    """Seconds of the turn from which and until which the weather blows. None: all the time."""

    @property
    def numbers(self) -> Sequence[int]:
        return self.only or range(self.calls)

    @property
    def replay(self) -> str:
        """The command that plays it again."""
        only = f" CHAOS_ONLY={','.join(map(str, self.only))}" if self.only else ""
        window = f" CHAOS_WINDOW={self.window[0]:g}-{self.window[1]:g}" if self.window else ""
        return (
            f"CHAOS_WEATHER={self.fault_profile} CHAOS_SEED={self.seed} CHAOS_CALLS={self.calls}"
            f"{only}{window} make chaos"
        )


class UnknownFaultProfile(ValueError):
    """A name that no weather has; the message lists those that there are."""


def plan(calls: int, seed: int, weathers: Sequence[str]) -> list[Turn]:
    """Every weather gets a turn, and more rounds follow for more calls; all turns are of about one size."""
    count = min(calls, max(len(weathers), math.ceil(calls / TURN)))
    share, more = divmod(calls, count)
    return [Turn(weathers[n % len(weathers)], seed + n * STRIDE, share + (n < more)) for n in range(count)]


def fault_profiles_named(text: str, known: Sequence[str]) -> list[str]:
    """`text` as in CHAOS_WEATHER: names with commas, empty for all. Raises UnknownFaultProfile."""
    names = [name.strip() for name in text.split(",") if name.strip()] or list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UnknownFaultProfile(f"there is no weather {', '.join(unknown)}; there are: {', '.join(known)}")
    return list(dict.fromkeys(names))
