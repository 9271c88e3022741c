"""No call is ended because its time is up before that is so, whatever clocks show.

To the service a call goes on until its end is written down. A replica without the store keeps what it is told
of it, and until then the call's time may come to be up.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tests.chaos.call_histories import over
from tests.chaos.finding import Finding
from tests.chaos.struck import Struck
from tests.chaos.times import NEVER
from tests.chaos.turn_history import ends_of
from tests.simulator.journal import Delivery

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

SETTING = "CALL_LIMIT"
REASON = "time-limit"
TOLERANCE = 1.0
"""Seconds: what is shared is kept to about a second of what has passed."""


def look(evidence: "Evidence") -> Iterator[Finding]:
    limit = min(float(one.settings.get(SETTING) or NEVER) for one in evidence.fleet.addresses)
    placed = {
        str(one.body["to"]): float(one.body.get("maxDuration") or NEVER)
        for one in evidence.asked
        if (one.method, one.path) == ("POST", "/calls")
    }
    # An end that nobody was told of is found when the call's time is up, or later.
    kept = {
        (one.host, one.fields.get("call_id"))
        for one in evidence.logs
        if one.event == "webhook.degraded" and one.fields.get("event_type") == "disconnect"
    }
    struck, ends, ended = Struck(evidence), ends_of(evidence.fleet), dict[str, float]()
    for one in evidence.simulator.deliveries:
        if one.event_type == "disconnect" and one.status == 204:
            known = (
                _known_by(one, struck, ends)
                if (struck.host_of(one.url), one.call_id) in kept
                else one.sent_at
            )
            ended[one.call_id] = min(known, ended.get(one.call_id, evidence.over))
    for phone in evidence.simulator.phones:
        outcome = evidence.calls.get(phone.call_id, {}).get("outcome") or {}
        if outcome.get("reason") != REASON:
            continue
        lasted = ended.get(phone.call_id, evidence.over) - phone.call.began
        own = min(limit, placed.get(phone.call.to, NEVER))
        if lasted < own - TOLERANCE:
            yield Finding(
                what=f"the time of {phone.call_id} was up after {lasted:.1f} s; its limit is {own:.0f} s",
                ids=(phone.call_id,),
                at=ended.get(phone.call_id),
            )


def _known_by(told: Delivery, struck: Struck, ends: Sequence[tuple[str, float]]) -> float:
    """When that it has ended was written down at the latest; NEVER, if who was to do so ended before."""
    if not struck.trouble(told.url, told.sent_at, over(told)):
        return told.sent_at
    host, until = struck.host_of(told.url), struck.kept_until(told.url, told.sent_at, over(told))
    lost = any(one == host and told.sent_at <= at <= until for one, at in ends)
    return NEVER if lost else until
