"""A call that is asked for several times with one Idempotency-Key is one call, and rings once."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.chaos.finding import Finding

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence


def look(evidence: "Evidence") -> Iterator[Finding]:
    placed = [one for one in evidence.asked if one.path == "/calls" and one.idempotency_key]
    ids: dict[str, set[str]] = defaultdict(set)
    for one in placed:
        if one.status in {201, 202} and isinstance(one.reply, dict):
            ids[one.idempotency_key].add(one.reply["id"])
    for key, found in ids.items():
        if len(found) > 1:
            yield Finding(what=f"{key} is {len(found)} calls: {sorted(found)}", ids=tuple(sorted(found)))
    keys = {one.body["to"]: one.idempotency_key for one in placed}
    rung = Counter(phone.call.to for phone in evidence.simulator.phones if phone.call.to in keys)
    for callee, times in rung.items():
        if times > 1:
            yield Finding(what=f"{callee} rang {times} times for {keys[callee]}")
