"""How long a phone that was answered heard nothing, and talked to nobody.

Silent is a phone that is answered, in no bridge, and to which nothing is said, played or rung. A number that
it is sent to rings for it. In a bridge it hears who is there, if anybody is: that is not looked at.

Silence lasts for a pause that we ask for and for a webhook that we answer within our budget. Who is sent
elsewhere, and whose way into WebRTC was refused for the first time, begins to wait anew. Where something
struck its way in it is asked to wait for three rounds of that, and the time in which nobody at all answered
is added (docs/guarantees.md). All of it is by the clock: this eye finds what hangs, not what is slow.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from tests.chaos.call_histories import CallHistory, LegHistory, histories_of, over
from tests.chaos.fault_impact import FaultImpact
from tests.chaos.finding import Finding
from tests.chaos.site import BUDGET, TIME_SCALE
from tests.chaos.times import NEVER

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

PAUSE: Final = 10.0 * TIME_SCALE
"""Seconds, the longest that a phone is to be silent before it asks again: a round of holding."""
LONGEST: Final = PAUSE + BUDGET
"""Seconds of silence, where nothing struck."""
SLACK: Final = 1.0
"""Seconds that the machine itself may take on top."""
REFUSED: Final = "rejected"
"""The cause of a leg that was not let in."""
ROUNDS: Final = 3
"""How often a caller is asked to wait while nothing can be done (docs/guarantees.md, The store)."""

Span = tuple[float, float]


def check(evidence: "Evidence") -> Iterator[Finding]:
    struck = FaultImpact(evidence)
    for history in histories_of(evidence):
        for begun, ended in silent(history):
            # In this time nobody was there to say anything.
            away = sum(
                min(over(one), ended) - max(one.sent_at, begun)
                for one in (*history.deliveries, *history.lost)
                if one.synchronous and one.status is None and one.sent_at < ended and over(one) > begun
            )
            seconds = ended - begun - away
            if seconds <= LONGEST + SLACK:
                continue
            why = _why(history, begun, ended, struck)
            excused = bool(why) and seconds <= ROUNDS * LONGEST + SLACK
            yield Finding(
                what=f"{history.call_id} heard nothing for {seconds:.1f} s from {begun:.3f} on; {why}",
                ids=(history.call_id, history.ref),
                at=begun,
                excuse="silence-in-trouble" if excused else "",
            )


def _why(history: CallHistory, begun: float, ended: float, struck: FaultImpact) -> str:
    """What struck the call, or a replica from when it was first asked about the call in this time."""
    asked = [one for one in history.deliveries if one.sent_at <= ended and over(one) >= begun]
    since: dict[str, float] = {}
    for one in asked or history.deliveries[-1:]:
        since.setdefault(one.url, max(begun, one.sent_at) if asked else begun)
    for url, first in (since or {"": begun}).items():
        if why := struck.join(history, first, ended, url) or struck.trouble(url, first, ended):
            return why
    return ""


def silent(history: CallHistory) -> Iterator[Span]:
    """From answer to end, what is left between all that it heard, each wait for itself."""
    since = history.answered_at
    anew = sorted(_waits_anew(history), key=itemgetter(1))
    for begun, ended in sorted(_sounding(history)):
        if begun > since:
            yield from _waits(anew, since, min(begun, history.ended_at))
        since = max(since, ended)
    if since < history.ended_at < NEVER:
        yield from _waits(anew, since, history.ended_at)


def _sounding(history: CallHistory) -> Iterator[Span]:
    for one in history.heard:
        yield one.at, one.at + one.seconds
    for leg in history.legs:
        if not _is_way_in(leg):
            yield leg.begun, leg.ended_at
    for n, (at, stage) in enumerate(history.stages):
        if stage == "bridged":
            yield at, history.stages[n + 1][0] if n + 1 < len(history.stages) else NEVER


def _waits(anew: Iterable[Span], begun: float, ended: float) -> Iterator[Span]:
    """A silence, divided where the phone began to wait anew: at one moment in each of these times.

    Nobody knows at which. It is taken to be the last one until which the wait before may have lasted.
    """
    for first, last in anew:
        at = max(first, min(last, begun + LONGEST))
        if begun < at < ended:
            yield begun, at
            begun = at
    yield begun, ended


def _waits_anew(history: CallHistory) -> Iterator[Span]:
    for order in history.orders:
        # It is carried out before it is answered; on its way it may wait for as long as a replica is busy.
        yield order.sent_at, order.sent_at if order.over == NEVER else order.over
    refused = (leg for leg in history.legs if _is_way_in(leg) and leg.cause == REFUSED)
    # A session was just being replaced: once, the phone is joined anew (docs/guarantees.md, Bandwidth).
    for leg in islice(refused, 1):
        yield leg.ended_at, leg.ended_at


def _is_way_in(leg: LegHistory) -> bool:
    """Whether it leads into WebRTC."""
    return leg.to.startswith("sip")
