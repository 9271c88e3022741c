"""When rooms may have been closed, by what operators asked for: it ends seats, and visits and invitations."""

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.chaos.api import OperatorRequest
from tests.chaos.turn_history import carried_out_by, ends_of

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

Closes = Mapping[str, list[OperatorRequest]]
"""By room, what may have closed it, in the order in which it was asked."""


def closes_of(evidence: "Evidence") -> Closes:
    found: dict[str, list[OperatorRequest]] = defaultdict(list)
    for one in evidence.operator_requests:
        room = one.path.removeprefix("/rooms/")
        if one.method == "DELETE" and room != one.path and "/" not in room and one.status != 404:
            found[room].append(one)
    return {room: sorted(all_, key=lambda one: one.sent_at) for room, all_ in found.items()}


def may_be_closed(evidence: "Evidence", room: str | None, *, since: float, until: float) -> bool:
    """Whether the room may have been closed between these two (monotonic seconds)."""
    ends = ends_of(evidence.fleet)
    return any(
        one.sent_at <= until and since <= carried_out_by(one, ends)
        for one in closes_of(evidence).get(room or "", [])
    )
