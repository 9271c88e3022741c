"""Figures of a turn, and of a storm of several turns."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from tests.chaos.evidence import Evidence
from tests.chaos.faults.base import Counts
from tests.chaos.finding import Finding
from tests.chaos.plan import Turn
from tests.simulator.journal import PhoneChanged


class TurnReport(msgspec.Struct, frozen=True, kw_only=True):
    turn: Turn
    seconds: float
    webhooks: int
    requests: int
    counts: Counts
    troubles: dict[str, int]
    bxml_ms: list[float]
    found: dict[str, int]
    """By eye: what is wrong."""
    excused: dict[str, int]
    """By allowance: what would be wrong without it."""
    bridged: int
    """Phones that came through at least once: a turn in which nobody does shows nothing."""

    @property
    def wrong(self) -> int:
        return sum(self.found.values())


MIN_SCENARIOS = 20
"""Lives of which one comes through in any weather, if the service works."""


class StormReport(msgspec.Struct, frozen=True, kw_only=True):
    """One line of JSON. Everything in `found` has to be 0."""

    seed: int
    seconds: float
    calls: int
    bridged: int
    turns: dict[str, int]
    """How many, by weather."""
    webhooks: int
    requests: int
    drops: int
    duplicates: int
    delays: int
    faults: int
    expiries: int
    troubles: dict[str, int]
    bxml_p50_ms: float
    bxml_p99_ms: float
    excused: dict[str, int]
    found: dict[str, int]
    smaller: list[str] = []
    """For each turn that failed the command that plays the smallest case of it."""
    left_out: dict[str, str] = {}
    """Weathers that this machine cannot play, or a part of them, and why."""

    @property
    def shows_nothing(self) -> bool:
        """Nobody came through: whatever looked, there was nothing to be seen."""
        return not self.bridged and self.calls >= MIN_SCENARIOS

    @property
    def passed(self) -> bool:
        return not any(self.found.values()) and not self.shows_nothing


def report_on(
    evidence: Evidence, found: Mapping[str, list[Finding]], counts: Counts, seconds: float
) -> TurnReport:
    simulator = evidence.simulator
    return TurnReport(
        turn=evidence.turn,
        seconds=round(seconds, 1),
        webhooks=len(simulator.deliveries),
        requests=len(simulator.requests),
        counts=counts,
        troubles=dict(Counter(one.kind for one in evidence.troubles.all)),
        bxml_ms=[one.ms for one in simulator.deliveries if one.synchronous and one.status == 200],
        found={eye: sum(not one.excuse for one in all_) for eye, all_ in found.items()},
        excused=dict(Counter(one.excuse for all_ in found.values() for one in all_ if one.excuse)),
        bridged=len(
            {one.call_id for one in evidence.happenings if isinstance(one, PhoneChanged) and _talks(one)}
            & {phone.call_id for phone in simulator.phones}
        ),
    )


def sum_of(seed: int, turns: Iterable[TurnReport], smaller: list[str]) -> StormReport:
    all_ = list(turns)
    times = sorted(ms for one in all_ for ms in one.bxml_ms)

    def total(name: str) -> int:
        return sum(getattr(one.counts, name) for one in all_)

    return StormReport(
        seed=seed,
        seconds=round(sum(one.seconds for one in all_), 1),
        calls=sum(len(one.turn.numbers) for one in all_),
        bridged=sum(one.bridged for one in all_),
        turns=dict(Counter(one.turn.fault_profile for one in all_)),
        webhooks=sum(one.webhooks for one in all_),
        requests=sum(one.requests for one in all_),
        drops=total("drops"),
        duplicates=total("duplicates"),
        delays=total("delays"),
        faults=total("faults"),
        expiries=total("expiries"),
        troubles=_summed(one.troubles for one in all_),
        bxml_p50_ms=_share(times, 0.5),
        bxml_p99_ms=_share(times, 0.99),
        excused=_summed(one.excused for one in all_),
        found=_summed(one.found for one in all_),
        smaller=smaller,
    )


def _talks(change: PhoneChanged) -> bool:
    return change.parent_call_id is None and change.stage == "bridged"


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        for name, count in one.items():
            total[name] += count
    return dict(total)


def _share(times: list[float], share: float) -> float:
    return round(times[math.ceil(len(times) * share) - 1], 1) if times else 0.0
