"""What a check has found."""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

Result = Literal["ok", "warn", "fail"]

SKEW: Final = 2.0
"""Seconds by which clocks may differ: times of two replicas stand in one order."""


class Finding(NamedTuple):
    check: str
    result: Result
    found: str
    do: str = ""
    """What to do about it; empty where all is well."""

    def view(self) -> dict[str, Any]:
        return {"check": self.check, "result": self.result, "found": self.found, "do": self.do or None}


Findings = Sequence[Finding]


def clock_finding(check: str, seconds: float, what: str, *, least: float = SKEW) -> Finding:
    """`seconds`: by which ours is ahead. `least`: the smallest that can be told and matters.

    A warning, however much it is: replicas go by a time that they share, and nobody stops serving for it.
    """
    words = f"our clock is {abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} {what}"
    if abs(seconds) <= least:
        return Finding(check, "ok", f"our clock agrees with {what}")
    return Finding(check, "warn", words, "have NTP set the clocks of all machines (timedatectl, chronyc)")
