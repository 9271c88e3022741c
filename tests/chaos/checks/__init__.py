"""The eyes of the judge, each of which looks for one kind of fault in a turn that is over."""

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from tests.chaos.allowances import ALLOWANCES
from tests.chaos.evidence import Evidence
from tests.chaos.checks import (
    browsers,
    commits,
    doubts,
    ends,
    hearing,
    keys,
    leaks,
    limits,
    listeners,
    logs,
    metrics,
    orders,
    owing,
    replies,
    rooms,
    silence,
    standby,
    tokens,
    webhooks,
    workers,
)
from tests.chaos.finding import Eye, Finding

EYES: Final[Mapping[str, Eye]] = MappingProxyType(
    {
        "leaks": leaks.look,
        "doubts": doubts.look,
        "ends": ends.look,
        "hearing": hearing.look,
        "orders": orders.look,
        "webhooks": webhooks.look,
        "standby": standby.look,
        "limits": limits.look,
        "rooms": rooms.look,
        "replies": replies.look,
        "silence": silence.look,
        "logs": logs.look,
        "keys": keys.look,
        "owing": owing.look,
        "tokens": tokens.look,
        "workers": workers.look,
        "commits": commits.look,
        "metrics": metrics.look,
        "browsers": browsers.look,
        "listeners": listeners.look,
    }
)


def looks_for() -> dict[str, str]:
    """By eye: what it finds, or what it wants, in the first line of its module."""
    return {
        name: (sys.modules[eye.__module__].__doc__ or "").partition("\n")[0] for name, eye in EYES.items()
    }


def look(evidence: Evidence) -> dict[str, list[Finding]]:
    """By the eye that has found it. An excuse that is no allowance is none."""
    return {name: [_judged(one) for one in eye(evidence)] for name, eye in EYES.items()}


def _judged(finding: Finding) -> Finding:
    if not finding.excuse or finding.excuse in ALLOWANCES:
        return finding
    return replace(finding, what=f"{finding.what} ({finding.excuse!r} is no allowance)", excuse="")
