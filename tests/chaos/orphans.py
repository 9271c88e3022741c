"""Decides of what lives at Bandwidth whether a replica can know its id, and names the allowance if not.

`answer-lost`: the weather cut the answer off or held it back, or the process ended while it waited.
`answer-unreadable`: the answer arrived, and the id was not in it.
`killed-before-written`: the process was killed before it can have written down what the answer said.

A replica that hangs up early by itself, forgets an id or is late with its clean-up has no allowance.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import attrgetter

import msgspec

from tests.chaos.creates import killed_before_written
from tests.chaos.fleet import Fleet, Kill, Stop
from tests.chaos.operations import CREATES
from tests.chaos.site import GRACE
from tests.chaos.store_journal import StoreJournal
from tests.chaos.times import NEVER
from tests.simulator.journal import Delivery, Request
from tests.simulator.simulator import Simulator

ANSWER_LOST = "answer-lost"
ANSWER_UNREADABLE = "answer-unreadable"
KILLED_BEFORE_WRITTEN = "killed-before-written"
WAITS = 60.0
"""Seconds for which the service promises to wait for a create: only its answer says the id."""


def orphans_of(simulator: Simulator, fleet: Fleet, alive: AbstractSet[str]) -> dict[str, str]:
    """By id of a participant or session that lives and that no replica can know: its allowance."""
    requests = list(simulator.requests)
    ends = Ends(fleet.kills, fleet.stops)
    mine = [one for one in requests if one.operation in CREATES and one.created in alive]
    found = {one.created: why for one in mine if one.created and (why := why_untold(one, ends))}
    # The way between the two has passed on less than all of the answer.
    found |= dict.fromkeys(fleet.swallowed & alive, ANSWER_LOST)
    rest = alive - found.keys()
    if rest:
        unwritten = {one.created for one in unwritten_of(simulator, fleet) if one.created in rest}
        if unwritten:
            unwritten -= StoreJournal(fleet.store.journal).ids()
        found |= {id_: KILLED_BEFORE_WRITTEN for id_ in unwritten if id_}
    return found


def unwritten_of(simulator: Simulator, fleet: Fleet) -> list[Request]:
    """Creates whose process was killed before it can have gone on with what they brought."""
    webhooks = by_host(simulator.deliveries, fleet)
    return killed_before_written(list(simulator.requests), webhooks, list(fleet.kills), fleet.outages)


def by_host(deliveries: Iterable[Delivery], fleet: Fleet) -> Mapping[str, list[Delivery]]:
    hosts = {f"https://{one.name}.test": one.host for one in fleet.addresses}
    found: dict[str, list[Delivery]] = defaultdict(list)
    for one in list(deliveries):
        origin = "/".join(one.url.split("/", 3)[:3])
        if origin in hosts:
            found[hosts[origin]].append(one)
    return found


def why_untold(create: Request, ends: "Ends") -> str:
    """The allowance of a create of which no process was told the id. Empty: one was, or should have been."""
    struck = struck_by(create)
    if "reset" in struck:
        return ANSWER_LOST
    if create.received:
        return "" if create.told else ANSWER_UNREADABLE
    held = "hang" in struck and create.ms >= WAITS * 1000
    return ANSWER_LOST if held or ends.while_waiting(create) else ""


def struck_by(request: Request) -> Sequence[str]:
    """The words of `Request.fault`."""
    return (request.fault or "").split(", ")


class _End(msgspec.Struct, frozen=True):
    """Of one process; what it had asked by `reaped_at` is of no other.

    From `over` on it waited for nothing.
    """

    begun: float
    over: float
    reaped_at: float


class Ends:
    """When the processes of the replicas ended."""

    def __init__(self, kills: Iterable[Kill], stops: Iterable[Stop]) -> None:
        found: dict[str, list[_End]] = defaultdict(list)
        for host, end in _ends(kills, stops):
            found[host].append(end)
        self._ends = {host: sorted(all_, key=attrgetter("begun")) for host, all_ in found.items()}

    def while_waiting(self, request: Request) -> bool:
        """Whether the process that asked ended before it was answered, and not of its own accord."""
        ends = self._ends.get(request.host, [])
        last = bisect_right(ends, request.at, key=attrgetter("begun")) - 1
        if last < 0:
            return False
        end = ends[last]
        return request.at < end.reaped_at and end.over <= request.at + request.ms / 1000


def _ends(kills: Iterable[Kill], stops: Iterable[Stop]) -> Iterator[tuple[str, _End]]:
    for kill in kills:
        # A kill that is not over has buried nothing yet.
        yield kill.host, _End(kill.begun, kill.at, kill.reaped_at or NEVER)
    for stop in stops:
        # One that is asked to end waits for what is under way, as long as it was told to.
        if stop.over - stop.at >= GRACE:
            yield stop.host, _End(stop.begun, stop.over, stop.reaped_at)
