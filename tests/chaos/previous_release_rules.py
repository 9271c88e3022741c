"""What processes of the release before this one do that this one has mended, rule by rule.

A rule excuses nothing but what such a process has decided itself, by its own log.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from tests.chaos import previous_release
from tests.chaos.expected_outcomes import CANCELLED, COMPLETED, ExpectedOutcomes, Outcome
from tests.event_listener import ReceivedEvent
from tests.simulator.journal import Delivery

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

THE_PHONES: Final = {"abandoned", "rejected"}
"""Ends for which a phone is blamed."""
UNAUTHORIZED: Final = 401
PARTICIPANTS: Final = "/callbacks/participants/"
TOLD: Final = "told"
"""A field of a browser's seat that the release before does not know; it goes with the key, after 12 hours."""


def cursor_of_other_release(last: str, heard: Iterable[ReceivedEvent]) -> bool:
    """Only one of both releases signs the ids of live events, and neither knows those of the other."""
    return any(("." in one.id) is not ("." in last) for one in heard)


def knows_no_address(evidence: "Evidence", delivery: Delivery) -> bool:
    """Participant events at addresses that this release has made are refused by the one before.

    They tell it nothing but what it would have logged (docs/deploy.md).
    """
    refused = delivery.status == UNAUTHORIZED and PARTICIPANTS in delivery.url
    return refused and PreviousReleaseRules(evidence).ran


class PreviousReleaseRules:
    """Nothing is excused where no process of that release ran."""

    def __init__(self, evidence: "Evidence") -> None:
        older = {
            line.process
            for line in evidence.logs
            if line.event == "service.started" and line.fields.get("version") == previous_release.VERSION
        }
        self.ran = bool(older)
        """Whether a process of that release has run."""
        self._ended = {
            str(line.fields.get("ref"))
            for line in evidence.logs
            if line.event == "call.ended" and line.process in older
        }
        """Refs of the calls whose end it has written down."""

        self._freed = {
            str(line.fields.get("seat"))
            for line in evidence.logs
            if line.event == "effect.done"
            and line.fields.get("effect") == "free-seat"
            and line.process in older
        }

        self._admitted = {
            str(line.fields.get("participant_id"))
            for line in evidence.logs
            if line.event == "participant.admitted" and line.process in older
        }
        answered: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}
        for line in evidence.logs:
            if line.event == "webhook.answered":
                one = str(line.fields.get("call_id")), str(line.fields.get("event_type"))
                answered[line.process in older].add(one)
        self._answered = answered[True] - answered[False]
        """Calls, and kinds of their webhooks that no other process has answered."""

    def lets_in_after_closing(self, participant_id: str) -> bool:
        """It does not know that visits end with their room: whoever has one comes back at its replicas.

        Newer ones put them out again (docs/deploy.md).
        """
        return participant_id in self._admitted

    def answered(self, delivery: Delivery) -> bool:
        """Whether what the webhook was told is for certain what that release says.

        It hangs up without a word on a caller that has been to another number, begins anew with a late copy
        of a redirect, and apologises for a transfer that is refused while its session is replaced.
        """
        return (delivery.call_id, delivery.event_type) in self._answered

    def has_left(self, room: Iterable[bytes]) -> bool:
        """By the fields of a room: whether all that is left is `told`, of seats that it has freed."""
        names = [field.decode().partition(":") for field in room]
        return bool(names) and all(kind == TOLD and seat in self._freed for kind, _, seat in names)

    def blames_who_was_hung_up_on(self, ref: str, outcome: Outcome, wanted: ExpectedOutcomes) -> bool:
        """To it a call that was hung up by an order was ended by its phone."""
        ordered = bool(wanted.certain) and wanted.certain <= {CANCELLED, COMPLETED}
        return ref in self._ended and ordered and outcome[1] in THE_PHONES
