"""Counts and measures for Prometheus; docs/metrics.md says what each metric is good for.

Each application has its own, handed to its parts like a clock. Labels come from lists in our own code: no
call, room, number or key is ever one, and what the outside names is `unknown` unless we know it.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.core import GaugeHistogramMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics

from service import __version__
from service.calls.outcomes import FAILURES
from service.clock import Clock, SystemClock
from service.series import Counters, Histograms

UNKNOWN: Final = "unknown"
RECONCILER_FINDS: Final = (
    *("call-ended", "call-found", "forgotten", "session-vanished", "stranger-removed", "taken-missing"),
)
PREPARED_RESULTS: Final = ("made", "taken", "replaced", "failed")
REFUSALS: Final = ("unauthorized", "forbidden", "key-limit", "visit-limit", "guess-limit")
_KINDS: Final = ("creates", "clean-up", "questions")
BREAKERS: Final = (*((api, kind) for api in ("voice", "webrtc") for kind in _KINDS), ("token", "tokens"))
_TROUBLE: Final = ("refused", "unavailable")
_INTERCONNECTS: Final = ("transfer", "bridge")
_INTERCONNECTS_OR_NONE: Final = (*_INTERCONNECTS, "none")
_OPENMETRICS: Final = "application/openmetrics-text"

_MISADDRESSED = "wrong-address"
# Seconds. A webhook is answered within 8, and Bandwidth gives up after 15.
_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 3.0)
_REQUEST: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 60.0)
_WEBHOOK: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
_SILENCE: Final = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 15.0)
_TRANSFER: Final = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 45.0)
_MEMBERS: Final = (1, 2, 3, 5, 10, 15, 19, 20)
"""People; a session takes 20."""


class StoreGauges(NamedTuple):
    """What the store holds, for all replicas together."""

    calls: Mapping[str, int]
    """Live calls by their status."""
    late_transfers: int
    """Calls whose leg into the room has not answered for long."""
    owners_by_due: Mapping[str, int]
    """Calls and rooms that owe work, by when somebody has to look: `now`, `soon` (in a minute) or `later`."""
    oldest_owed_seconds: float
    """Seconds for which the oldest work that should be done has been owed."""
    dead_letters: int
    rooms: int
    room_members: tuple[int, ...]
    """Of each room, or of some where there are very many."""


class Metrics:
    """All metrics of one application, in one registry."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock or SystemClock()
        self._gauges: StoreGauges | None = None
        self._define_edge()
        self._define_bandwidth()
        self._define_work()
        self._define_store()
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    def _define_edge(self) -> None:
        r = self.registry
        Gauge("pstn_build_info", "1, with the version", ["version"], registry=r).labels(__version__).set(1)
        self._paused = Gauge("pstn_paused", "1 while no new calls are taken", registry=r)
        self._tasks = Gauge("pstn_tasks", "Tasks of the event loop", registry=r)
        self._standby = Gauge("pstn_standby", "1 while it stands aside, cut off from Bandwidth", registry=r)
        self._api_refused = Counters(r, "pstn_api_refused", "Requests of operators and pages", ["reason"])
        for reason in REFUSALS:
            self._api_refused.add((reason,), 0)
        self._webhooks = Counters(r, "pstn_webhooks", "Webhooks answered", ["event", "result"])
        self._webhooks.add((UNKNOWN, "refused"), 0)
        self._webhooks.add((UNKNOWN, _MISADDRESSED), 0)
        self._pins_wrong = Counters(r, "pstn_pins_wrong", "PINs that opened no room", ["suspicious"])
        self._pins_wrong.add(("yes",), 0)
        self._webhook_seconds = Histograms(
            r, "pstn_webhook_seconds", "From webhook to answer", ["event"], _WEBHOOK
        )
        self._dead_air = Histograms(
            r, "pstn_dead_air_seconds", "From webhook to what ends silence", ["way"], _SILENCE
        )
        for way in _INTERCONNECTS_OR_NONE:
            self._dead_air.prepare((way,))
        self._transfer_seconds = Histograms(
            r, "pstn_transfer_seconds", "From BXML to the leg's answer", ["way"], _TRANSFER
        )
        self._unanswered = Counters(r, "pstn_transfers_unanswered", "Legs that did not answer", ["way"])
        for way in _INTERCONNECTS:
            self._transfer_seconds.prepare((way,))
            self._unanswered.add((way,), 0)
        self._ended = Counters(r, "pstn_calls_ended", "Calls that ended", ["blame", "reason", "direction"])
        self._joins_failed = Counters(
            r, "pstn_joins_failed", "Members who did not get into a room", ["reason"]
        )
        for reason in FAILURES:
            self._joins_failed.add((reason,), 0)

    def _define_bandwidth(self) -> None:
        r = self.registry
        self._requests = Counters(
            r, "pstn_bandwidth_requests", "Requests to Bandwidth", ["api", "operation", "status"]
        )
        self._request_seconds = Histograms(
            r, "pstn_bandwidth_seconds", "Until it answered", ["api", "operation"], _REQUEST
        )
        self._retries = Counters(r, "pstn_bandwidth_retries", "Requests that repeated another", ["operation"])
        self._in_doubt = Counters(
            r, "pstn_creates_in_doubt", "Creates that failed and may have made something", ["operation"]
        )
        self._unreadable = Counters(
            r, "pstn_answers_unreadable", "Answers of Bandwidth that could not be used", ["operation"]
        )
        self._breaker = Gauge("pstn_breaker_open", "1 while it is left alone", ["api", "kind"], registry=r)
        for labels in BREAKERS:
            self._breaker.labels(*labels)
        self._token_age = Gauge("pstn_token_age_seconds", "Since a token was obtained", registry=r)
        self._token_age.set(math.nan)
        self._token_failing = Gauge(
            "pstn_token_failing", "1 since the last token request failed", ["reason"], registry=r
        )
        self._token_failures = Counters(r, "pstn_token_failures", "Token requests that failed", ["reason"])
        for reason in _TROUBLE:
            self._token_failing.labels(reason)
            self._token_failures.add((reason,), 0)

    def _define_work(self) -> None:
        r = self.registry
        self._effects = Counters(r, "pstn_effects", "Owed work that was tried", ["effect", "result"])
        self._prepared = Counters(r, "pstn_prepared", "Prepared participants", ["result"])
        # The name of before, until release 0.3.0.
        self._stock = Counters(r, "pstn_stock", "Deprecated: pstn_prepared_total has the same", ["result"])
        for result in PREPARED_RESULTS:
            self._count_prepared(result, 0)
        self._finds = Counters(r, "pstn_reconciler_finds", "What nobody had told us", ["find"])
        for find in RECONCILER_FINDS:
            self._finds.add((find,), 0)

    def _count_prepared(self, result: str, by: float) -> None:
        for counters in (self._prepared, self._stock):
            counters.add((result,), by)

    def _define_store(self) -> None:
        r = self.registry
        self._store_seconds = Histograms(
            r, "pstn_store_seconds", "Until the store answered", ["script"], _FAST
        )
        self._store_errors = Counters(r, "pstn_store_errors", "Trips that failed", ["kind"])
        for kind in ("timeout", "connection", "answer"):
            self._store_errors.add((kind,), 0)
        self._clock_off = Gauge(
            "pstn_clock_off_seconds", "By which this machine's clock is ahead of all replicas'", registry=r
        )
        self._store_losses = Counters(r, "pstn_store_losses", "Looks at which state was lost", [])
        self._store_losses.add((), 0)
        self._evicted = Gauge("pstn_store_evicted_keys", "Keys that the store has evicted", registry=r)

    # What happens ------------------------------------------------------------------------------------------

    def webhook(self, event: str, result: str, seconds: float) -> None:
        """`result`: answered, repeated, degraded, deferred, dropped, refused or failed."""
        self._webhooks.add((event, result))
        self._webhook_seconds.observe((event,), seconds)

    def webhook_misaddressed(self) -> None:
        """One may have been sent to an address that is none of ours."""
        self._webhooks.add((UNKNOWN, _MISADDRESSED))

    def pin_wrong(self, *, suspicious: bool) -> None:
        """`suspicious`: there were so many on this number within an hour that somebody may be guessing."""
        self._pins_wrong.add(("yes" if suspicious else "no",))

    def api_refused(self, reason: str) -> None:
        """`reason`: one of REFUSALS."""
        self._api_refused.add((reason,))

    def paused(self, *, is_paused: bool) -> None:
        self._paused.set(is_paused)

    def standby(self, *, is_on_standby: bool) -> None:
        self._standby.set(is_on_standby)

    def dead_air(self, interconnect: str, seconds: float) -> None:
        """A phone has been silent from its webhook to the BXML; `interconnect`: transfer, bridge, or none."""
        self._dead_air.observe((interconnect,), seconds)

    def transfer_answered(self, interconnect: str, seconds: float) -> None:
        """The leg into the room has; `interconnect`: transfer or bridge."""
        self._transfer_seconds.observe((interconnect,), max(seconds, 0.0))

    def transfer_unanswered(self, interconnect: str) -> None:
        """It did not, in time or at all, as far as anybody has told us."""
        self._unanswered.add((interconnect,))

    def call_ended(self, blame: str, reason: str, direction: str) -> None:
        self._ended.add((blame, reason, direction))

    def join_failed(self, reason: str) -> None:
        """`reason`: one of `service.calls.outcomes.FAILURES`."""
        self._joins_failed.add((reason,))

    def request(self, api: str, operation: str, status: str, seconds: float, *, retries: int) -> None:
        """`status`: of HTTP, or our word for what came instead. `retries`: how many requests were repeats."""
        self._requests.add((api, operation, status))
        self._request_seconds.observe((api, operation), seconds)
        if retries:
            self._retries.add((operation,), retries)

    def request_paused(self, api: str, operation: str) -> None:
        """It was not sent, as the API is left alone."""
        self._requests.add((api, operation, "paused"))

    def breaker(self, api: str, kind: str, *, is_open: bool) -> None:
        self._breaker.labels(api, kind).set(is_open)

    def token_obtained(self) -> None:
        obtained = self._clock.monotonic()
        self._token_age.set_function(lambda: self._clock.monotonic() - obtained)
        for reason in _TROUBLE:
            self._token_failing.labels(reason).set(0)

    def token_failed(self, *, refused: bool) -> None:
        """`refused`: our credentials are, rather than that nobody could say."""
        for reason, is_it in zip(_TROUBLE, (refused, not refused), strict=True):
            self._token_failing.labels(reason).set(is_it)
            self._token_failures.add((reason,), is_it)

    def effect(self, effect: str, result: str) -> None:
        """`result`: done, waits, retried, failed, paused, dead or not-known."""
        self._effects.add((effect, result))

    def in_doubt(self, operation: str) -> None:
        """A create that failed; what it may have made all the same has an id that nobody knows."""
        self._in_doubt.add((operation,))

    def unreadable(self, operation: str) -> None:
        """An answer that is not what the operation answers."""
        self._unreadable.add((operation,))

    def prepared(self, result: str) -> None:
        """`result`: one of PREPARED_RESULTS."""
        self._count_prepared(result, 1)

    def reconciler_find(self, find: str) -> None:
        """`find`: one of RECONCILER_FINDS."""
        self._finds.add((find,))

    def store_trip(self, script: str, seconds: float) -> None:
        self._store_seconds.observe((script,), seconds)

    def store_failed(self, kind: str) -> None:
        """`kind`: timeout, connection, or answer: an error that the store has answered with."""
        self._store_errors.add((kind,))

    def tasks(self, tasks: int) -> None:
        """Tasks of the event loop, those of requests included."""
        self._tasks.set(tasks)

    def clock_off(self, seconds: float) -> None:
        """`seconds`: by which the machine's own clock is ahead of the time that all replicas share."""
        self._clock_off.set(seconds)

    def store_lost(self) -> None:
        """Something that it had held is not there any more."""
        self._store_losses.add(())

    def evicted(self, keys: int) -> None:
        """By all masters, since each began."""
        self._evicted.set(keys)

    # What is asked -----------------------------------------------------------------------------------------

    def render(self, accept: str, gauges: StoreGauges | None) -> tuple[bytes, str]:
        """The page, and its content type. `gauges`: None while the store is away."""
        self._gauges = gauges
        if _OPENMETRICS in accept:
            encode: Callable[[CollectorRegistry], bytes] = openmetrics.generate_latest
            return encode(self.registry), openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering asks nobody anything (prometheus-client's custom collectors)."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """What was surveyed: not there rather than out of date while the store is away."""
        survey = self._gauges
        yield GaugeMetricFamily("pstn_store_up", "1 while the store answers", value=float(survey is not None))
        if survey is None:
            return
        yield _by("pstn_calls", "Live calls", "state", survey.calls)
        yield GaugeMetricFamily("pstn_transfers_late", "Legs that do not answer", value=survey.late_transfers)
        yield _by("pstn_owed", "Calls and rooms that owe work", "due", survey.owners_by_due)
        yield GaugeMetricFamily(
            "pstn_owed_oldest_seconds", "Owed for so long", value=survey.oldest_owed_seconds
        )
        yield GaugeMetricFamily("pstn_dead_letters", "Laid aside", value=survey.dead_letters)
        yield GaugeMetricFamily("pstn_rooms", "Rooms with somebody in them", value=survey.rooms)
        yield _members(survey.room_members)


def _by(name: str, what: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _members(sizes: tuple[int, ...]) -> Metric:
    limits = [(f"{limit:.1f}", sum(size <= limit for size in sizes)) for limit in _MEMBERS]
    buckets = [*limits, ("+Inf", len(sizes))]
    return GaugeHistogramMetricFamily(
        "pstn_room_members", "Rooms by size", buckets=buckets, gsum_value=sum(sizes)
    )
