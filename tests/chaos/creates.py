"""Decides which creates a killed replica can have lost. Only the order of events counts.

The simulator, the kills and the webhooks have one clock in one event loop, so their times are an order. A
replica can have written down what it made once these have happened, one after the other:

1. the create was answered;
2. what was under way when it was asked for has ended: webhooks, and creates that are waited for together;
3. a webhook that was sent afterwards was answered, so the replica has read what lay in its sockets by then;
4. one that was sent after that was answered, so a write that began meanwhile has been to the store and back.

A replica that was killed before that may have lost the id. One that was killed later, or never, forgot it.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import TypeVar

from tests.chaos.fleet import Downtime, Kill
from tests.chaos.operations import CREATES
from tests.chaos.times import NEVER
from tests.simulator.journal import Delivery, Request

AGAIN = 1.0
"""Seconds, the longest after which the service repeats a write that the store did not take."""
TURNED_AWAY = (b"again=", b"cannot be connected right now")
"""What only a degraded reply has in it, or an apology."""

T = TypeVar("T")
_ASKED: Callable[[Request], float] = attrgetter("at")
_SENT: Callable[[Delivery], float] = attrgetter("sent_at")


def killed_before_written(
    requests: Iterable[Request],
    webhooks: Mapping[str, Iterable[Delivery]],
    kills: Iterable[Kill],
    outages: Sequence[Downtime],
) -> list[Request]:
    """Also those that made nothing. `webhooks`: by host, as `Kill.host`, what was sent to that replica."""
    sent = {host: sorted(all_, key=_SENT) for host, all_ in webhooks.items()}
    creates: dict[str, list[Request]] = defaultdict(list)
    for one in sorted(requests, key=_ASKED):
        if one.operation in CREATES:
            creates[one.host].append(one)
    found: list[Request] = []
    for kill in kills:
        mine = _between(creates[kill.host], _ASKED, kill.begun, kill.reaped_at)
        killed = _Killed(kill, mine, _between(sent.get(kill.host, []), _SENT, kill.begun, kill.at), outages)
        found += [one for one in mine if kill.at <= killed.written(one)]
    return found


class _Killed:
    """One process of a replica, from its start to its kill."""

    def __init__(
        self, kill: Kill, creates: list[Request], webhooks: list[Delivery], outages: Sequence[Downtime]
    ) -> None:
        self._webhooks = _Spans([(one.sent_at, _ended(one, kill)) for one in webhooks])
        self._creates = _Spans([(one.at, _answered(one)) for one in creates])
        self._served = _Spans([(one.sent_at, _ended(one, kill)) for one in webhooks if _served(one)])
        self._outages = outages

    def written(self, create: Request) -> float:
        """When at the latest it is in the store what was made, and never if nothing shows that."""
        answered = _answered(create)
        since = max(answered, self._webhooks.latest(create.at), self._creates.latest(answered))
        while True:
            until = self._served.earliest(self._served.earliest(since))
            # What the store does not take is written again once it is back.
            away = bisect_right(self._outages, until, key=lambda one: one.begun) - 1
            over = self._outages[away].over if away >= 0 else 0.0
            if over < create.at or over + AGAIN <= since:
                return until
            since = over + AGAIN


class _Spans:
    """Sorted by when they began."""

    def __init__(self, spans: list[tuple[float, float]]) -> None:
        ends = [end for _, end in spans]
        self._begun = [begun for begun, _ in spans]
        self._longest = [*accumulate(ends, max)]
        self._shortest = [*accumulate(reversed(ends), min)][::-1]

    def latest(self, by: float) -> float:
        """The last end of those that had begun by then."""
        count = bisect_right(self._begun, by)
        return self._longest[count - 1] if count else 0.0

    def earliest(self, after: float) -> float:
        """The first end of those that began later."""
        first = bisect_right(self._begun, after)
        return self._shortest[first] if first < len(self._begun) else NEVER


def _between(ones: list[T], key: Callable[[T], float], begun: float, over: float) -> list[T]:
    return ones[bisect_left(ones, begun, key=key) : bisect_left(ones, over, key=key)]


def _answered(create: Request) -> float:
    return create.at + create.ms / 1000


def _ended(webhook: Delivery, kill: Kill) -> float:
    """Never where the kill has cut it off."""
    end = webhook.sent_at + webhook.ms / 1000
    return NEVER if webhook.status is None and end >= kill.at else end


def _served(webhook: Delivery) -> bool:
    """Answered with the store at hand."""
    return (
        webhook.synchronous
        and webhook.status == 200
        and not any(sign in webhook.reply for sign in TURNED_AWAY)
    )
