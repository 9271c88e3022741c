"""What still lives at Bandwidth, or is still owed, when all calls are over."""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from tests.chaos.creates import CREATES, lost
from tests.chaos.finding import Finding
from tests.chaos.fleet import Fleet
from tests.chaos.store_journal import StoreJournal
from tests.simulator.journal import Delivery
from tests.simulator.simulator import Simulator

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence


def look(evidence: "Evidence") -> Iterator[Finding]:
    alive = evidence.alive
    made = {one.created: one for one in evidence.simulator.requests if one.created}
    orphans = orphans_of(evidence.simulator, evidence.fleet, {*alive.participants, *alive.sessions})
    for kind, ids in (("participant", alive.participants), ("session", alive.sessions)):
        for one in ids:
            if one in orphans:
                yield Finding(what=f"{kind} {one}", ids=(one,), excuse="create-lost-with-its-replica")
            else:
                asked = made[one]
                yield Finding(
                    what=f"{kind} {one} was made for {asked.host} and lives: {asked.body}",
                    ids=(one,),
                    at=asked.at,
                )
    for kind, calls in (("call", alive.calls), ("leg", alive.legs)):
        for one in calls:
            yield Finding(what=f"{kind} {one} lives", ids=(one,))
    for owner in evidence.agenda:
        yield Finding(what=f"{owner} still owes something", ids=(owner.partition(":")[2],))
    for key in evidence.dead:
        yield Finding(what=f"there are dead letters: {key}")
    for complaint in evidence.simulator.complaints:
        yield Finding(what=f"what Bandwidth's documents do not allow: {complaint}")


def orphans_of(simulator: Simulator, fleet: Fleet, alive: AbstractSet[str]) -> set[str]:
    """Ids that nobody knows: their answer came to none, or to one killed before it was written down."""
    deliveries = list(simulator.deliveries)
    webhooks = {one.host: _to(deliveries, one.name) for one in fleet.addresses}
    requests = lost(list(simulator.requests), webhooks, list(fleet.kills), fleet.outages)
    unwritten = {one.created for one in requests if one.created}
    if not unwritten.isdisjoint(alive):
        unwritten -= StoreJournal(fleet.store.journal).ids()
    return unwritten | {one.id for one in simulator.ledger.unreceived if one.operation in CREATES}


def _to(deliveries: Iterable[Delivery], name: str) -> list[Delivery]:
    return [one for one in deliveries if one.url.startswith(f"https://{name}.test")]
