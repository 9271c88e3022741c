"""How often each API key, each visit and all wrong keys together may ask; counted by this replica alone."""

from collections import OrderedDict
from typing import Final

import structlog

from handlers.http.problems import Problem
from service.clock import Clock
from service.metrics import Metrics
from service.token_bucket import Allowance, Bucket, Taken, take

PROBLEM: Final = "too-many-requests"
VISIT: Final = Allowance(per_minute=60, burst=30)
"""A page beats six times a minute, and tries to come back once a second while its connection is bad."""
WRONG_KEYS: Final = Allowance(per_minute=60, burst=30)
"""Of everybody together: addresses say nothing behind a proxy, and a guesser has many. It keeps nobody from
trying, since right keys pass: it is there for the log."""
REMEMBERED: Final = 10_000
"""Buckets of visits; some 2 MB. Keys are 256 at most (service/api_keys.py)."""

log = structlog.get_logger()


class Buckets:
    """One for each name; beyond `most` whoever has not asked for longest begins anew with a full one."""

    def __init__(self, allowance: Allowance, most: int) -> None:
        self._allowance = allowance
        self._most = most
        self._by_name: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_name)

    def take(self, name: str, now: float) -> Taken:
        taken = take(self._by_name.get(name, Bucket()), self._allowance, now)
        self._by_name[name] = taken.bucket
        self._by_name.move_to_end(name)
        if len(self._by_name) > self._most:
            self._by_name.popitem(last=False)
        return taken


class Limits:
    """`per_minute`: requests that one key may make, a tenth of them at once; 0 for as many as it likes."""

    def __init__(self, per_minute: int, clock: Clock, metrics: Metrics) -> None:
        self._off = not per_minute
        self._clock = clock
        self._metrics = metrics
        self._keys = Buckets(Allowance(per_minute or 1, max(1, per_minute // 10)), REMEMBERED)
        self.visits = Buckets(VISIT, REMEMBERED)
        self._wrong = Buckets(WRONG_KEYS, 1)

    def key(self, name: str) -> None:
        """A request with this key. Raises Problem, as all of these do."""
        self._count(self._keys, name, "key-limit", name, "this key has asked too often; see API_RATE_LIMIT")

    def visit(self, visit: str, issued_by: str) -> None:
        """A request of a page, or with a link (by its invitation's id, as it is no visit yet).

        It takes nothing from what the key behind the invitation may do.
        """
        self._count(self.visits, visit, "visit-limit", issued_by, "this page has asked too often")

    def wrong_key(self) -> None:
        """A request without a key of ours; whoever has one is not asked to pay for it."""
        self._count(self._wrong, "", "guess-limit", "", "too many wrong keys have been tried")

    def _count(self, buckets: Buckets, name: str, reason: str, key_name: str, detail: str) -> None:
        if self._off:
            return
        taken = buckets.take(name, self._clock.monotonic())
        if not taken.wait:
            return
        self._metrics.api_refused(reason)
        if taken.begins:
            log.warning("api.limited", reason=reason, key_name=key_name, wait_s=round(taken.wait, 1))
        raise Problem(PROBLEM, detail, retry_after=taken.wait)
