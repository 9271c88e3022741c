"""No replica has logged an error, ended badly, or given an operator an answer that is none."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.chaos.finding import Finding

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence


def look(evidence: "Evidence") -> Iterator[Finding]:
    for line in evidence.logs:
        if line.level in {"error", "critical"}:
            yield Finding(what=f"{line.host}: {line.text}", ids=line.ids)
    for text in evidence.noise:
        yield Finding(what=f"no line of a log: {text}")
    for wrong in evidence.api_wrong:
        yield Finding(what=wrong)
    for code in evidence.fleet.exits:
        if code != 0:
            yield Finding(what=f"a replica ended with {code} on SIGTERM")
