"""Webhooks are answered, with the right status and in time."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.chaos.finding import Finding
from tests.chaos.site import BUDGET
from tests.simulator.journal import Delivery
from tests.simulator.webhooks import DROPPED, TIMED_OUT

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

SLACK = 1.0
"""Seconds that the machine itself may take on top: all of this shares two cores."""


def look(evidence: "Evidence") -> Iterator[Finding]:
    for one in evidence.simulator.deliveries:
        if one.status is not None and one.ms > (BUDGET + SLACK) * 1000:
            yield _finding("late", one)
        if one.status not in {200, 204} and not (one.status is None and _excused(evidence, one)):
            yield _finding("wrong", one)
    for failed in evidence.simulator.webhooks.failed:
        yield Finding(
            what=f"{failed.event_type} of {failed.call_id} was answered by nobody",
            ids=(failed.call_id,),
            excuse="unanswered",
        )


def _finding(how: str, one: Delivery) -> Finding:
    answer = f"{one.status or one.error} in {one.ms:.0f} ms"
    return Finding(
        what=f"{how}: {one.event_type} of {one.call_id} to {one.url}: {answer}",
        ids=(one.call_id,),
        at=one.sent_at,
    )


def _excused(evidence: "Evidence", one: Delivery) -> bool:
    """Lost on the way, or sent to a replica that was not there."""
    if one.error == DROPPED:
        return True
    [address] = [to for to in evidence.fleet.addresses if one.url.startswith(f"https://{to.name}.test")]
    return one.error != TIMED_OUT and address.was_down(one.sent_at, one.sent_at + one.ms / 1000)
