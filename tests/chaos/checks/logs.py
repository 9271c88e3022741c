"""No replica has logged an error, ended badly, or given an operator an answer that is none."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.chaos.finding import Finding

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

DROPPED = "webhook.dropped"
"""What Bandwidth tells once is kept for as long as the process lives, 1,000 webhooks at most."""
STOPPING = "service.stopping"


def check(evidence: "Evidence") -> Iterator[Finding]:
    stopping: set[str] = set()
    for line in evidence.logs:
        if line.event == STOPPING:
            stopping.add(line.process)
        lost = line.event == DROPPED and line.process not in stopping
        if lost or line.level in {"error", "critical"}:
            yield Finding(what=f"{line.host}: {line.text}", ids=line.ids)
    for text in evidence.noise:
        yield Finding(what=f"no line of a log: {text}")
    for wrong in evidence.bad_answers:
        yield Finding(what=wrong)
    for code in evidence.fleet.exits:
        if code != 0:
            yield Finding(what=f"a replica ended with {code} on SIGTERM")
