"""What explains that a move into another room failed: what struck it between its order and its failure.

Its replica tells when it failed, and why. A fault explains it that struck one of its own requests: those
about its participant, for the session of the room, or for a token of the replica that moved it. So does that
room's session, where it had vanished; a breaker that faults have opened; and a trouble of a replica that
worked at it, or of its store.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from tests.chaos.fault_impact import FaultImpact
from tests.chaos.troubles import STORE
from tests.simulator.journal import Request

if TYPE_CHECKING:
    from tests.chaos.api import OperatorRequest
    from tests.chaos.evidence import Evidence

STRIKES: Final = STORE | {"killed", "frozen", "cut-bandwidth"}
"""Kinds of trouble in which a replica cannot go on with a move. A fault is in the journal of requests."""


class FailedMove(msgspec.Struct, frozen=True):
    """As a replica has told it, at a monotonic second by its clock."""

    at: float
    host: str
    room: str
    """Where it should have led."""
    reason: str


class Moves:
    def __init__(self, evidence: "Evidence") -> None:
        self._struck = FaultImpact(evidence)
        self._troubles = evidence.troubles
        self._requests: dict[str, list[Request]] = defaultdict(list)
        """By participant."""
        for one in evidence.simulator.requests:
            self._requests[one.ids.get("participantId", "")].append(one)
        self._failed: dict[str, list[FailedMove]] = defaultdict(list)
        for line in evidence.logs:
            if line.event == "move.failed":
                at = datetime.fromisoformat(line.timestamp).timestamp() - evidence.begun_wall + evidence.begun
                fields = {name: str(line.fields.get(name)) for name in ("ref", "next_room", "reason")}
                self._failed[fields["ref"]].append(
                    FailedMove(at, line.host, fields["next_room"], fields["reason"])
                )

    def were_struck(
        self, ref: str, participant: str, joins: Sequence["OperatorRequest"], reason: str, until: float
    ) -> bool:
        """Whether the last of these orders to go to a room led to a move that failed so, since it was struck.

        `joins`: all of the call, in order. `until`: when it was seen that it is not there.
        """
        last, before = joins[-1], 0.0
        for one in self._failed.get(ref, ()):
            if (one.room, one.reason) == (last.body["room"], reason) and last.sent_at <= one.at <= until:
                since = _ordered(joins, one.room, before, one.at)
                if self._was_struck(one, participant, since):
                    return True
            before = one.at
        return False

    def _was_struck(self, move: FailedMove, participant: str, since: float) -> bool:
        own = [
            one for one in self._requests.get(participant, ()) if one.at <= move.at and since <= _ended(one)
        ]
        hosts = {move.host, *(one.host for one in own)}
        return any(
            (
                any(self._struck.was_hit(one) for one in own),
                bool(self._struck.session_requests_hit(move.room, move.host, since, move.at)),
                *(self._troubles.between(since, move.at, *STRIKES, host=host) for host in hosts),
            )
        )


def _ordered(joins: Iterable["OperatorRequest"], room: str, after: float, until: float) -> float:
    """When the move was ordered first that was under way then: no other has ended or begun since."""
    since = until
    for one in joins:
        if after < one.sent_at <= until:
            since = min(since, one.sent_at) if one.body["room"] == room else until
    return since


def _ended(request: Request) -> float:
    return request.at + request.ms / 1000
