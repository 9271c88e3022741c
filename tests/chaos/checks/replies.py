"""Each webhook's reply, judged by what it does to the phone.

1. It is BXML that Bandwidth takes.
2. The same webhook again changes nothing and gets the same reply (docs/guarantees.md, 2). Where the reply is
   another one, the phone must not notice: one of the two only has it ask again, and the two were worked on
   at the same time, or the call has gone on in between, or its room was closed; or one hangs up what had
   ended by then. A copy that came after the answer, and finds the phone in a transfer or a bridge, begins
   nothing. What it is told once more it is told with the same attributes.
3. Nobody is hung up on without a word, unless an operator has said so or the far end has hung up.
4. Nobody is told that we are sorry, or to come back, without something that has struck.
5. Each address of ours has the second one beside it, and credentials for both; also in requests.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from service.engine.event_handler import REPLY_MARGIN
from tests.chaos.call_histories import CallHistories, CallHistory, histories_of, is_of_leg, over, place_of
from tests.chaos.configured_limits import ConfiguredLimits
from tests.chaos.expected_outcomes import KilledKnowledge
from tests.chaos.fallback_urls import FallbackUrls
from tests.chaos.fault_impact import FaultImpact
from tests.chaos.finding import Finding
from tests.chaos.previous_release_rules import PreviousReleaseRules
from tests.chaos.reply_effects import ReplyEffect, ReplyKind, document_of, effect_of
from tests.chaos.site import BUDGET
from tests.chaos.times import NEVER
from tests.simulator import bxml
from tests.simulator.journal import Delivery, Request

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

SORRY: Final = "cannot be connected right now"
BUSY: Final = "all lines are busy"
LOST: Final = "the connection was lost"
FULL: Final = "this conference is full"
CLOSED: Final = "conference has been closed"
NO_ROOM: Final = "conference could not be found"
GUESSED: Final = "wrong codes have been entered"
TIME_UP: Final = "time for this call is over"
LEFT: Final = "everybody else has left"
OF_A_CALL: Final = frozenset({"createCall", "updateCall"})
SHORT_LEGS: Final = 3
"""Legs of ours in a row that end at once, after which a caller is told so (docs/calls.md, States)."""
RIGHT_DIGITS: Final = "1234"
JOINING: Final = BUDGET - REPLY_MARGIN
"""Seconds that there are for a way in, while a webhook waits."""

Answered = tuple[Delivery, ReplyEffect]


def check(evidence: "Evidence") -> Iterator[Finding]:
    simulator = evidence.simulator
    rules = bxml.Rules(simulator.settings.uui_limit, simulator.webhooks.may_send_credentials)
    histories, struck = histories_of(evidence), FaultImpact(evidence)
    addresses = FallbackUrls(evidence.fleet.addresses[0].settings)
    read_: list[Answered] = []
    for one in simulator.deliveries:
        if one.synchronous and one.status == 200:
            try:
                document = document_of(one, rules)
            except bxml.InvalidBxml as error:
                yield _finding(one, f"is no BXML: {error}")
                continue
            read_.append((one, effect_of(document, leg=is_of_leg(one))))
            for lacking in addresses.missing_in_document(document):
                yield _finding(one, lacking)
    yield from _asked_without(simulator.requests, addresses)
    terms, before = ConfiguredLimits(evidence, histories), PreviousReleaseRules(evidence)
    yield from _copies(read_, histories, struck, terms, before)
    yield from _ends(read_, histories, struck, terms, before)
    yield from _hang_ups(simulator.requests, read_, histories, KilledKnowledge(struck, evidence.fleet.kills))


# The same webhook again -------------------------------------------------------------------------------------


def _copies(
    all_: Iterable[Answered],
    histories: CallHistories,
    struck: FaultImpact,
    terms: ConfiguredLimits,
    before: PreviousReleaseRules,
) -> Iterator[Finding]:
    same: dict[tuple[str, bytes], list[Answered]] = defaultdict(list)
    offered: dict[tuple[str, ...], float] = {}
    for delivery, effect in all_:
        # At either address, on whatever round.
        same[delivery.event_type, delivery.body].append((delivery, effect))
        if effect.kind is ReplyKind.CONNECTS and delivery.sent_at < offered.get(effect.target, NEVER):
            offered[effect.target] = delivery.sent_at
    for copies in same.values():
        copies.sort(key=lambda one: over(one[0]))
        for n, later in enumerate(copies):
            for earlier in copies[:n]:
                history = histories.about(later[0])
                problem = (
                    _differs(earlier, later, history, histories, terms)
                    or _begins(earlier, later, history, offered)
                    # Two releases may tell of a verb in other words: then it is enough that it does the same.
                    or (None if before.ran else _told_else(earlier[1], later[1]))
                )
                if problem is None or before.answered(later[0]):
                    continue
                excuse = ""
                for delivery, effect in (earlier, later):
                    if _without_store(delivery, effect):
                        struck_by = struck.trouble(delivery.url, delivery.sent_at, over(delivery))
                        excuse = "reply-without-store" if struck_by else ""
                yield _finding(later[0], problem, excuse)
                break


def _differs(
    earlier: Answered,
    later: Answered,
    history: CallHistory | None,
    histories: CallHistories,
    terms: ConfiguredLimits,
) -> str | None:
    """What a phone would notice, None for nothing."""
    (one, first), (two, second) = earlier, later
    if (first.kind, first.target) == (second.kind, second.target) and (
        first.words == second.words or first.kind is ReplyKind.COMES_BACK
    ):
        return None
    if history is None:
        return f"was answered {first}, then {second}, and nobody knows the call"
    if first.kind is ReplyKind.COMES_BACK and second.kind is not ReplyKind.ENDS:
        return None  # what it waited for is there: see `_begins`
    if ReplyKind.COMES_BACK in {first.kind, second.kind}:
        # A timer of ours is no webhook and no order: it may fire as the copy is on its way.
        timed = TIME_UP in " ".join(second.words).lower() and terms.is_time_up(history, over(two))
        if two.sent_at <= over(one) or timed or _went_on(history, one, two, histories):
            return None
        return f"was answered {first}, then {second}, and nothing had happened in between"
    for delivery, effect in (earlier, later):
        if effect == ReplyEffect(ReplyKind.ENDS) and _gone_by(history, delivery):
            return None
    return f"was answered {first}, then {second}"


def _begins(
    earlier: Answered, later: Answered, history: CallHistory | None, offered: Mapping[tuple[str, ...], float]
) -> str | None:
    """What the copy has begun although its webhook had been answered, None for nothing."""
    (one, first), (two, second) = earlier, later
    new = second.kind is ReplyKind.CONNECTS and offered[second.target] >= two.sent_at
    # One that waits asks again in a moment, and is connected with the same.
    talks = history is not None and history.stage_at(two.sent_at) in {"transferring", "bridged"}
    if new and talks and first.kind is ReplyKind.COMES_BACK and over(one) < two.sent_at:
        return f"was answered {first}, and its copy began something: {second}"
    return None


def _told_else(first: ReplyEffect, second: ReplyEffect) -> str | None:
    """What differs in the attributes of two replies that do the same, None for nothing. No value is told."""
    same = (first.kind, first.target) == (second.kind, second.target)
    if not same or first.told == second.told:
        return None
    names = sorted({one.partition("=")[0] for one in {*first.told} ^ {*second.told}})
    return f"was answered {first}, then the same with other attributes: {', '.join(names)}"


def _went_on(history: CallHistory, earlier: Delivery, later: Delivery, histories: CallHistories) -> bool:
    """Whether something came about between the two that the call could heed."""
    since, until = earlier.sent_at, over(later)
    if histories.closed_by(history, until, since=since):
        return True
    webhooks = (one.sent_at for one in history.deliveries if one.body != earlier.body)
    orders = (one.sent_at for one in history.orders)
    stages = (at for at, _ in history.stages)
    return any(since < at <= until for all_ in (webhooks, orders, stages) for at in all_)


def _gone_by(history: CallHistory, delivery: Delivery) -> bool:
    """Whether the phone, or the leg that it is about, had ended when its reply came."""
    ended = [history.ended_at, *(leg.ended_at for leg in history.legs if leg.leg_id == delivery.call_id)]
    return min(ended) <= over(delivery)


def _without_store(delivery: Delivery, effect: ReplyEffect) -> bool:
    return effect.turned_away or (effect.kind is ReplyKind.ENDS and "again=" in delivery.url)


# Addresses ------------------------------------------------------------------------------------------------


def _asked_without(requests: Iterable[Request], addresses: FallbackUrls) -> Iterator[Finding]:
    """What is made of a call. Participant events have one address, and no credentials."""
    for one in requests:
        if one.operation not in OF_A_CALL:
            continue
        for lacking in addresses.missing_in_body(one.body, one.operation):
            ids = tuple(filter(None, (one.ids.get("callId"), one.created)))
            yield Finding(what=f"at {one.at:.3f}: {lacking}", ids=ids, at=one.at)


# Ends, and coming back --------------------------------------------------------------------------------------


def _ends(
    all_: Iterable[Answered],
    histories: CallHistories,
    struck: FaultImpact,
    terms: ConfiguredLimits,
    before: PreviousReleaseRules,
) -> Iterator[Finding]:
    for delivery, effect in all_:
        history = histories.about(delivery)
        if history is None or is_of_leg(delivery):
            continue
        if effect.turned_away and not _was_late(delivery, history, struck):
            yield _finding(delivery, "was told to come back, and nothing was the matter")
        if effect.kind is not ReplyKind.ENDS or history.ended_at <= over(delivery):
            continue
        words = " ".join(effect.words)
        explained = _explained(words, delivery, history, histories, struck, terms)
        if not explained and not before.answered(delivery):
            yield _finding(delivery, f"ended the call with {words!r}, and nothing explains that")


def _was_late(delivery: Delivery, history: CallHistory, struck: FaultImpact) -> bool:
    """Whether there was trouble, or Bandwidth has used up the time that there is for a way in."""
    url, since, until = delivery.url, delivery.sent_at, over(delivery)
    if struck.trouble(url, since, until) or _outlasted(delivery, history, struck):
        return True
    return until - since >= JOINING and struck.request(history, since, until, url) is not None


def _outlasted(delivery: Delivery, history: CallHistory, struck: FaultImpact) -> bool:
    """Whether the time for a way in was up, and Bandwidth had yet to answer, or to be asked for the rest."""
    time_up, until, url = delivery.sent_at + JOINING, over(delivery), delivery.url
    return time_up <= until and (
        struck.outlasts(history, time_up, until, url)
        or struck.lasts_until(history, delivery.sent_at, time_up, url)
    )


def _hang_ups(
    requests: Iterable[Request], all_: Iterable[Answered], histories: CallHistories, killed: KilledKnowledge
) -> Iterator[Finding]:
    """By request: of whom somebody has ordered it, or who has been told, or left by the far end, before."""
    told: dict[str, float] = {}
    for delivery, effect in all_:
        if effect.kind is ReplyKind.ENDS and effect.words:
            told[delivery.call_id] = min(told.get(delivery.call_id, NEVER), over(delivery))
    for one in requests:
        history = histories.of.get(one.ids.get("callId", ""))
        if history is None or one.operation != "updateCall" or (one.body or {}).get("state") != "completed":
            continue
        until = one.at + one.ms / 1000
        if history.hung_up or not one.at <= history.ended_at <= until:
            continue
        # As far as the service has been told by then it rings, and hears nothing.
        closed = histories.closed_by(history, until) and not _is_known_up(history, one.at, killed)
        left = _left(history, one.at, until)
        if not (closed or left or _ordered(history, until) or told.get(history.call_id, NEVER) <= until):
            yield Finding(
                what=f"{history.call_id} was hung up at {one.at:.3f} by request, and nothing explains that",
                ids=(history.call_id, history.ref),
                at=one.at,
            )


def _left(history: CallHistory, since: float, until: float) -> bool:
    """Whether a far end has left by then, and the phone had not been bridged anew when it was hung up."""
    bridged = max((at for at, stage in history.stages if stage == "bridged" and at < since), default=0.0)
    return any(leg.hung_up and bridged <= leg.ended_at <= until for leg in history.legs)


def _is_known_up(history: CallHistory, at: float, killed: KilledKnowledge) -> bool:
    """Whether it is in the store by then that the phone has been answered, for any replica to see."""
    return any(
        one.synchronous and one.status == 200 and killed.written(one) <= at and not is_of_leg(one)
        for one in history.deliveries
    )


def _explained(
    words: str,
    delivery: Delivery,
    history: CallHistory,
    histories: CallHistories,
    struck: FaultImpact,
    terms: ConfiguredLimits,
) -> bool:
    until = over(delivery)
    if words == terms.message(history) and terms.ends_for_machine(history, until):
        return True
    if not words:
        return _ordered(history, until) or _far_end(history, delivery)
    if CLOSED in words:
        return histories.closed_by(history, until)
    if NO_ROOM in words or GUESSED in words:
        return any(_is_wrong(one) for one in history.deliveries if one.sent_at <= delivery.sent_at)
    if FULL in words:
        return terms.is_full(history, delivery.sent_at, until)
    if TIME_UP in words.lower():
        return terms.is_time_up(history, until)
    if LEFT in words.lower():
        return terms.was_left(history, until)
    if SORRY in words or BUSY in words or LOST in words:
        return _failed(delivery, history, struck)
    return False


def _ordered(history: CallHistory, until: float) -> bool:
    return any(one.kind == "hangup" and one.sent_at <= until for one in history.orders)


def _far_end(history: CallHistory, delivery: Delivery) -> bool:
    """Whether the last leg that the phone was bridged with has ended, by whoever was at its other end."""
    legs = [leg for leg in history.legs if leg.begun <= delivery.sent_at]
    return bool(legs) and legs[-1].hung_up and legs[-1].ended_at <= over(delivery)


def _is_wrong(delivery: Delivery) -> bool:
    return delivery.event_type == "gather" and delivery.payload.get("digits") != RIGHT_DIGITS


def _failed(delivery: Delivery, history: CallHistory, struck: FaultImpact) -> bool:
    """Since the phone was bridged last: what was before that is no reason any more."""
    url, until = delivery.url, over(delivery)
    if "again=" in url and struck.trouble(url, delivery.sent_at, until):
        return True
    bridged = [at for at, stage in history.stages if stage == "bridged" and at < delivery.sent_at]
    since = bridged[-1] if bridged else history.stages[0][0]
    if struck.join(history, since, until, url) or _outlasted(delivery, history, struck):
        return True
    # Legs of ours from which the far end has gone as soon as they were there.
    gone = [leg for leg in history.legs if leg.ours and leg.begun <= until][-SHORT_LEGS:]
    if len(gone) == SHORT_LEGS and all(leg.hung_up and leg.ended_at <= until for leg in gone):
        return True
    # A number that an operator has sent it to, and that did not take the call.
    return any(
        leg.ended_at <= until
        and leg.cause not in {"hangup", "cancel"}
        and (not leg.to.startswith("sip") or leg.cause == "callback-error")
        for leg in history.legs
    )


def _finding(delivery: Delivery, problem: str, excuse: str = "") -> Finding:
    ref = place_of(delivery.url)[1]
    return Finding(
        what=f"{delivery.event_type} of {delivery.call_id} at {delivery.url}, at {delivery.sent_at:.3f}: "
        f"{problem}",
        ids=(delivery.call_id, ref) if ref else (delivery.call_id,),
        at=delivery.sent_at,
        excuse=excuse,
    )
