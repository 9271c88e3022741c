"""The eyes of the judge, each of which looks for one kind of fault in a turn that is over."""

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from tests.chaos.allowances import ALLOWANCES
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
from tests.chaos.evidence import Evidence
from tests.chaos.finding import Check, Finding

CHECKS: Final[Mapping[str, Check]] = MappingProxyType(
    {
        "leaks": leaks.check,
        "doubts": doubts.check,
        "ends": ends.check,
        "hearing": hearing.check,
        "orders": orders.check,
        "webhooks": webhooks.check,
        "standby": standby.check,
        "limits": limits.check,
        "rooms": rooms.check,
        "replies": replies.check,
        "silence": silence.check,
        "logs": logs.check,
        "keys": keys.check,
        "owing": owing.check,
        "tokens": tokens.check,
        "workers": workers.check,
        "commits": commits.check,
        "metrics": metrics.check,
        "browsers": browsers.check,
        "listeners": listeners.check,
    }
)


def check_descriptions() -> dict[str, str]:
    """By eye: what it finds, or what it wants, in the first line of its module."""
    return {
        name: (sys.modules[eye.__module__].__doc__ or "").partition("\n")[0] for name, eye in CHECKS.items()
    }


def run_checks(evidence: Evidence) -> dict[str, list[Finding]]:
    """By the eye that has found it. An excuse that is no allowance is none."""
    return {name: [_judged(one) for one in eye(evidence)] for name, eye in CHECKS.items()}


def _judged(finding: Finding) -> Finding:
    if not finding.excuse or finding.excuse in ALLOWANCES:
        return finding
    return replace(finding, what=f"{finding.what} ({finding.excuse!r} is no allowance)", excuse="")
