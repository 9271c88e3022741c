"""No process outlives a test run: what is still there at its end is named, and the run has failed.

On Linux. A process whose parent has ended becomes a child of this one, so that none is lost sight of.
"""

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Final

import pytest

_SUBREAPER: Final = 36
"""PR_SET_CHILD_SUBREAPER (prctl(2))."""
_PATIENCE: Final = 5.0
"""Seconds in which what was told to end may do so."""


def adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def children() -> dict[int, str]:
    """Those that run, with their commands (proc(5)); what has ended and was not waited for does not count."""
    found, mine = {}, str(os.getpid())
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
            state, parent, *_ = rest.split()
            command = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if parent == mine and state != "Z":
            found[int(stat.parent.name)] = command.strip() or name
    return found


def assert_no_processes(session: pytest.Session) -> None:
    """For the process that began the run; workers end before it looks."""
    if sys.platform != "linux" or hasattr(session.config, "workerinput"):
        return
    until = time.monotonic() + _PATIENCE
    while (left := children()) and time.monotonic() < until:
        time.sleep(0.05)
    for pid, command in left.items():
        sys.stderr.write(f"\nERROR: process {pid} outlives the test run: {command}\n")
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
