"""A create that failed and may have made something is written down as in doubt, once each."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.chaos.finding import Finding
from tests.chaos.orphans import struck_by, unwritten_of
from tests.simulator.journal import Request

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

NAMES = {"createSession": "create-session", "createParticipant": "create-participant"}
"""Of operations that make what nothing else tells of: in the journal, and in logs."""


def check(evidence: "Evidence") -> Iterator[Finding]:
    """Without what a process that was killed had no time for."""
    killed = {id(one) for one in unwritten_of(evidence.simulator, evidence.fleet)}
    struck = Counter(
        (one.host, NAMES[one.operation])
        for one in evidence.simulator.requests
        if one.operation in NAMES and leaves_in_doubt(one) and id(one) not in killed
    )
    said = Counter(
        (line.host, str(line.fields.get("operation")))
        for line in evidence.logs
        if line.event == "create.in_doubt"
    )
    for (host, operation), count in struck.items():
        if said[host, operation] < count:
            written = said[host, operation]
            yield Finding(what=f"{host} has written down {written} of {count} {operation} in doubt")


def leaves_in_doubt(create: Request) -> bool:
    """What the weather did to it, as far as the process that asked was told: no id, and no clear no."""
    if "reset" in struck_by(create):
        return True
    if not create.received or create.status is None:
        return False
    if create.status >= 500 or 300 <= create.status < 400:
        return True
    return create.status < 300 and not (create.created and create.told)
