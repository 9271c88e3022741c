"""Compares what each process counts with its log, with the webhooks that it was sent, and with the store.

Live calls are compared all the time, but where something troubles the store: to a replica it may be away, or
another server. As for the rest, only processes that run at the end are looked at: the figures of others are
gone with them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from service.metrics import BREAKERS
from tests.chaos.finding import Finding
from tests.simulator.webhooks import DROPPED

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence, Json
    from tests.chaos.fleet import ReplicaAddress

Labels = tuple[str, ...]


class CounterRule(msgspec.Struct, frozen=True):
    """A counter and the event that a line has for each time that it was counted."""

    counter: str
    events: tuple[str, ...]
    by: tuple[str, ...] = ()
    """Labels by which both are told apart; also the keys of a line, unless `values` has others."""
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Values of other labels that count; of those that are not named here all do."""
    values: tuple[Callable[["Json"], str], ...] = ()
    """Instead of `by`: how the labels' values follow from a line."""
    unless: tuple[str, str] = ("", "")
    """Key and value of lines that are not counted."""


def _status(line: "Json") -> str:
    """As in `service.bandwidth.api_client`: what came instead of a status, or with one that was fine."""
    status, error = line.get("status"), line.get("error")
    fine = status is None or status < 300
    return str(error if error and fine else status)


def _operation(line: "Json") -> str:
    return str(line["operation"])


PAIRS: Final[Sequence[CounterRule]] = (
    CounterRule("pstn_calls_ended_total", ("call.ended",), by=("blame", "reason")),
    CounterRule("pstn_joins_failed_total", ("join.failed", "participant.refused"), by=("reason",)),
    CounterRule("pstn_effects_total", ("effect.done",), by=("effect",), where=(("result", ("done",)),)),
    CounterRule("pstn_effects_total", ("effect.retried",), by=("effect",), where=(("result", ("retried",)),)),
    CounterRule(
        "pstn_effects_total", ("effect.dead_lettered",), by=("effect",), where=(("result", ("dead",)),)
    ),
    CounterRule("pstn_effects_total", ("effect.not_known",), where=(("result", ("not-known",)),)),
    CounterRule("pstn_reconciler_finds_total", ("call.found_ended",), where=(("find", ("call-ended",)),)),
    CounterRule("pstn_reconciler_finds_total", ("owed.forgotten",), where=(("find", ("forgotten",)),)),
    CounterRule(
        "pstn_reconciler_finds_total", ("session.vanished",), where=(("find", ("session-vanished",)),)
    ),
    CounterRule(
        "pstn_reconciler_finds_total",
        # The second is the word of release 0.1.0.
        ("participant.orphan_removed", "stranger.removed"),
        where=(("find", ("stranger-removed",)),),
    ),
    CounterRule(
        "pstn_reconciler_finds_total", ("participant.put_back",), where=(("find", ("taken-missing",)),)
    ),
    CounterRule(
        "pstn_creates_in_doubt_total", ("create.in_doubt",), by=("operation",), unless=("error", "cut-off")
    ),
    CounterRule("pstn_transfers_unanswered_total", ("transfer.unanswered",)),
    CounterRule("pstn_token_failures_total", ("token.refresh_failed",)),
    CounterRule("pstn_webhooks_total", ("webhook.refused",), where=(("result", ("refused",)),)),
)
"""Those that are counted and told in one step, and so always the same."""
REQUESTS: Final = CounterRule(
    "pstn_bandwidth_requests_total",
    ("request.sent",),
    by=("operation", "status"),
    values=(_operation, _status),
)
"""Without those that were not sent, of which no line tells."""
ANSWERED: Final = ("answered", "repeated", "degraded", "deferred", "dropped", "failed", "aside")
"""Results of a webhook that was read."""
WITHOUT_THE_CALL: Final = ("degraded", "deferred", "dropped")
"""Results of one that was answered without knowing its call."""
STATES: Final = ("dialing", "initiated", "joining", "transferring", "bridged", "detached")
"""Of live calls (docs/metrics.md)."""
OTHERS: Final = frozenset({"unknown", "participant"})
"""Values of `event` that are not Bandwidth's own words."""


def check(evidence: "Evidence") -> Iterator[Finding]:
    yield from _live_calls(evidence)
    lines: dict[str, list[Json]] = {name: [] for name in evidence.metrics}
    for line in evidence.logs:
        if line.process in lines and line.ends <= evidence.scraped[line.process].log_bytes:
            lines[line.process].append(line.fields)
    sent = _sent(evidence)
    for process, text in evidence.metrics.items():
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        for what in (*differences(samples, lines[process]), *_webhooks(samples, sent.get(process, []))):
            yield Finding(what=f"{process}: {what}")


def _live_calls(evidence: "Evidence") -> Iterator[Finding]:
    """For each process the first page that does not fit what the store had before and afterwards."""
    wrong: set[str] = set()
    troubled = evidence.troubles.of_store
    for one in evidence.live_call_counts:
        if one.process in wrong or any(it.begun <= one.over and one.begun <= it.over for it in troubled):
            continue
        for state in sorted({*STATES, *one.shown}):
            least, shown = one.certain.get(state, 0), one.shown.get(state)
            if shown is None or not least <= shown <= least + one.moving:
                wrong.add(one.process)
                what = f"{one.process}: pstn_calls says {shown} {state}; the store had {least}"
                yield Finding(what=f"{what}, and {one.moving} calls changed", at=one.over)


def differences(samples: Sequence[Sample], lines: Sequence["Json"]) -> Iterator[str]:
    """Between what one process counts and what it has logged."""
    by_event: dict[str, list[Json]] = {}
    for line in lines:
        by_event.setdefault(str(line.get("event")), []).append(line)
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    heard = {one.labels["event"] for one in by_name.get("pstn_webhooks_total", ())} - OTHERS
    for pair in (*PAIRS, REQUESTS):
        yield from _compared(pair, by_name, by_event, lambda _labels: True)
    # Kinds of webhooks that the release does not know are counted as one, and logged by their names.
    for event, results in (("webhook.answered", ANSWERED), ("webhook.degraded", WITHOUT_THE_CALL)):
        pair = CounterRule(
            "pstn_webhooks_total",
            (event,),
            ("event",),
            (("result", results),),
            (lambda line: str(line["event_type"]),),
        )
        yield from _compared(pair, by_name, by_event, lambda labels: labels[0] in heard)
    yield from _breakers(by_name, by_event)
    yield from _gauge("pstn_paused", "service.paused", "service.resumed", by_name, lines)
    yield from _gauge("pstn_standby", "replica.aside", "replica.back", by_name, lines)


def _compared(
    pair: CounterRule,
    samples: dict[str, list[Sample]],
    lines: dict[str, list["Json"]],
    is_meant: Callable[[Labels], bool],
) -> Iterator[str]:
    counted: Counter[Labels] = Counter()
    for one in samples.get(pair.counter, ()):
        if one.labels.get("status") != "paused" and all(
            one.labels[name] in values for name, values in pair.where
        ):
            counted[tuple(one.labels[name] for name in pair.by)] += round(one.value)
    told: Counter[Labels] = Counter()
    for line in (line for event in pair.events for line in lines.get(event, ())):
        if line.get(pair.unless[0]) != pair.unless[1] or not pair.unless[0]:
            told[
                tuple(value(line) for value in pair.values) or tuple(str(line.get(by)) for by in pair.by)
            ] += 1
    for labels in sorted(counted.keys() | told.keys()):
        if counted[labels] != told[labels] and is_meant(labels):
            yield (
                f"{pair.counter}{dict(zip(pair.by, labels, strict=True))} {dict(pair.where)} is "
                f"{counted[labels]}, and {' and '.join(pair.events)} was logged {told[labels]} times"
            )


def _breakers(samples: dict[str, list[Sample]], lines: dict[str, list["Json"]]) -> Iterator[str]:
    """Open exactly where the last that was told of it is that it opened: they open and close in turns."""
    opened = Counter((one["api"], one["kind"]) for one in lines.get("breaker.opened", ()))
    closed = Counter((one["api"], one["kind"]) for one in lines.get("breaker.closed", ()))
    gauges = {
        (one.labels["api"], one.labels["kind"]): one.value for one in samples.get("pstn_breaker_open", ())
    }
    for breaker in BREAKERS:
        if gauges.get(breaker) != opened[breaker] - closed[breaker]:
            yield (
                f"the breaker {breaker} is {gauges.get(breaker)}; it was told {opened[breaker]} times "
                f"that it opened and {closed[breaker]} times that it closed"
            )


def _gauge(
    name: str, on: str, off: str, samples: dict[str, list[Sample]], lines: Iterable["Json"]
) -> Iterator[str]:
    """1 exactly where the last that was told of it is `on`."""
    last = [str(line.get("event")) for line in lines if line.get("event") in {on, off}][-1:]
    value = sum(one.value for one in samples.get(name, ()))
    if value != (last == [on]):
        yield f"{name} is {value:g}, and what was told of it last is {last}"


class _SentWebhook(msgspec.Struct, frozen=True):
    event: str
    answered: bool
    """Before the metrics were read."""


def _sent(evidence: "Evidence") -> dict[str, list[_SentWebhook]]:
    """Webhooks that were sent to each process from its start until its metrics were read."""
    running = {
        one.name: one
        for one in evidence.fleet.addresses
        if one.logs and one.logs[-1].name in evidence.metrics
    }
    found: dict[str, list[_SentWebhook]] = {}
    for one in evidence.simulator.deliveries:
        address = _address(running, one.url)
        if address is None or one.sent_at < address.started_at or one.error == DROPPED:
            continue
        scraped = evidence.scraped[address.logs[-1].name]
        if one.sent_at < scraped.over:
            answered = one.status is not None and one.sent_at + one.ms / 1000 < scraped.begun
            found.setdefault(address.logs[-1].name, []).append(_SentWebhook(one.event_type, answered))
    return found


def _address(running: dict[str, "ReplicaAddress"], url: str) -> "ReplicaAddress | None":
    return running.get(url.removeprefix("https://").partition(".")[0])


def _webhooks(samples: Sequence[Sample], sent: Sequence[_SentWebhook]) -> Iterator[str]:
    """Each that was answered was counted, and no more than were sent: some may not have arrived."""
    counted: Counter[str] = Counter()
    for one in samples:
        if one.name == "pstn_webhooks_total":
            counted[one.labels["event"]] += round(one.value)
    names = counted.keys() - OTHERS
    answered, all_ = Counter(one.event for one in sent if one.answered), Counter(one.event for one in sent)
    for event in sorted(names | answered.keys()):
        if event in names and not answered[event] <= counted[event] <= all_[event]:
            yield (
                f"{counted[event]} webhooks {event} are counted; {all_[event]} were sent, "
                f"and {answered[event]} answered"
            )
    others = sum(count for event, count in counted.items() if event in OTHERS)
    answers = sum(count for event, count in answered.items() if event not in names)
    if answers > others:
        yield f"{answers} webhooks of other kinds were answered, and {others} are counted"
