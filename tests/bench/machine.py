"""The machine: which core is whose, how busy each was, and what a process has used."""

import os
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = resource.getpagesize()
TOO_BUSY: Final = 0.9
"""Share of its core beyond which the side that measures is what is measured."""


@dataclass(frozen=True)
class Cores:
    """Of the side that is measured, and of the load with stub and store; the same where there is but one."""

    service: int
    load: int
    spare: int | None = None
    """For one more replica, where the machine has it."""

    @property
    def apart(self) -> bool:
        return self.service != self.load


def cores() -> Cores:
    mine = sorted(os.sched_getaffinity(0))
    return Cores(mine[0], mine[1] if len(mine) > 1 else mine[0], mine[2] if len(mine) > 2 else None)


@contextmanager
def on(core: int) -> Iterator[None]:
    """What is started in here runs on this core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass
class CoreLoad:
    share: float = 0.0
    """Of a core's time: all that ran on it, steal by other machines included."""


@contextmanager
def watching(core: int) -> Iterator[CoreLoad]:
    busy = CoreLoad()
    idle, every = _times(core)
    yield busy
    idle_then, every_then = _times(core)
    busy.share = share(idle_then - idle, every_then - every)


def share(idle: float, every: float) -> float:
    return 1 - idle / every if every > 0 else 0.0


def _times(core: int) -> tuple[float, float]:
    """Ticks that the core was idle, waiting for a disk included, and all of them (proc(5), stat)."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            # The guests' times, the last two, are in user and nice already.
            return float(ticks[3]) + float(ticks[4]), sum(map(float, ticks[:8]))
    raise OSError(f"/proc/stat has no core {core}")


def processor_seconds(pid: int) -> float:
    """User and system time of all threads (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def conditions() -> dict[str, str]:
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": f"{len(os.sched_getaffinity(0))} x {model}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
