"""Whose fault the end of a call was, for everything that Bandwidth and we ourselves can say."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from service.calls.decide import decide
from service.calls.model import Blame, Call, Direction, Media, Outcome
from service.calls.outcomes import CAUSES, FAILURES
from service.calls.replies import NoReply
from tests.calls.control_event_builders import order_hangup, order_transfer
from tests.calls.event_builders import (
    NOW,
    disconnect,
    initiate,
    join_failed,
    redirected,
    sample_call,
    transfer_answer,
    transfer_complete,
)
from tests.calls.playbook import play

ROOT = Path(__file__).parents[2]
OUTCOMES = ROOT / "service" / "calls" / "outcomes.py"

NOT_BRIDGED = [
    ("hangup", Blame.CALLER, "abandoned"),
    ("cancel", Blame.CALLER, "abandoned"),
    ("busy", Blame.CALLER, "busy"),
    ("timeout", Blame.CALLER, "no-answer"),
    ("rejected", Blame.CALLER, "rejected"),
    ("callback-error", Blame.SERVICE, "webhook-unanswered"),
    ("invalid-bxml", Blame.SERVICE, "invalid-bxml"),
    ("application-error", Blame.SERVICE, "application-error"),
    ("account-limit", Blame.LIMIT, "account-limit"),
    ("node-capacity-exceeded", Blame.BANDWIDTH, "capacity"),
    ("error", Blame.BANDWIDTH, "error"),
    ("unknown", Blame.BANDWIDTH, "unknown"),
    ("not-found", Blame.BANDWIDTH, "vanished"),
    ("never-heard-of", Blame.BANDWIDTH, "unlisted-cause"),
]
FAILED = [
    ("room-full", Blame.LIMIT),
    ("rate-limited", Blame.LIMIT),
    ("calls-at-once", Blame.LIMIT),
    ("room-closed", Blame.NOBODY),
    ("credentials-refused", Blame.SERVICE),
    ("request-refused", Blame.SERVICE),
    ("internal-error", Blame.SERVICE),
    ("token-unusable", Blame.BANDWIDTH),
    ("bandwidth-error", Blame.BANDWIDTH),
    ("bandwidth-timeout", Blame.BANDWIDTH),
    ("participant-vanished", Blame.BANDWIDTH),
    ("transfer-failed", Blame.BANDWIDTH),
    ("webhook-unanswered", Blame.SERVICE),
    ("invalid-bxml", Blame.SERVICE),
    ("application-error", Blame.SERVICE),
    ("account-limit", Blame.LIMIT),
    ("never-heard-of", Blame.BANDWIDTH),
    ("nobody-came", Blame.NOBODY),
    ("left-alone", Blame.NOBODY),
    ("answering-machine", Blame.NOBODY),
    ("wrong-pin", Blame.CALLER),
    ("pin-guessing", Blame.CALLER),
    ("time-limit", Blame.LIMIT),
    ("hold-limit", Blame.LIMIT),
    ("page-gone", Blame.NOBODY),
    ("closed", Blame.LIMIT),
]


def ended(call: Call | None, cause: str) -> Outcome:
    outcome = play(call).on(disconnect(cause)).call.outcome
    assert outcome is not None
    return outcome


def test_the_tables_below_are_complete() -> None:
    assert {cause for cause, _, _ in NOT_BRIDGED} == {*CAUSES, "never-heard-of"}
    assert {slug for slug, _ in FAILED} == set(FAILURES)


@pytest.mark.parametrize(("cause", "blame", "reason"), NOT_BRIDGED)
def test_a_call_that_was_not_bridged(cause: str, blame: Blame, reason: str) -> None:
    expected = Outcome(blame, reason, cause=cause)
    assert ended(sample_call(Media.TRANSFERRING, answered=False), cause) == expected
    assert ended(None, cause) == expected


@pytest.mark.parametrize(("cause", "blame", "reason"), NOT_BRIDGED)
def test_a_call_that_was_bridged_is_complete_when_somebody_hangs_up(
    cause: str, blame: Blame, reason: str
) -> None:
    normal = cause == "hangup"  # "cancel": it was never answered, though its leg may have been
    expected = Outcome(Blame.NOBODY, "completed", cause) if normal else Outcome(blame, reason, cause)
    assert ended(sample_call(Media.BRIDGED), cause) == expected


@pytest.mark.parametrize(
    ("cause", "direction", "outcome"),
    [
        ("hangup", Direction.INBOUND, (Blame.NOBODY, "cancelled")),
        ("rejected", Direction.INBOUND, (Blame.NOBODY, "cancelled")),
        ("hangup", Direction.OUTBOUND, (Blame.NOBODY, "cancelled")),
        ("cancel", Direction.OUTBOUND, (Blame.NOBODY, "cancelled")),
        ("rejected", Direction.OUTBOUND, (Blame.CALLEE, "rejected")),
        ("error", Direction.INBOUND, (Blame.BANDWIDTH, "error")),
    ],
)
def test_who_is_hung_up_on_by_an_order_before_the_room_is_not_to_blame(
    cause: str, direction: Direction, outcome: tuple[Blame, str]
) -> None:
    story = play(replace(sample_call(Media.JOINING, answered=False), direction=direction)).on(order_hangup())
    ordered = story.call
    assert ordered is not None
    event = replace(disconnect(cause)(NOW), direction=direction)
    after = decide(ordered, event).call
    assert after is not None
    assert after.outcome == Outcome(*outcome, cause=cause)


@pytest.mark.parametrize(
    ("left", "outcome"),
    [("hangup", (Blame.NOBODY, "completed")), ("busy", (Blame.BANDWIDTH, "transfer-failed"))],
)
def test_who_was_sent_to_another_number_has_not_hung_up_when_that_does(
    left: str, outcome: tuple[Blame, str]
) -> None:
    story = play(sample_call(Media.NONE, answered=False)).on(order_transfer()).on(redirected())
    story.on(transfer_complete(2, left)).on(disconnect())
    assert story.call is not None
    assert story.call.outcome == Outcome(*outcome, cause="hangup")


def test_who_has_talked_before_an_order_while_the_store_was_away_has_talked() -> None:
    story = play(sample_call(Media.TRANSFERRING)).on(order_transfer())
    story.on(transfer_answer(1, accepted_without_call=True)).replies(NoReply()).expects().notes(
        "stale attempt"
    )
    story.on(redirected()).on(disconnect())
    assert story.call is not None
    assert story.call.outcome == Outcome(Blame.NOBODY, "completed", cause="hangup")


@pytest.mark.parametrize(("slug", "blame"), FAILED)
def test_a_known_failure_comes_before_the_cause(slug: str, blame: Blame) -> None:
    story = play().on(initiate()).on(join_failed(reason=slug)).on(disconnect("error"))
    assert story.call.outcome == Outcome(blame, slug, cause="error")
    bridged = replace(sample_call(Media.LEAVING), failure=slug)
    assert ended(bridged, "hangup") == Outcome(blame, slug, cause="hangup")


def test_an_unlisted_failure_is_ours() -> None:
    story = play().on(initiate()).on(join_failed(reason="new-slug")).on(disconnect())
    assert story.call.outcome == Outcome(Blame.SERVICE, "new-slug", cause="hangup")


def test_bandwidths_own_words_are_kept() -> None:
    outcome = play(sample_call(Media.BRIDGED)).on(disconnect("error", error_id="e-9", sip=503)).call.outcome
    assert outcome == Outcome(Blame.BANDWIDTH, "error", "error", error_id="e-9", sip_response_code=503)


@pytest.mark.parametrize("slug", FAILURES)
def test_a_listed_failure_is_one_that_something_gives(slug: str) -> None:
    sources = [path for folder in ("service", "handlers") for path in (ROOT / folder).rglob("*.py")]
    assert any(f'"{slug}"' in path.read_text() for path in sources if path != OUTCOMES)
