"""What the service was told of each browser, and from when on it may take one for gone."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tests.chaos.records import BrowserSeat
from tests.chaos.replica import PATIENCE
from tests.chaos.times import NEVER

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

GONE: Final = frozenset({404, 410})
"""What a heartbeat, or a look, is answered when the seat has been given up."""


def outs_of(evidence: "Evidence") -> Callable[[BrowserSeat], float]:
    """When each was thrown out, or was told so; NEVER where it was not."""
    taken_down: dict[str, float] = {}
    for one in evidence.simulator.requests:
        if one.operation == "deleteParticipant":
            id_ = one.ids["participantId"]
            taken_down[id_] = min(one.at, taken_down.get(id_, NEVER))
    return lambda seat: min(told_gone(seat), taken_down.get(seat.participant_id, NEVER))


def told_gone(seat: BrowserSeat) -> float:
    """When it was answered for the first time that its seat has been given up."""
    return min((one.over for one in seat.requests if one.status in GONE), default=NEVER)


def silent_from(evidence: "Evidence", seat: BrowserSeat, out: float) -> float:
    """From when on it may have counted as gone when it was out; NEVER where it may not, or never was out.

    By what the service was told before. It counts from when it has heard of it, which is after that was sent.
    """
    if out == NEVER:
        return NEVER
    beats = [one for one in seat.requests if one.kind == "beat" and one.asked and one.sent_at <= out]
    signs = [one.sent_at for one in beats if one.status == 204]
    signs += [
        one.sent_at
        for one in seat.events
        if one.name == "onConnect"
        and one.over <= out
        and told_the_store(evidence, one.sent_at, one.over, one.status)
    ]
    if not signs:
        return seat.asked_at + PATIENCE.unused_seat
    if any(one.status in {204, None} for one in beats):
        return max(signs) + PATIENCE.browser_absence
    lost = [one.sent_at for one in seat.events if one.name == "onDisconnect" and one.sent_at >= max(signs)]
    return min(lost) + PATIENCE.browser_absence if lost else NEVER


def told_the_store(evidence: "Evidence", sent_at: float, over: float, status: int | None) -> bool:
    """What is answered while the store is away is not kept: a look at the session tells as much later."""
    return status == 200 and not any(
        outage.begun <= over and sent_at <= outage.over for outage in evidence.troubles.of_store
    )
