"""Every call that a replica has heard of has ended with the outcome that it had, told once.

1. It has ended, and the API says how.
2. Exactly one line of all logs says `call.ended`, with the same outcome.
3. The outcome is what happened, by what the simulator and operators know of it (`outcomes_due`).
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tests.chaos.call_histories import CallHistories, CallHistory, histories_of, over
from tests.chaos.configured_limits import ConfiguredLimits
from tests.chaos.creates import TURNED_AWAY
from tests.chaos.expected_outcomes import (
    INTERNAL,
    ExpectedOutcomes,
    KilledKnowledge,
    Outcome,
    expected_outcomes,
)
from tests.chaos.fault_impact import FaultImpact
from tests.chaos.finding import Finding
from tests.chaos.previous_release_rules import PreviousReleaseRules
from tests.chaos.reply_effects import ReplyEffect, ReplyKind, read
from tests.chaos.turn_history import ends_of
from tests.simulator import bxml

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence, ReplicaLogLine

COME_BACK: Final = b"again="
"""What is in a reply that has the phone ask once more, without the store."""
VANISHED: Final = "vanished"
"""Bandwidth did not know the call."""


def check(evidence: "Evidence") -> Iterator[Finding]:
    struck, histories = FaultImpact(evidence), histories_of(evidence)
    taken = heard_of(evidence, taken=True)
    # The API refuses to erase a call that has not ended.
    gone, perhaps_gone = erased(evidence), erased(evidence, status=None)
    for call_id in sorted(heard_of(evidence, taken=False) - gone):
        call = evidence.calls.get(call_id)
        if call is None and call_id in perhaps_gone:
            continue
        if call is None and call_id not in taken:
            excused = _was_kept_by_ended(evidence, histories.of[call_id], struck)
            yield Finding(
                what=f"{call_id} was only asked to come back, and is not known",
                ids=(call_id,),
                excuse="turned-away" if excused else "",
            )
        elif call is None or call.get("state") != "ended" or not call.get("outcome"):
            phone = evidence.simulator.phone(call_id)
            ref = str((call or {}).get("id", ""))
            yield Finding(what=f"{call_id} has no outcome: {phone}; known: {call}", ids=(call_id, ref))
    for ref in evidence.unended:
        yield Finding(what=f"{ref} has not ended", ids=(ref,))
    # Also those that nobody has answered: of them no webhook asks for anything.
    ended = sorted(id_ for id_, call in evidence.calls.items() if call.get("outcome"))
    truth = _Truth(evidence, histories, struck)
    yield from _lines(evidence, ended, histories, struck, truth)
    yield from _outcomes(evidence, ended, histories, truth)


def erased(evidence: "Evidence", *, status: int | None = 204) -> set[str]:
    """Ids of the calls that an operator has erased; with None as status, those of which nobody knows that."""
    return {
        one.path.removeprefix("/calls/")
        for one in evidence.operator_requests
        if one.method == "DELETE" and one.path.startswith("/calls/") and one.status == status
    }


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


def _was_kept_by_ended(evidence: "Evidence", history: CallHistory, struck: FaultImpact) -> bool:
    """Whether all who were to write down that it has called ended before they can have done so.

    Kept is that it came, at its first round, and that it was let go.
    """
    ends = ends_of(evidence.fleet)
    kept = [
        one
        for one in history.deliveries
        if one.synchronous and one.status == 200 and ("again=" not in one.url or COME_BACK not in one.reply)
    ]
    return bool(kept) and all(
        any(
            host == struck.host_of(one.url)
            and one.sent_at <= at <= struck.kept_until(one.url, one.sent_at, over(one))
            for host, at in ends
        )
        for one in kept
    )


# One line for each ------------------------------------------------------------------------------------------


def _lines(
    evidence: "Evidence", ended: list[str], histories: CallHistories, struck: FaultImpact, truth: "_Truth"
) -> Iterator[Finding]:
    lines: dict[str, list[ReplicaLogLine]] = defaultdict(list)
    for line in evidence.logs:
        if line.event == "call.ended":
            lines[str(line.fields.get("ref", ""))].append(line)
    for ref, all_ in lines.items():
        if len(all_) > 1:
            texts = " / ".join(f"{one.process}: {one.text}" for one in all_)
            yield Finding(what=f"{ref} has ended {len(all_)} times: {texts}", ids=(ref,))
    for call_id in ended:
        call = evidence.calls[call_id]
        ref, outcome = str(call["id"]), _outcome(call)
        if not lines[ref]:
            cut_off = _cut_off(evidence, histories.of[call_id], struck)
            yield Finding(
                what=f"{ref} has ended, and no line says so; {cut_off}",
                ids=(call_id, ref),
                excuse="end-not-logged-before-kill" if cut_off else "",
            )
            continue
        line = lines[ref][-1]
        said = (str(line.fields.get("blame")), str(line.fields.get("reason")))
        if said != outcome:
            excused = outcome == INTERNAL and truth.was_unaware(histories.of[call_id], said)
            yield Finding(
                what=f"{ref} has the outcome {outcome}, and its line says {said}",
                ids=(call_id, ref),
                excuse="let-go-after-its-line" if excused else "",
            )


def _cut_off(evidence: "Evidence", history: CallHistory, struck: FaultImpact) -> str:
    """What a killed replica was doing with the end of the call, and can have written down and not told.

    It was told of the end, or asked Bandwidth and heard of it. Two webhooks in a row that it answered with
    the store at hand, each sent after the one before was answered, show that it had gone on.
    """
    learned = [
        (struck.host_of(one.url), one.sent_at, over(one))
        for one in history.deliveries
        if one.event_type == "disconnect" and one.call_id == history.call_id
    ]
    learned += [
        (one.host, one.at, one.at + one.ms / 1000) for one in struck.reconciler_requests(history.call_id)
    ]
    for host, since, until in learned:
        for kill in evidence.fleet.kills:
            if kill.host == host and since <= kill.at <= struck.written_by(host, until):
                return f"{host} was killed at {kill.at:.3f}, and had learned of it from {since:.3f} on"
    return ""


# What it was ------------------------------------------------------------------------------------------------


class _Truth:
    """What the simulator and operators know of how a call has ended."""

    def __init__(self, evidence: "Evidence", histories: CallHistories, struck: FaultImpact) -> None:
        simulator = evidence.simulator
        self._rules = bxml.Rules(simulator.settings.uui_limit, simulator.webhooks.may_send_credentials)
        self._killed = KilledKnowledge(struck, evidence.fleet.kills)
        self._terms = ConfiguredLimits(evidence, histories)
        self._histories, self._struck = histories, struck

    def due(self, history: CallHistory) -> ExpectedOutcomes:
        return self._due(history, _answers(history, self._rules))

    def was_unaware(self, history: CallHistory, said: Outcome) -> bool:
        """Whether its line may say this since a replica without the store has let it go before its end.

        That may be written down after the end (docs/guarantees.md): the line says what is right without it.
        """
        answers = _answers(history, self._rules)
        heard = min(self._heard(history), default=history.ended_at)
        let_go = [
            one
            for one in history.deliveries
            if (effect := answers.get(id(one))) is not None
            and effect.kind is ReplyKind.ENDS
            and effect.words
            and "again=" in one.url
            # Until it is told of the end, a replica takes the caller for one that it has let go.
            and one.sent_at <= max(heard, history.ended_at)
        ]
        kept = [self._struck.kept_until(one.url, one.sent_at, over(one)) for one in let_go]
        for one in let_go:
            del answers[id(one)]
        return any(heard <= until for until in kept) and self._due(history, answers).fits(said)

    def _heard(self, history: CallHistory) -> Iterator[float]:
        """When each replica can have heard first that it has ended."""
        for one in history.deliveries:
            # Also one that Bandwidth has given up on may be handled.
            if one.event_type == "disconnect" and one.call_id == history.call_id:
                yield one.sent_at
        yield from (one.at for one in self._struck.ends_told(history))

    def _due(self, history: CallHistory, answers: dict[int, ReplyEffect]) -> ExpectedOutcomes:
        return expected_outcomes(history, answers, self._histories, self._struck, self._killed, self._terms)


def _outcomes(
    evidence: "Evidence", ended: list[str], histories: CallHistories, truth: _Truth
) -> Iterator[Finding]:
    before = PreviousReleaseRules(evidence)
    for call_id in ended:
        history, call = histories.of[call_id], evidence.calls[call_id]
        outcome, cause = _outcome(call), str(call["outcome"].get("cause") or "")
        if outcome[1] == VANISHED:
            yield Finding(what=f"{call_id} has vanished, says the service", ids=(call_id, history.ref))
            continue
        if cause != history.cause:
            yield Finding(
                what=f"{call_id} has ended by {history.cause!r}, and not by {cause!r}",
                ids=(call_id, history.ref),
            )
        wanted = truth.due(history)
        if not wanted.fits(outcome):
            excuse = "end-known-to-a-killed-replica" if outcome in wanted.lost else ""
            if before.blames_who_was_hung_up_on(history.ref, outcome, wanted):
                excuse = "ended-by-the-release-before"
            yield Finding(
                what=f"{call_id} has the outcome {outcome}; right are {sorted(wanted.certain)}, "
                f"perhaps {sorted(wanted.possible)}; it heard {[one.text for one in history.heard]}, "
                f"stages {[stage for _, stage in history.stages]}, ended at {history.ended_at:.3f}",
                ids=(call_id, history.ref),
                at=history.ended_at,
                excuse=excuse,
            )


def _answers(history: CallHistory, rules: bxml.Rules) -> dict[int, ReplyEffect]:
    found: dict[int, ReplyEffect] = {}
    for one in history.deliveries:
        if one.synchronous and one.status == 200:
            try:
                found[id(one)] = read(one, rules)
            except bxml.InvalidBxml:
                continue  # told by the eye for replies
    return found


def _outcome(call: dict[str, object]) -> Outcome:
    outcome = call["outcome"]
    assert isinstance(outcome, dict)
    return str(outcome.get("blame")), str(outcome.get("reason"))
