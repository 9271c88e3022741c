"""Every call that a replica has heard of has ended with an outcome."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.chaos.creates import TURNED_AWAY
from tests.chaos.finding import Finding

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence


def look(evidence: "Evidence") -> Iterator[Finding]:
    taken = heard_of(evidence, taken=True)
    for call_id in sorted(heard_of(evidence, taken=False)):
        call = evidence.calls.get(call_id)
        if call is None and call_id not in taken:
            yield Finding(what=f"{call_id} was only asked to come back", ids=(call_id,), excuse="turned-away")
        elif call is None or call.get("state") != "ended" or not call.get("outcome"):
            phone = evidence.simulator.phone(call_id)
            ref = str((call or {}).get("id", ""))
            yield Finding(what=f"{call_id} has no outcome: {phone}; known: {call}", ids=(call_id, ref))
    for ref in evidence.unended:
        yield Finding(what=f"{ref} has not ended", ids=(ref,))


def heard_of(evidence: "Evidence", *, taken: bool) -> set[str]:
    """Calls of phones of which a webhook was answered; where they are `taken`, with the store at hand."""
    phones = {one.call_id for one in evidence.simulator.phones}
    return phones & {
        one.call_id
        for one in evidence.simulator.deliveries
        if one.synchronous
        and one.status == 200
        and not (taken and any(sign in one.reply for sign in TURNED_AWAY))
    }
