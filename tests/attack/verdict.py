"""What has to hold while some are hostile, and whether it did: figures in, lines out."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from tests.attack.callers import WEBHOOKS
from tests.attack.hostile import KINDS, HostileKind
from tests.bench.figures import Guard
from tests.bench.machine import TOO_BUSY

TIMES: Final = 3.0
MORE: Final = 50.0
"""Milliseconds. Callers may wait so many times, or so much, longer than in the calm; whichever is more."""
PAUSE: Final = 50.0
"""Milliseconds for which the event loop answers nobody."""
GROWN: Final = 1.1
"""Of the memory in the calm before, when it is calm again."""
_ARRIVED: Final = 0.9
"""Of what hostile clients may send, at the least: less is no attack."""
_SLACK: Final = 1.02
"""Of the same, at the most: a minute has no sharp ends."""
_OTHERS: Final = 0.5
"""Share of the service's core that others may take: beyond it the times are theirs, in the calm too."""
_WENT_ON: Final = 0.8
"""Calls of the hostile minute to those of the calm one before: callers call as ever."""


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    p99: dict[str, float]
    """Milliseconds, by webhook; without one of which there was none."""
    bridged: int
    pause: float
    """Milliseconds: the longest of the event loop."""
    own: float
    """Milliseconds in which the loop itself computed, meanwhile."""
    load: float
    """Share of the core of callers and hostile clients that was busy; of the service's the same."""
    replica: float
    """Share of a core that the replica took; the store the same."""
    store_cpu: float
    service: float
    resident: int
    """Bytes of the replica, at the end."""
    store: int
    """Bytes of the store at the end, without calls that are kept and the change feed."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    before: Phase
    hostile: Phase
    after: Phase
    wrong: list[str]
    """Of each caller who was not let in, or not answered."""
    errors: list[str]
    """Lines of the replica's log."""
    answers: dict[str, Counter[str]]
    """What hostile clients were answered, by kind."""
    requests: float
    """A second, of all hostile clients; so are the connections."""
    connections: float


def verdict(figures: Figures, kinds: Sequence[HostileKind] = KINDS) -> list[Guard]:
    calm, hostile, after = figures.before, figures.hostile, figures.after
    phases = {"calm before": calm, "hostile": hostile, "calm after": after}
    return [
        *(_slower(webhook, hostile, calm, after) for webhook in WEBHOOKS),
        *(_recovered(webhook, after, calm) for webhook in WEBHOOKS),
        *(_paused(name, one) for name, one in phases.items()),
        Guard("callers who were not let in or not answered", len(figures.wrong), 0),
        Guard("calls of the hostile phase", hostile.bridged, _WENT_ON * max(calm.bridged, 1), least=True),
        Guard("answers of 500 and more, `overloaded` apart", _failed(figures.answers), 0),
        Guard("lines of errors in the log", len(figures.errors), 0),
        Guard("memory of the replica, to the calm before", _grown(after.resident, calm.resident), GROWN),
        Guard("memory of the store, to the calm before", _grown(after.store, calm.store), GROWN),
        *_came("hostile requests a second", figures.requests, sum(one.requests for one in kinds)),
        *_came(
            "new hostile connections a second", figures.connections, sum(one.connections for one in kinds)
        ),
        *(Guard(f"{name}: share of the load's core", one.load, TOO_BUSY) for name, one in phases.items()),
        *(
            Guard(f"{name}: share of the service's core that others took", _others(one), _OTHERS)
            for name, one in phases.items()
        ),
        *(_answered(kind, figures.answers.get(kind.name, Counter())) for kind in kinds),
    ]


def _slower(webhook: str, hostile: Phase, *calm: Phase) -> Guard:
    worse = max(one.p99.get(webhook, 0.0) for one in calm)
    return Guard(f"hostile: p99 of `{webhook}`, ms", _p99(hostile, webhook), _allowed(worse))


def _recovered(webhook: str, after: Phase, calm: Phase) -> Guard:
    """Or the calm after would excuse what the attack has left."""
    name = f"calm after: p99 of `{webhook}`, ms"
    return Guard(name, _p99(after, webhook), _allowed(calm.p99.get(webhook, 0.0)))


def _paused(name: str, phase: Phase) -> Guard:
    """Where the loop has hardly computed meanwhile, somebody else had its core."""
    what = f"{name}: longest pause of the loop, ms, of which it computed {phase.own:.1f}"
    return Guard(what, phase.pause, PAUSE)


def _p99(phase: Phase, webhook: str) -> float:
    """Where there was none it is not that none was slow."""
    return phase.p99.get(webhook, math.inf)


def _allowed(calm: float) -> float:
    return max(TIMES * calm, calm + MORE)


def _others(phase: Phase) -> float:
    return max(0.0, phase.service - phase.replica - phase.store_cpu)


def _grown(after: int, before: int) -> float:
    return after / before if before else math.inf


def _came(what: str, found: float, wanted: float) -> list[Guard]:
    return [Guard(what, found, _ARRIVED * wanted, least=True), Guard(what, found, _SLACK * wanted)]


def _failed(answers: Mapping[str, Counter[str]]) -> int:
    every = sum(answers.values(), Counter())
    return sum(
        number for label, number in every.items() if label.startswith("5") and label != "503 overloaded"
    )


def _answered(kind: HostileKind, answers: Counter[str]) -> Guard:
    """That it came all the way, and no further."""
    missing = [label for label in kind.expected if not answers[label]]
    strange = [label for label in answers if label not in {*kind.expected, *kind.allowed}]
    wrong = [*(f"no {label}" for label in missing), *strange]
    listed = f" ({', '.join(wrong)})" if wrong else ""
    return Guard(f"{kind.name}: answers missing, or such as must not come{listed}", len(wrong), 0)
