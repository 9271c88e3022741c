"""The figures of an attack as tables: by phase, and by kind of hostile client."""

from collections.abc import Sequence

import msgspec

from tests.attack.callers import WEBHOOKS
from tests.attack.verdict import Figures, Phase

_MB = 1e6


def report(figures: Figures) -> list[str]:
    phases = {"calm before": figures.before, "hostile": figures.hostile, "calm after": figures.after}
    head = [
        "phase",
        *(f"p99 {webhook}" for webhook in WEBHOOKS),
        "calls",
        "pause (own)",
        "service (replica, store)",
        "load",
        "replica",
        "store",
    ]
    kinds = [
        [
            name,
            str(sum(answers.values())),
            ", ".join(f"{number} x {label}" for label, number in answers.most_common()),
        ]
        for name, answers in figures.answers.items()
    ]
    return [
        *_table([head, *(_row(name, one) for name, one in phases.items())]),
        "",
        *_table([["hostile clients", "answers", ""], *kinds]),
        f"{figures.requests:.0f} requests and {figures.connections:.0f} new connections a second",
    ]


def _row(name: str, phase: Phase) -> list[str]:
    return [
        name,
        *(f"{phase.p99[webhook]:.1f} ms" if webhook in phase.p99 else "-" for webhook in WEBHOOKS),
        str(phase.bridged),
        f"{phase.pause:.1f} ({phase.own:.1f}) ms",
        f"{phase.service:.0%} ({phase.replica:.0%}, {phase.store_cpu:.0%})",
        f"{phase.load:.0%}",
        f"{phase.resident / _MB:.1f} MB",
        f"{phase.store / _MB:.2f} MB",
    ]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def is_harmless(line: str) -> bool:
    """Whether a line of the replica's log is one, and of no error."""
    try:
        return msgspec.json.decode(line, type=dict[str, object])["level"] not in {"error", "critical"}
    except (msgspec.DecodeError, KeyError):
        return False
