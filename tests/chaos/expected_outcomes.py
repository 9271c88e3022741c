"""Which outcomes a call may have, by what the simulator and operators know of it.

The truth table:

| what happened | outcome |
| --- | --- |
| the caller was told why, and let go | what was said |
| an operator closed its room | nobody: room-closed, unless the phone had gone before it was told |
| it was in a room, and somebody hung up | nobody: completed |
| its leg broke, and nobody has joined it anew | bandwidth: transfer-failed |
| it was in no room, and hung up | caller (who called us) or callee: abandoned |
| an operator hung up on it before it was in a room | nobody: cancelled |
| the number that it was sent to has hung up | nobody: completed |
| nobody took our call | callee: busy, no-answer, rejected |
| its time was up | limit: time-limit |
| everybody else had left its room | nobody: left-alone |
| a machine took a call of ours that is for people | nobody: answering-machine |
| a webhook of it was answered by nobody, or wrongly | service: webhook-unanswered, invalid-bxml |

Several are right where a phone hangs up while another end is under way: each such pair is in `Due.perhaps`.
So it is where a replica without the store has let the caller go, and another one, which could not know, was
about to do the same for a reason of its own. And so it is while the service does not know of the end: until a
`disconnect` was answered, or Bandwidth was asked and said that the call has ended, it is to the service as if
the phone were there, and what comes first is why the call has ended.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from tests.chaos.call_histories import CallHistories, CallHistory, is_of_leg, over, place_of
from tests.chaos.configured_limits import ConfiguredLimits
from tests.chaos.creates import TURNED_AWAY
from tests.chaos.fault_impact import FaultImpact
from tests.chaos.reply_effects import ReplyEffect, ReplyKind
from tests.chaos.times import NEVER
from tests.simulator.journal import Delivery
from tests.simulator.webhooks import TIMED_OUT

if TYPE_CHECKING:
    from tests.chaos.fleet import Kill

Outcome = tuple[str, str]
"""Blame and reason."""

COMPLETED: Final = ("nobody", "completed")
CANCELLED: Final = ("nobody", "cancelled")
OURS: Final = {True: {"hangup", "cancel", "rejected"}, False: {"hangup", "cancel"}}
"""Causes of an end that we may have asked for, of inbound calls and of others."""
FULL: Final = ("limit", "room-full")
ROOM_CLOSED: Final = ("nobody", "room-closed")
TIME_UP: Final = ("limit", "time-limit")
LEFT: Final = ("nobody", "left-alone")
MACHINE: Final = ("nobody", "answering-machine")
VANISHED: Final = ("bandwidth", "participant-vanished")
INTERNAL: Final = ("service", "internal-error")
BROKEN: Final = frozenset({("bandwidth", "transfer-failed"), ("service", "webhook-unanswered")})
FAILED: Final = frozenset({("bandwidth", "bandwidth-error"), ("bandwidth", "bandwidth-timeout")})
REFUSED: Final = ("service", "credentials-refused")
SAID: Final[tuple[tuple[str, frozenset[Outcome]], ...]] = (
    ("conference has been closed", frozenset({ROOM_CLOSED})),
    ("this conference is full", frozenset({FULL})),
    ("all lines are busy", frozenset({("limit", "rate-limited")})),
    ("the connection was lost", frozenset({VANISHED})),
    ("conference could not be found", frozenset({("caller", "wrong-pin")})),
    ("wrong codes have been entered", frozenset({("caller", "pin-guessing")})),
    ("time for this call is over", frozenset({TIME_UP})),
    ("verybody else has left", frozenset({LEFT})),
    ("cannot be connected right now", BROKEN | FAILED | {REFUSED}),
)
"""What is said to whom we let go, and what it stands for."""
CAUSES: Final = {
    "busy": "busy",
    "timeout": "no-answer",
    "rejected": "rejected",
    "callback-error": "webhook-unanswered",
    "invalid-bxml": "invalid-bxml",
}


class ExpectedOutcomes(msgspec.Struct, frozen=True):
    certain: frozenset[Outcome]
    """One of these, if nothing was under way."""
    possible: frozenset[Outcome] = frozenset()
    """These as well, since something was under way when it ended."""
    lost: frozenset[Outcome] = frozenset()
    """These as well, since only a replica that was killed knew better."""

    def fits(self, outcome: Outcome) -> bool:
        return outcome in self.certain | self.possible


def expected_outcomes(
    history: CallHistory,
    answers: dict[int, ReplyEffect],
    histories: CallHistories,
    struck: FaultImpact,
    killed: "KilledKnowledge",
    terms: ConfiguredLimits,
) -> ExpectedOutcomes:
    """`answers`: what replies do, by the `id` of their delivery."""
    known_at = min(_known_at(history, struck), killed.found_ended(history))
    told, telling, without = _told(history, answers, known_at, terms)
    plain, unsure = _plain(history, answers, known_at, struck, killed)
    if told:
        if without is None:
            return ExpectedOutcomes(told)
        # Who had the store could not know, and may have been about to let it go as well.
        meanwhile = _letting_go(history, _ended_by(history, killed), histories, terms)
        return ExpectedOutcomes(
            told, meanwhile, plain | unsure if killed.before_written(without) else frozenset()
        )
    perhaps = set(telling | unsure | _letting_go(history, known_at, histories, terms))
    if plain == {COMPLETED} and history.stage_at(history.ended_at - 1e-9) != "bridged":
        # It was on its way back to us, or out of a leg that broke.
        perhaps |= BROKEN if not _is_on_hold(history, known_at) else set()
    if history.bridged_at < history.ended_at and struck.saw_expiry(history.rooms):
        perhaps.add(VANISHED)
    return ExpectedOutcomes(plain, frozenset(perhaps))


def _known_at(history: CallHistory, struck: FaultImpact) -> float:
    """When the end was written down at the latest: until then, what is under way may say why it ends."""
    for one in history.deliveries:
        if one.event_type == "disconnect" and one.call_id == history.call_id and one.status == 204:
            return NEVER if struck.trouble(one.url, one.sent_at, over(one)) else over(one)
    return NEVER


def _ended_by(history: CallHistory, killed: "KilledKnowledge") -> float:
    """When its end was in the store at the latest, for any replica to see."""
    for one in history.deliveries:
        if one.event_type == "disconnect" and one.call_id == history.call_id and one.status == 204:
            return killed.written(one)
    return NEVER


def _letting_go(
    history: CallHistory, known_at: float, histories: CallHistories, terms: ConfiguredLimits
) -> frozenset[Outcome]:
    """What it was to be let go with, if it hung up before it was told, or before its end was known."""
    why = {
        ROOM_CLOSED: histories.closed_by(history, known_at),
        TIME_UP: terms.is_time_up(history, known_at),
        LEFT: terms.seemed_left(history, known_at),
        MACHINE: terms.ends_for_machine(history, known_at),
    }
    return frozenset(outcome for outcome, is_so in why.items() if is_so)


def _told(
    history: CallHistory, answers: dict[int, ReplyEffect], known_at: float, terms: ConfiguredLimits
) -> tuple[frozenset[Outcome], frozenset[Outcome], Delivery | None]:
    """What it was let go with before it ended; with what at that moment; by what answer without the store."""
    told: frozenset[Outcome] = frozenset()
    telling: frozenset[Outcome] = frozenset()
    by: Delivery | None = None
    for one in history.deliveries:
        effect = answers.get(id(one))
        if effect is None or effect.kind is not ReplyKind.ENDS or is_of_leg(one):
            if one.synchronous and one.status is None and one.sent_at <= known_at:
                # It may be handled all the same, later than Bandwidth waits for it.
                telling |= (
                    FAILED | BROKEN | ({FULL} if terms.is_full(history, one.sent_at, known_at) else set())
                )
            continue
        # Without the store we can only have given up.
        without = "again=" in one.url
        words = " ".join(effect.words)
        stands_for = _stands_for(words) | ({INTERNAL} if without and effect.words else set())
        if words == terms.message(history) and terms.ends_for_machine(history, over(one)):
            stands_for = frozenset({MACHINE})
            if not words and _ordered(history, over(one)):
                telling |= stands_for
                continue
        if not stands_for:
            continue
        if over(one) <= history.ended_at:
            told = stands_for
            by = one if without else None
        elif one.sent_at <= known_at:
            telling |= stands_for
    return told, telling, by


def _stands_for(words: str) -> frozenset[Outcome]:
    return next((outcomes for said, outcomes in SAID if said in words), frozenset())


def _plain(
    history: CallHistory,
    answers: dict[int, ReplyEffect],
    known_at: float,
    struck: FaultImpact,
    killed: "KilledKnowledge",
) -> tuple[frozenset[Outcome], frozenset[Outcome]]:
    """Of a call to which nobody has said why it ends; and what else it may be."""
    cause = history.cause
    if cause in {"callback-error", "invalid-bxml"}:
        outcome = frozenset({("service", CAUSES[cause])})
        return outcome, outcome
    apart = _apart(history, known_at)
    if cause not in {"hangup", "cancel"} or history.answered_at > history.ended_at:
        return apart
    connected, connecting = _connected(history, answers, known_at, struck, killed)
    if connected:
        return frozenset({COMPLETED}), apart[0] | apart[1] if connecting else frozenset()
    return apart[0], apart[1] | ({COMPLETED} if connecting else frozenset())


def _apart(history: CallHistory, known_at: float) -> tuple[frozenset[Outcome], frozenset[Outcome]]:
    """Of a call that was in no room; and what else it may be, where several hung up at once."""
    cause, blame = history.cause, "caller" if history.inbound else "callee"
    gave_up = cause == "cancel" and not history.inbound
    theirs = CANCELLED if gave_up else (blame, CAUSES.get(cause, "abandoned"))
    ordered = _ordered(history, known_at)
    sent_on = [
        leg for leg in history.legs if not leg.to.startswith("sip") and leg.ended_at <= history.ended_at
    ]
    # A number that it was to be sent to counts as one that it has talked to.
    elsewhere = sent_on or (ordered and _ordered(history, known_at, "transfer"))
    ours = frozenset({CANCELLED} if ordered else ()) | ({COMPLETED} if elsewhere else frozenset())
    if not ours or cause not in OURS[history.inbound]:
        return frozenset({theirs}), frozenset()
    if history.hung_up:
        return frozenset({theirs}), ours
    return ours, frozenset({COMPLETED})


def _ordered(history: CallHistory, until: float, kind: str = "hangup") -> bool:
    """Whether an operator had asked for its end by then, or for something else."""
    return any(one.kind == kind and one.sent_at <= until for one in history.orders)


def _is_on_hold(history: CallHistory, known_at: float) -> bool:
    """Whether an order had taken the phone out of its leg when it ended, and nothing has led it back."""
    for hold in history.orders:
        if hold.kind == "remove" and hold.over <= history.ended_at:
            others = (one for one in history.orders if one.kind != "remove" and one.sent_at <= known_at)
            led_back = any(one.over > hold.sent_at for one in others)
            if not led_back and not any(leg.begun > hold.sent_at for leg in history.legs):
                return True
    return False


def _connected(
    history: CallHistory,
    answers: dict[int, ReplyEffect],
    known_at: float,
    struck: FaultImpact,
    killed: "KilledKnowledge",
) -> tuple[bool, bool]:
    """Whether a leg into WebRTC has answered, as the service was told; and whether that is unsure."""
    connected = unsure = False
    for one in history.deliveries:
        if one.sent_at > known_at or not one.synchronous:
            continue
        effect = answers.get(id(one))
        if not _connects(one, effect):
            continue
        if over(one) <= history.ended_at and one.status == 200:
            connected = True
            # It is told to the store once that is back, by a replica that lives then.
            away = struck.trouble(one.url, one.sent_at, over(one))
            unsure = bool(away) and (killed.before_written(one) or _is_found_first(history, one, struck))
        elif not connected:
            unsure = True
    # That somebody has hung up on its leg tells that it was up.
    left = any(
        leg.to.startswith("sip") and leg.cause == "hangup" and leg.ended_at < history.ended_at
        for leg in history.legs
    )
    late = _is_bridged_late(history, known_at, struck)
    return connected, unsure or ((left or late) and not connected)


def _is_found_first(history: CallHistory, answered: Delivery, struck: FaultImpact) -> bool:
    """Whether another replica may have found the call ended before this was written down."""
    kept_until = struck.kept_until(answered.url, answered.sent_at, over(answered))
    return any(one.at < kept_until for one in struck.ends_told(history))


def _is_bridged_late(history: CallHistory, known_at: float, struck: FaultImpact) -> bool:
    """Whether a replica may have bridged a phone that had gone, with a leg of ours that was up.

    It was asked by one of the two, and Bandwidth gave up waiting as it stood still, or its store did; or it
    told the phone to come back without the store. It had not caught up when the phone hung up: it may have
    bridged them then, before it heard of that.
    """
    asks = [
        one
        for one in history.deliveries
        if one.synchronous
        and one.sent_at <= known_at
        and (one.call_id == history.call_id or place_of(one.url)[0] == "legs")
    ]
    up = {leg.leg_id for leg in history.legs if leg.ours and leg.ended_at > history.ended_at}
    return not up.isdisjoint(one.call_id for one in asks) and any(
        (one.error == TIMED_OUT or any(sign in one.reply for sign in TURNED_AWAY))
        and bool(struck.trouble(one.url, one.sent_at, over(one)))
        and struck.kept_until(one.url, one.sent_at, over(one)) > history.ended_at
        for one in asks
        if one.call_id == history.call_id or one.call_id in up
    )


def _connects(delivery: Delivery, effect: ReplyEffect | None) -> bool:
    """Whether it tells that a leg into WebRTC is up, or its reply joins the phone with one."""
    if delivery.event_type == "transferAnswer":
        return place_of(delivery.url)[2] > 0 and (effect is None or effect.kind is ReplyKind.STAYS)
    return effect is not None and effect.kind is ReplyKind.CONNECTS and effect.bridges


class KilledKnowledge:
    """Of the replicas: when each was killed."""

    def __init__(self, struck: FaultImpact, kills: Iterable["Kill"]) -> None:
        self._struck = struck
        self._kills: dict[str, list[float]] = defaultdict(list)
        for kill in kills:
            self._kills[kill.host].append(kill.at)

    def found_ended(self, history: CallHistory) -> float:
        """When it is in the store, at the latest, that Bandwidth was asked, and told of its end; or NEVER.

        It is asked again where the answer may not have been written down.
        """
        for one in self._struck.ends_told(history):
            until = self._struck.written_by(one.host, one.at + one.ms / 1000)
            struck = self._struck.trouble_of(one.host, one.at, until)
            if not struck and not any(one.at <= at <= until for at in self._kills.get(one.host, [])):
                return until
        return NEVER

    def written(self, delivery: Delivery) -> float:
        """When at the latest it is in the store what was told by it; NEVER where that may be lost.

        A replica that has no store keeps it in memory, where no other one sees it.
        """
        place = delivery.url, delivery.sent_at, over(delivery)
        if delivery.synchronous:
            kept = any(sign in delivery.reply for sign in TURNED_AWAY)
        else:
            kept = bool(self._struck.trouble(*place))
        if not kept:
            return over(delivery)
        return NEVER if self.before_written(delivery) else self._struck.kept_until(*place)

    def before_written(self, delivery: Delivery) -> bool:
        """Whether the replica that took it was killed before it can have written down what came of it."""
        until = self._struck.kept_until(delivery.url, delivery.sent_at, over(delivery))
        kills = self._kills.get(self._struck.host_of(delivery.url), [])
        return any(delivery.sent_at <= at <= until for at in kills)
