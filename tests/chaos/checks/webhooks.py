"""Webhooks are answered, with the right status and in time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tests.chaos.finding import Finding
from tests.chaos.fleet import ReplicaAddress
from tests.chaos.previous_release_rules import knows_no_address
from tests.chaos.site import BUDGET
from tests.chaos.standby_spans import StandbySpan, standby_spans
from tests.chaos.times import NEVER
from tests.chaos.troubles import Trouble
from tests.simulator.journal import Delivery, PhoneChanged
from tests.simulator.webhooks import DROPPED, TIMED_OUT, FailedDelivery

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

SLACK = 1.0
"""Seconds that the machine itself may take on top: all of this shares two cores."""
AWAY = 503
"""Status with which a replica that stands aside sends Bandwidth to the fallback address."""


def check(evidence: "Evidence") -> Iterator[Finding]:
    judge = _WebhookJudge(evidence)
    for one in evidence.simulator.deliveries:
        if one.status is not None and judge.had_time(one):
            yield _finding("late", one)
        excused = judge.is_excused(one) or judge.is_sent_away(one) or knows_no_address(evidence, one)
        if one.status not in {200, 204} and not excused:
            yield _finding("wrong", one)
    for failed in evidence.simulator.webhooks.failed:
        yield Finding(
            what=f"{failed.event_type} of {failed.call_id} was answered by nobody",
            ids=(failed.call_id,),
            excuse="unanswered" if judge.reached_nobody(failed) else "",
        )


def _finding(how: str, one: Delivery) -> Finding:
    answer = f"{one.status or one.error} in {one.ms:.0f} ms"
    return Finding(
        what=f"{how}: {one.event_type} of {one.call_id} to {one.url}: {answer}",
        ids=(one.call_id,),
        at=one.sent_at,
    )


class _WebhookJudge:
    def __init__(self, evidence: "Evidence") -> None:
        self._addresses = evidence.fleet.addresses
        self._frozen: dict[str, list[Trouble]] = defaultdict(list)
        for trouble in evidence.troubles.all:
            if trouble.kind == "frozen":
                self._frozen[trouble.host].append(trouble)
        self._aside: dict[str, list[StandbySpan]] = defaultdict(list)
        for one in standby_spans(evidence):
            self._aside[one.host].append(one)
        self._answered: dict[bytes, list[Delivery]] = defaultdict(list)
        """By body: what an address has answered well."""
        if self._aside:
            for delivery in evidence.simulator.deliveries:
                if delivery.status == 200:
                    self._answered[delivery.body].append(delivery)
        self._redirected: dict[str, list[float]] = defaultdict(list)
        """By call: when its phone asked what to do since it was told to ask (monotonic seconds)."""
        for delivery in evidence.simulator.deliveries:
            if delivery.event_type == "redirect":
                self._redirected[delivery.call_id].append(delivery.sent_at)
        self._hung_up = {
            one.call_id: evidence.simulator.started + one.at_ms / 1000
            for one in evidence.happenings
            if isinstance(one, PhoneChanged) and one.stage == "ended"
        }
        """By phone and leg: when it ended (monotonic seconds)."""

    def stood_still(self, one: Delivery) -> float:
        """Seconds of its way in which the replica was frozen."""
        frozen = self._frozen.get(self._of(one).host, ())
        return sum(
            max(0.0, min(trouble.over, _ended(one)) - max(trouble.begun, one.sent_at)) for trouble in frozen
        )

    def had_time(self, one: Delivery) -> bool:
        """Whether the replica that it came to was going for longer than it may take to answer."""
        return one.ms / 1000 - self.stood_still(one) > BUDGET + SLACK

    def is_excused(self, one: Delivery) -> bool:
        """It was lost on the way, or came to a replica that was not there, or stood still for too long."""
        if one.status is not None:
            return False
        return self.found_nobody(one) or (one.error == TIMED_OUT and not self.had_time(one))

    def reached_nobody(self, failed: FailedDelivery) -> bool:
        """Neither of the two addresses; with one of them alone we have told Bandwidth too little."""
        asked = {self._of(one).name for one in failed.tries}
        return len(asked) == len(self._addresses) and all(self.is_excused(one) for one in failed.tries)

    def found_nobody(self, one: Delivery) -> bool:
        """Both addresses may be down at once, while only one replica stands still at a time."""
        if one.error == DROPPED:
            return True
        down = self._of(one).was_down(one.sent_at, _ended(one))
        return one.status is None and one.error != TIMED_OUT and down

    def is_sent_away(self, one: Delivery) -> bool:
        """By a replica that may stand aside, and Bandwidth got its answer from the other address.

        It asks nobody any more for a phone, or a leg, that had hung up by then, nor for one that was sent
        elsewhere.
        """
        if one.status != AWAY or not one.synchronous:
            return False
        spells: Sequence[StandbySpan] = self._aside.get(self._of(one).host, ())
        answered = self._answered.get(one.body, ())
        may_stand_aside = any(spell.begun <= _ended(one) and one.sent_at <= spell.over for spell in spells)
        has_hung_up = self._hung_up.get(one.call_id, NEVER) <= _ended(one)
        asked_the_other = any(other.url != one.url and other.sent_at >= _ended(one) for other in answered)
        overtaken = any(one.sent_at < at <= _ended(one) for at in self._redirected.get(one.call_id, ()))
        return may_stand_aside and (has_hung_up or overtaken or asked_the_other)

    def _of(self, one: Delivery) -> ReplicaAddress:
        [found] = [to for to in self._addresses if one.url.startswith(f"https://{to.name}.test")]
        return found


def _ended(one: Delivery) -> float:
    return one.sent_at + one.ms / 1000
