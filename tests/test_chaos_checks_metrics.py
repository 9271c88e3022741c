"""The eye of the chaos judge for metrics: what a process counts is what it has logged and was sent."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.metrics import BREAKERS
from tests.chaos.checks import metrics
from tests.chaos.evidence import Evidence, ReplicaLogLine, ScrapeTime
from tests.chaos.live_call_counts import LiveCallCount, live_call_count, shown_in
from tests.chaos.stored_calls import StoredCallState
from tests.chaos.troubles import Troubles
from tests.simulator.journal import Delivery
from tests.simulator.webhooks import DROPPED

COUNTED = """\
pstn_calls_ended_total{blame="nobody",reason="completed",direction="inbound"} 1.0
pstn_calls_ended_total{blame="nobody",reason="completed",direction="outbound"} 1.0
pstn_effects_total{effect="evict",result="done"} 1.0
pstn_effects_total{effect="evict",result="waits"} 7.0
pstn_bandwidth_requests_total{api="voice",operation="get-call",status="200"} 1.0
pstn_bandwidth_requests_total{api="voice",operation="get-call",status="invalid-response"} 1.0
pstn_bandwidth_requests_total{api="voice",operation="get-call",status="paused"} 9.0
pstn_creates_in_doubt_total{operation="create-session"} 1.0
pstn_webhooks_total{event="answer",result="answered"} 1.0
pstn_webhooks_total{event="answer",result="deferred"} 1.0
pstn_webhooks_total{event="unknown",result="refused"} 1.0
pstn_breaker_open{api="voice",kind="creates"} 1.0
"""
ENDED = {"event": "call.ended", "blame": "nobody", "reason": "completed"}
LINES: list[dict[str, Any]] = [
    ENDED,
    ENDED,
    {"event": "effect.done", "effect": "evict"},
    {"event": "request.sent", "operation": "get-call", "status": 200},
    {"event": "request.sent", "operation": "get-call", "status": 200, "error": "invalid-response"},
    {"event": "create.in_doubt", "operation": "create-session", "error": "timeout"},
    {"event": "create.in_doubt", "operation": "create-session", "error": "cut-off"},
    {"event": "webhook.answered", "event_type": "answer"},
    {"event": "webhook.degraded", "event_type": "answer"},
    {"event": "webhook.answered", "event_type": "answer"},
    {"event": "webhook.answered", "event_type": "newWord"},
    {"event": "webhook.refused", "status": 401},
    {"event": "breaker.opened", "api": "voice", "kind": "creates"},
    {"event": "breaker.closed", "api": "voice", "kind": "creates"},
    {"event": "breaker.opened", "api": "voice", "kind": "creates"},
]


def of_a_process(text: str, lines: Sequence[dict[str, Any]], deliveries: Sequence[Delivery]) -> list[str]:
    closed = "".join(
        f'pstn_breaker_open{{api="{api}",kind="{kind}"}} 0.0\n'
        for api, kind in BREAKERS
        if f'api="{api}",kind="{kind}"' not in text
    )
    log = [ReplicaLogLine("h", "a0", "", one, n) for n, one in enumerate(lines)]
    log.append(ReplicaLogLine("h", "a0", "", ENDED, 1000))
    log.append(ReplicaLogLine("h", "b0", "", ENDED, 1))
    address = SimpleNamespace(name="a", started_at=5.0, logs=[Path("a0")])
    evidence = SimpleNamespace(
        metrics={"a0": text + closed},
        scraped={"a0": ScrapeTime(20, 21, len(lines))},
        logs=log,
        fleet=SimpleNamespace(addresses=[address]),
        simulator=SimpleNamespace(deliveries=deliveries),
        live_call_counts=[],
        troubles=Troubles(),
    )
    return [one.what for one in metrics.check(cast("Evidence", evidence))]


def delivery(sent_at: float, status: int | None = 200, error: str | None = None, name: str = "a") -> Delivery:
    return Delivery(
        event_type="answer",
        call_id="",
        payload={},
        url=f"https://{name}.test/callbacks/voice",
        body=b"",
        username=None,
        password=None,
        status=status,
        ms=1,
        content_type="",
        reply=b"",
        error=error,
        sent_at=sent_at,
        synchronous=True,
    )


SENT = [
    delivery(4),
    delivery(6),
    delivery(7, None, "timeout"),
    delivery(8, None, DROPPED),
    delivery(9, name="b"),
    delivery(22),
]
"""To the process before; two, one of them answered; one that was lost; to the other replica; one later."""


def test_metrics_that_add_up() -> None:
    """Lines that came later, and those of another process, are not counted."""
    assert of_a_process(COUNTED, LINES, SENT) == []


@pytest.mark.parametrize("event", ["participant.orphan_removed", "stranger.removed"])
def test_an_orphan_is_told_by_the_word_of_each_release(event: str) -> None:
    counted = f'{COUNTED}pstn_reconciler_finds_total{{find="stranger-removed"}} 1.0\n'
    assert of_a_process(counted, [*LINES, {"event": event}], SENT) == []
    assert len(of_a_process(counted, LINES, SENT)) == 1


def without_one_line() -> Iterator[Any]:
    for n, line in enumerate(LINES):
        if line.get("error") != "cut-off" and line.get("event_type") != "newWord":
            yield pytest.param(LINES[:n] + LINES[n + 1 :], id=f"{n} {line['event']}")


@pytest.mark.parametrize("lines", list(without_one_line()))
def test_a_line_that_is_missing(lines: list[dict[str, Any]]) -> None:
    assert len(of_a_process(COUNTED, lines, SENT)) == 1


@pytest.mark.parametrize(
    "counted", [one for one in COUNTED.splitlines() if "waits" not in one and "paused" not in one]
)
def test_a_counter_that_is_off(counted: str) -> None:
    """But for those of which no line tells."""
    name, _, value = counted.rpartition(" ")
    assert of_a_process(COUNTED.replace(counted, f"{name} {float(value) + 1}"), LINES, SENT)


@pytest.mark.parametrize(
    "sent", [[delivery(6), delivery(7), delivery(8)], [delivery(6)]], ids=["uncounted", "never sent"]
)
def test_webhooks_that_are_not_those_that_were_sent(sent: list[Delivery]) -> None:
    assert len(of_a_process(COUNTED, LINES, sent)) == 1


@pytest.mark.parametrize(
    ("value", "events", "expected"),
    [
        (0, [], 0),
        (1, [], 1),
        (1, ["service.paused"], 0),
        (0, ["service.paused"], 1),
        (0, ["service.paused", "service.resumed"], 0),
    ],
)
def test_a_switch_that_was_told_of(value: int, events: list[str], expected: int) -> None:
    lines = [*LINES, *({"event": one} for one in events)]
    assert len(of_a_process(f"{COUNTED}pstn_paused {value}\n", lines, SENT)) == expected


# Live calls -------------------------------------------------------------------------------------------------

UP = StoredCallState(phone="up", media="bridged")
PAGE = 'pstn_store_up 1.0\npstn_calls{state="bridged"} 1.0\npstn_calls{state="dialing"} 0.0\n'


@pytest.mark.parametrize(
    ("call", "state"),
    [
        (UP, "bridged"),
        (StoredCallState(phone="dialing", media="making"), "dialing"),
        (StoredCallState(phone="up"), "detached"),
        (StoredCallState(phone="up", intent="wait"), "initiated"),
        (StoredCallState(phone="up", intent="wait", bridged_at=1.0), "detached"),
        (StoredCallState(phone="up", media="ready"), "joining"),
        (StoredCallState(phone="gone", media="bridged"), "ended"),
    ],
)
def test_what_a_call_is_shown_as(call: StoredCallState, state: str) -> None:
    assert call.state == state


def test_what_is_the_same_before_and_afterwards_is_sure() -> None:
    gone = StoredCallState(phone="gone")
    before = {"same": (b"1", UP), "changes": (b"1", UP), "goes": (b"1", UP), "was gone": (b"1", gone)}
    after = {"same": (b"1", UP), "changes": (b"2", UP), "comes": (b"1", UP), "comes and goes": (b"2", gone)}
    found = live_call_count("a", 1.0, before, {}, after, 2.0)
    assert (found.certain, found.moving) == ({"bridged": 1}, 4)


def test_a_page_without_the_store_says_nothing_of_calls() -> None:
    assert shown_in("pstn_store_up 0.0\n") is None
    assert shown_in(PAGE) == {"bridged": 1.0, "dialing": 0.0}


SHOWN = dict.fromkeys(metrics.STATES, 0.0)


@pytest.mark.parametrize(
    ("shown", "sure", "moving", "count"),
    [
        ({"bridged": 2.0}, {"bridged": 2}, 0, 0),
        ({"bridged": 1.0}, {"bridged": 2}, 0, 1),
        ({"bridged": 3.0}, {"bridged": 2}, 0, 1),
        ({"bridged": 3.0}, {"bridged": 2}, 1, 0),
        ({"bridged": 4.0}, {"bridged": 2}, 1, 1),
        ({"joining": 1.0}, {}, 0, 1),
        ({}, {}, 0, 0),
        ({"ended": 1.0}, {}, 0, 1),
    ],
)
def test_live_calls_are_those_of_the_store(
    shown: dict[str, float], sure: dict[str, int], moving: int, count: int
) -> None:
    gauges = [LiveCallCount("a", at, at + 1, {**SHOWN, **shown}, sure, moving) for at in (1.0, 5.0)]
    assert len(seen(gauges)) == count, "once for each process"


def test_a_page_that_leaves_live_calls_out() -> None:
    assert seen([LiveCallCount("a", 1.0, 2.0, {}, {}, 0)])


@pytest.mark.parametrize(("kind", "count"), [("store-away", 0), ("killed", 1)])
def test_a_replica_without_the_store_is_not_judged(kind: str, count: int) -> None:
    troubles = Troubles()
    troubles.begin(kind, 1.5).over = 9.0
    assert len(seen([LiveCallCount("a", 1.0, 2.0, SHOWN, {"bridged": 1}, 0)], troubles)) == count


def seen(gauges: list[LiveCallCount], troubles: Troubles | None = None) -> list[str]:
    turn = {
        "live_call_counts": gauges,
        "troubles": troubles or Troubles(),
        "metrics": {},
        "logs": [],
        "simulator": SimpleNamespace(deliveries=[]),
        "fleet": SimpleNamespace(addresses=[]),
    }
    return [one.what for one in metrics.check(cast("Evidence", SimpleNamespace(**turn)))]
