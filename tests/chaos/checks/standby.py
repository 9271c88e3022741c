"""A replica stands aside only where it alone is cut off from Bandwidth, and comes back."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.chaos.finding import Finding
from tests.chaos.standby_spans import standby_spans
from tests.chaos.times import NEVER

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence


def check(evidence: "Evidence") -> Iterator[Finding]:
    running = set(evidence.metrics)
    for one in standby_spans(evidence):
        if not one.is_right:
            yield Finding(what=f"{one.process} stood aside, and nothing had cut it off", at=one.begun)
        if one.over == NEVER and one.process in running:
            yield Finding(what=f"{one.process} has stood aside to the end", at=one.begun)
