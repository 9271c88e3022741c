"""Decides when a replica could not get calls into rooms: it was cut off from Bandwidth, or stood still.

A cut is over for it once each API has answered what somebody waits for, twice (`asides.healed`): until then
the breaker for that may be open, whatever questions and clean-up have come through meanwhile. One that stood
still has taken up its work again once it has answered a webhook that was sent after that.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from tests.chaos.operations import is_waited_for
from tests.chaos.standby_spans import CUT, healed
from tests.chaos.troubles import Trouble

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

FROZEN: Final = "frozen"
Shown = list[tuple[float, float, str]]
"""In order, and apart: from when until when, and of which trouble."""


def impaired_spans(evidence: "Evidence", host: str, shown: Callable[[Iterable[Trouble]], Shown]) -> Shown:
    """`shown`: when the replica has shown by an answer that these troubles are over."""
    mine = [one for one in evidence.troubles.all if one.host == host]
    cuts = [one for one in mine if one.kind == CUT]
    waited_for = [one for one in evidence.simulator.requests if is_waited_for(one)]
    spans = shown(one for one in mine if one.kind == FROZEN)
    spans += [
        (one.begun, until, f"{one.kind} since {one.begun:.3f}")
        for one, until in zip(cuts, healed(waited_for, cuts), strict=True)
    ]
    return _apart(spans)


def _apart(spans: Shown) -> Shown:
    found: Shown = []
    for begun, until, what in sorted(spans):
        if found and begun <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], until), found[-1][2])
        else:
            found.append((begun, until, what))
    return found
