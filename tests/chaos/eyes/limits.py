"""No call is ended because its time is up before that is so, whatever clocks show."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.chaos.finding import Finding

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

SETTING = "CALL_LIMIT"
REASON = "time-limit"
TOLERANCE = 1.0
"""Seconds: what is shared is kept to about a second of what has passed."""


def look(evidence: "Evidence") -> Iterator[Finding]:
    limit = min(float(one.settings.get(SETTING) or "inf") for one in evidence.fleet.addresses)
    placed = {
        str(one.body["to"]): float(one.body.get("maxDuration") or "inf")
        for one in evidence.asked
        if (one.method, one.path) == ("POST", "/calls")
    }
    # An end that nobody was told of is found when the call's time is up, or later.
    ended = {
        one.call_id: one.sent_at
        for one in evidence.simulator.deliveries
        if one.event_type == "disconnect" and one.status is not None
    }
    for phone in evidence.simulator.phones:
        outcome = evidence.calls.get(phone.call_id, {}).get("outcome") or {}
        if outcome.get("reason") != REASON:
            continue
        lasted = ended.get(phone.call_id, evidence.over) - phone.call.began
        own = min(limit, placed.get(phone.call.to, float("inf")))
        if lasted < own - TOLERANCE:
            yield Finding(
                what=f"the time of {phone.call_id} was up after {lasted:.1f} s; its limit is {own:.0f} s",
                ids=(phone.call_id,),
                at=ended.get(phone.call_id),
            )
