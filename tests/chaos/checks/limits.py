"""No call is ended because its time is up before that is so, whatever clocks show; and none goes on after it.

To the service a call goes on until its end is written down. A replica without the store keeps what it is told
of it, and until then the call's time may come to be up.

When it is up, a worker is to see it at its next look, have the phone ask, and say so in the answer. That is
by the clock, and wanted of a call which nothing has struck as long as it lasted: what is lost in the store,
and so never comes, the eye for what is owed sees in any weather.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tests.chaos.call_histories import over
from tests.chaos.fault_impact import FaultImpact
from tests.chaos.finding import Finding
from tests.chaos.site import BUDGET
from tests.chaos.times import NEVER
from tests.chaos.turn_history import Spans, ends_of
from tests.simulator.journal import Delivery, Happening, PhoneChanged

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

SETTING = "CALL_LIMIT"
REASON = "time-limit"
TOLERANCE = 1.0
"""Seconds: what is shared is kept to about a second of what has passed."""
LOOK = 1.0
"""Seconds between two looks of a worker at what is due."""
SAID = 2.0
"""Seconds that the last sentence takes, with the machine's own time on top."""


def check(evidence: "Evidence") -> Iterator[Finding]:
    limit = min(float(one.settings.get(SETTING) or NEVER) for one in evidence.fleet.addresses)
    placed = {
        str(one.body["to"]): float(one.body.get("maxDuration") or NEVER)
        for one in evidence.operator_requests
        if (one.method, one.path) == ("POST", "/calls")
    }
    # An end that nobody was told of is found when the call's time is up, or later.
    kept = {
        (one.host, one.fields.get("call_id"))
        for one in evidence.logs
        if one.event == "webhook.degraded" and one.fields.get("event_type") == "disconnect"
    }
    struck, ends, ended = FaultImpact(evidence), ends_of(evidence.fleet), dict[str, float]()
    for one in evidence.simulator.deliveries:
        if one.event_type == "disconnect" and one.status == 204:
            known = (
                _known_by(one, struck, ends)
                if (struck.host_of(one.url), one.call_id) in kept
                else one.sent_at
            )
            ended[one.call_id] = min(known, ended.get(one.call_id, evidence.over))
    for phone in evidence.simulator.phones:
        own = min(limit, placed.get(phone.call.to, NEVER))
        outcome = evidence.calls.get(phone.call_id, {}).get("outcome") or {}
        if outcome.get("reason") != REASON:
            continue
        lasted = ended.get(phone.call_id, evidence.over) - phone.call.began
        if lasted < own - TOLERANCE:
            yield Finding(
                what=f"the time of {phone.call_id} was up after {lasted:.1f} s; its limit is {own:.0f} s",
                ids=(phone.call_id,),
                at=ended.get(phone.call_id),
            )
    yield from _outliving(evidence, limit, placed)


def _outliving(evidence: "Evidence", limit: float, placed: Mapping[str, float]) -> Iterator[Finding]:
    up = _spans_up(evidence.happenings, evidence.simulator.started)
    wrong = Spans(_wrong(evidence))
    hurt: set[str] = set()
    """Calls with a webhook that fared badly."""
    told: dict[str, float] = {}
    """When the answer of each was told: not before Bandwidth knows whether a machine took the call."""
    for one in (*evidence.simulator.deliveries, *evidence.simulator.webhooks.lost):
        if one.status is None or over(one) - one.sent_at > BUDGET:
            hurt.add(one.call_id)
        elif one.event_type == "answer":
            told.setdefault(one.call_id, over(one))
    for phone in evidence.simulator.phones:
        since, until = up.get(phone.call_id, (NEVER, NEVER))
        own = min(limit, placed.get(phone.call.to, NEVER))
        longest = own + LOOK + BUDGET + SAID + TOLERANCE
        lasted = min(until, evidence.over) - max(since, told.get(phone.call_id, since))
        if lasted <= longest or wrong.touch(since, until) or phone.call_id in hurt:
            continue
        yield Finding(
            what=f"{phone.call_id} went on for {lasted:.1f} s; its limit is {own:.0f} s",
            ids=(phone.call_id,),
            at=since + own,
        )


def _spans_up(happenings: Iterable[Happening], started: float) -> dict[str, tuple[float, float]]:
    """From when to when each phone was up."""
    found: dict[str, tuple[float, float]] = {}
    for one in happenings:
        if isinstance(one, PhoneChanged) and one.parent_call_id is None and one.stage != "ringing":
            at = started + one.at_ms / 1000
            since, _ = found.get(one.call_id, (at, NEVER))
            found[one.call_id] = (since, at if one.stage == "ended" else NEVER)
    return found


def _wrong(evidence: "Evidence") -> Iterator[tuple[float, float]]:
    """When something struck, whomever it concerned: breakers and leases are shared."""
    yield from ((one.begun, one.over) for one in evidence.troubles.felt)
    yield from ((one.at, one.at + one.ms / 1000) for one in evidence.simulator.requests if one.fault)


def _known_by(told: Delivery, struck: FaultImpact, ends: Sequence[tuple[str, float]]) -> float:
    """When that it has ended was written down at the latest; NEVER, if who was to do so ended before."""
    if not struck.trouble(told.url, told.sent_at, over(told)):
        return told.sent_at
    host, until = struck.host_of(told.url), struck.kept_until(told.url, told.sent_at, over(told))
    lost = any(one == host and told.sent_at <= at <= until for one, at in ends)
    return NEVER if lost else until
