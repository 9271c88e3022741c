"""What still lives at Bandwidth, or is still owed, when all calls are over."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.chaos.finding import Finding
from tests.chaos.orphans import orphans_of

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence


def check(evidence: "Evidence") -> Iterator[Finding]:
    alive = evidence.alive
    made = {one.created: one for one in evidence.simulator.requests if one.created}
    orphans = orphans_of(evidence.simulator, evidence.fleet, {*alive.participants, *alive.sessions})
    for kind, ids in (("participant", alive.participants), ("session", alive.sessions)):
        for one in ids:
            asked = made.get(one)
            if asked is None:
                yield Finding(what=f"{kind} {one} was made, and its answer is still due", ids=(one,))
                continue
            yield Finding(
                what=f"{kind} {one} was made for {asked.host} and lives: {asked.body}, {asked.fault}",
                ids=(one,),
                at=asked.at,
                excuse=orphans.get(one, ""),
            )
    for kind, calls in (("call", alive.calls), ("leg", alive.legs)):
        for one in calls:
            yield Finding(what=f"{kind} {one} lives", ids=(one,))
    for owner in evidence.due_owners:
        names = ", ".join(evidence.owed.get(owner, ())) or "something"
        yield Finding(what=f"{owner} still owes {names}", ids=(owner.partition(":")[2],))
    for key in evidence.dead_letters:
        yield Finding(what=f"there are dead letters: {key}")
    for complaint in evidence.simulator.complaints:
        yield Finding(what=f"what Bandwidth's documents do not allow: {complaint}")
