"""Limits how often each API key, each visit and all wrong keys together may make requests of this replica."""

from collections import OrderedDict
from typing import Final

import structlog

from handlers.http.problems import Problem
from service.clock import Clock
from service.metrics import Metrics
from service.token_bucket import Bucket, RateLimit, TakeResult, take

PROBLEM_KIND: Final = "too-many-requests"
"""The kind of problem of a request beyond a limit."""
VISIT_LIMIT: Final = RateLimit(per_minute=60, burst=30)
"""Requests of one visit. A page sends six heartbeats a minute, and reconnects once a second while its
connection is bad."""
WRONG_KEY_LIMIT: Final = RateLimit(per_minute=60, burst=30)
"""Wrong keys of all clients together: addresses say nothing behind a proxy, and a guesser has many. It keeps
nobody from trying, since right keys pass: it is there for the log."""
MAX_BUCKETS: Final = 10_000
"""Buckets of visits; some 2 MB. Keys are 256 at most (service/api_keys.py)."""

log = structlog.get_logger()


class Buckets:
    """Token buckets by name. Beyond `max_buckets` the one that was idle for longest begins anew, full."""

    def __init__(self, limit: RateLimit, max_buckets: int) -> None:
        self._limit = limit
        self._max_buckets = max_buckets
        self._by_name: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_name)

    def take(self, name: str, now: float) -> TakeResult:
        """Count a request, if it is within the limit. `now`: monotonic seconds. Raises nothing."""
        taken = take(self._by_name.get(name, Bucket()), self._limit, now)
        self._by_name[name] = taken.bucket
        self._by_name.move_to_end(name)
        if len(self._by_name) > self._max_buckets:
            self._by_name.popitem(last=False)
        return taken


class RateLimits:
    """`per_minute`: requests that one key may make, a tenth of them at once; 0 for as many as it likes."""

    def __init__(self, per_minute: int, clock: Clock, metrics: Metrics) -> None:
        self._is_off = not per_minute
        self._clock = clock
        self._metrics = metrics
        self._keys = Buckets(RateLimit(per_minute or 1, max(1, per_minute // 10)), MAX_BUCKETS)
        self.visits = Buckets(VISIT_LIMIT, MAX_BUCKETS)
        self._wrong = Buckets(WRONG_KEY_LIMIT, 1)

    def check_key(self, name: str) -> None:
        """Count a request with this key. Raises Problem `too-many-requests`."""
        self._count(self._keys, name, "key-limit", name, "this key has asked too often; see API_RATE_LIMIT")

    def check_visit(self, visit: str, issued_by: str) -> None:
        """Count a request of a page, or with a link (by its invitation's id, as it is no visit yet).

        It takes nothing from the limit of the key behind the invitation. Raises Problem `too-many-requests`.
        """
        self._count(self.visits, visit, "visit-limit", issued_by, "this page has asked too often")

    def check_wrong_key(self) -> None:
        """Count a request without a key of ours. Raises Problem `too-many-requests`."""
        self._count(self._wrong, "", "guess-limit", "", "too many wrong keys have been tried")

    def _count(self, buckets: Buckets, name: str, reason: str, key_name: str, detail: str) -> None:
        if self._is_off:
            return
        taken = buckets.take(name, self._clock.monotonic())
        if not taken.wait_seconds:
            return
        self._metrics.api_refused(reason)
        if taken.is_first_refusal:
            log.warning("api.limited", reason=reason, key_name=key_name, wait_s=round(taken.wait_seconds, 1))
        raise Problem(PROBLEM_KIND, detail, retry_after=taken.wait_seconds)
