"""A machine's clock that somebody else sets: the offset from the right time is in a small file.

The file holds one double. It is mapped into the process that goes by it, so that looking at it costs nothing.
"""

import mmap
import struct
from collections.abc import Callable
from pathlib import Path

from service.clock import SystemClock

VARIABLE = "CHAOS_CLOCK"
"""Of the environment of a replica: the file's name."""
_OFFSET = struct.Struct("d")


def set_offset(file: Path, seconds: float) -> None:
    """For whoever goes by the file, from now on."""
    with file.open("r+b" if file.exists() else "w+b") as out:
        out.write(_OFFSET.pack(seconds))


def use_offset(file: Path) -> None:
    """Have this process go by that clock from now on, in all that it does and logs."""
    with file.open("rb") as shown:
        offset = mmap.mmap(shown.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)
    right: Callable[[SystemClock], float] = SystemClock.now

    def now(clock: SystemClock) -> float:
        return right(clock) + float(_OFFSET.unpack_from(offset)[0])

    SystemClock.now = now  # type: ignore[assignment, method-assign] # the one place that asks
