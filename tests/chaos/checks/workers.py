"""Two workers that did the same owed work at the same time.

A worker takes a lease of an owner before it carries out what is owed, and no other worker may take one before
that has ended. While it goes on it renews the lease, which never ends before another is to look. The store's
journal has each lease, and when it ends by the time that all replicas share. The requests to Bandwidth show
the same from outside: two replicas asked the same, and one began before the other was answered.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.chaos.finding import Finding
from tests.chaos.replica import PATIENCE
from tests.chaos.store_history import Step, StoreState, UnknownCommand, key_of
from tests.chaos.troubles import STORE
from tests.simulator.journal import Request

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

LEASE: Final = round(PATIENCE.worker_lease * 1000)
"""Milliseconds."""
BEHIND: Final = 1000
"""Milliseconds by which what the journal says of the time may be ahead of a worker's."""
OWED_ALONE: Final = frozenset({"deleteParticipant", "deleteSession", "updateCall"})
"""Operations that only workers ask for, and only while they have the lease. Not so removals: a join or a move
that undoes what it has done asks for them as well."""

TAKES_LEASES: Final = STORE | {"killed", "frozen", "cut-bandwidth"}
"""Kinds of trouble in which a worker cannot keep its lease, or what it asks comes late."""


class Lease(NamedTuple):
    worker: bytes
    ends: int
    """Milliseconds since the epoch, by the time that all replicas share."""


def check(evidence: "Evidence") -> Iterator[Finding]:
    yield from _leases(evidence)
    yield from _requests(evidence)


def _leases(evidence: "Evidence") -> Iterator[Finding]:
    state, now = StoreState(), 0
    leases: dict[str, Lease] = {}
    for step in evidence.store_steps:
        try:
            touched = state.play(step)
        except UnknownCommand:
            return  # the eye for keys tells it
        now = max(now, _time(step))
        for text in touched:
            key = key_of(text)
            if key.kind != "owed":
                continue
            held, taken = leases.pop(text, None), _lease(state.hash(text).get(b".lease"))
            if taken is None:
                continue
            leases[text] = taken
            if (looks := _agenda(step).get(key.name.encode(), taken.ends)) > taken.ends:
                yield Finding(
                    what=f"{key.name}: {taken.worker.decode()} goes on, and its lease ends "
                    f"{looks - taken.ends} ms before another looks",
                    ids=(key.name.partition(":")[2],),
                )
            if held is None or held.worker == taken.worker or _is_release(taken, now):
                continue
            if (begun := taken.ends - LEASE) < held.ends:
                yield Finding(
                    what=f"{key.name}: {taken.worker.decode()} took the lease {held.ends - begun} ms before "
                    f"that of {held.worker.decode()} ended",
                    ids=(key.name.partition(":")[2],),
                )


def _lease(text: bytes | None) -> Lease | None:
    if text is None:
        return None
    worker, _, ends = text.partition(b" ")
    return Lease(worker, int(ends))


def _agenda(step: Step) -> dict[bytes, int]:
    """By owner, where the step sets it: when another is to look. What is owed anew makes it earlier."""
    return {
        args[1]: int(float(args[0]))
        for name, where, *args in step
        if name == b"ZADD" and len(args) == 2 and key_of(where.decode()).kind == "agenda"
    }


def _is_release(lease: Lease, now: int) -> bool:
    """One that ended as it was written: its worker is to end, and leaves what is due to others."""
    return lease.ends < now + LEASE - BEHIND


def _time(step: Step) -> int:
    """The time that all share, where the step says it; else 0."""
    for name, where, *args in step:
        kind = key_of(where.decode()).kind
        if kind == "clock" and name == b"SET":
            offset, last, _gap = args[0].split()
            return int(last) + int(offset)
        if kind == "news" and name == b"XADD" and b"at" in args:
            return int(args[args.index(b"at") + 1])
    return 0


def _requests(evidence: "Evidence") -> Iterator[Finding]:
    same: dict[tuple[str, str], list[Request]] = defaultdict(list)
    moved = _moved(evidence.simulator.requests)
    for one in evidence.simulator.requests:
        if one.operation in OWED_ALONE and one.ids.get("participantId") not in moved:
            same[one.operation, f"{one.path} {_state(one)}"].append(one)
    for (operation, path), ones in same.items():
        latest: Request | None = None
        for one in sorted(ones, key=lambda one: one.at):
            if latest is not None and one.host != latest.host and one.at < _over(latest):
                between = evidence.troubles.between(latest.at, one.at, *TAKES_LEASES, host=latest.host)
                yield Finding(
                    what=f"{operation} {path} was under way for {latest.host} when {one.host} asked the same",
                    ids=tuple(one.ids.values()),
                    at=one.at,
                    excuse="worker-in-trouble" if between else "",
                )
            # One whose answer reached nobody may have been given up long before.
            if one.received and (latest is None or _over(latest) < _over(one)):
                latest = one


def _moved(requests: Iterable[Request]) -> set[str]:
    """Participants that were put into several sessions, or out of them: a move that did not come about, too.

    Each of their rooms owes that they are taken down.
    """
    first: dict[str, str] = {}
    return {
        one.ids["participantId"]
        for one in requests
        if one.operation in {"addParticipantToSession", "removeParticipantFromSession"}
        and first.setdefault(one.ids["participantId"], one.ids["sessionId"]) != one.ids["sessionId"]
    }


def _state(request: Request) -> str:
    """Which of the things is asked that a call can be told."""
    return str(request.body.get("state", "")) if isinstance(request.body, dict) else ""


def _over(request: Request) -> float:
    return request.at + request.ms / 1000
