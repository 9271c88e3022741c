"""What has to be seen, and what is wrong when it is not."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from tests.demo.output import OUTBOUND_ONLY, STEPS, OutputLine
from tests.simulator.ledger import Alive
from tests.simulator.simulator import Simulator

ExpectedSteps = Sequence[str | set[str]]
"""What has to come one after the other; what is in a set comes in any order."""


class CheckFailed(Exception):
    """The demo has not shown what it is to show; the text is for whoever ran it."""


class Timings(NamedTuple):
    """Milliseconds, each time: two trips to Bandwidth by a bare client, and from the webhook to its BXML."""

    trips: list[float]
    firsts: list[float]
    joiners: list[float]

    def rows(self) -> dict[str, list[float]]:
        return {"first caller: makes the session": self.firsts, "joins a room that has one": self.joiners}

    def ours(self, totals: Sequence[float]) -> float:
        """What the service adds to two trips as these usually go; of its calls the best counts."""
        return min(totals) - median(self.trips)


def too_slow(timings: Timings, allowed: float) -> list[str]:
    return [
        f"{what}: two trips and {timings.ours(totals):.1f} ms at best, not two trips and {allowed:g} ms"
        for what, totals in timings.rows().items()
        if timings.ours(totals) > allowed
    ]


def missing_steps(lines: Iterable[OutputLine], track: ExpectedSteps) -> list[str]:
    """What was not seen, or not in this order. Refused requests are not seen."""
    seen = [line.what for line in sorted(lines, key=lambda line: line.at_ms) if line.is_success]
    problems = []
    begin = 0
    for group in track:
        wanted = {group} if isinstance(group, str) else group
        places = [(what, _place(seen, what, begin)) for what in sorted(wanted)]
        for what, place in places:
            if place is None:
                late = what in seen
                problems.append(f"{_step(what)} was {'seen, but too early' if late else 'not seen'}")
        begin = max([begin, *(place + 1 for _, place in places if place is not None)])
    return problems


def unwanted_steps(lines: Iterable[OutputLine], unwanted: set[str]) -> list[str]:
    seen = {line.what for line in lines}
    return [f"{_step(what)} was seen, and must not be" for what in sorted(unwanted & seen)]


def unseen_steps(lines: Iterable[OutputLine], *, outbound: bool = False) -> list[str]:
    """Steps of the documented flow that nothing belonged to; one of them is for outbound calls only."""
    seen = {line.step for line in lines if line.is_success}
    return [
        f"step {number} ({name}) was not seen"
        for number, name in STEPS.items()
        if (outbound or number != OUTBOUND_ONLY) and number not in seen
    ]


def left_over(alive: Alive) -> list[str]:
    kinds = {
        "call": alive.calls,
        "leg": alive.legs,
        "session": alive.sessions,
        "participant": alive.participants,
    }
    return [f"{kind} {name} is still alive" for kind, names in kinds.items() for name in names]


def verdict(simulator: Simulator) -> list[str]:
    """Of the whole: the ledger, and what Bandwidth would not have accepted."""
    lost = [f"{one.operation} made {one.id}, and nobody heard of it" for one in simulator.ledger.unreceived]
    return [*left_over(simulator.ledger.alive()), *lost, *simulator.complaints]


def _step(what: str) -> str:
    step = OutputLine(0, "", "", what).step
    return f"{what} (step {step})" if step else what


def _place(seen: Sequence[str], what: str, begin: int) -> int | None:
    return next((place for place in range(begin, len(seen)) if seen[place] == what), None)
