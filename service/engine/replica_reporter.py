"""Reports the state of this replica to the store, never on the way of a call."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from service import __version__
from service.bandwidth.api_client import ApiCredentials
from service.bandwidth.circuit import Circuit
from service.clock import Clock
from service.engine.standby import Standby
from service.store.clock import MACHINE_LIMIT
from service.store.errors import StoreError
from service.store.replicas import PEERS, ReplicaReport, Replicas
from service.tasks import repeat

REPORT_INTERVAL: Final = 5.0
_CHECK_INTERVAL: Final = 1.0
"""Seconds in which a breaker that opens, or being told to end, is written down."""
_RECENT: Final = 900.0


class WebhookCounts:
    """What has become of the webhooks that came here. No more than counted, as it is on the way of calls."""

    def __init__(self) -> None:
        self.accepted = 0
        self.refused = 0
        self.refused_at = 0.0
        self.misaddressed = 0
        self.misaddressed_at = 0.0
        self._peers: dict[str, tuple[int, float]] = {}

    def count_accepted(self) -> None:
        self.accepted += 1

    def count_refused(self, peer: str, now: float) -> None:
        """`peer`: the address that it came from."""
        self.refused += 1
        self.refused_at = now
        count, _ = self._peers.pop(peer, (0, 0.0))
        self._peers[peer] = (count + 1, now)
        if len(self._peers) > PEERS:
            del self._peers[next(iter(self._peers))]

    def count_misaddressed(self, now: float) -> None:
        """What may be a webhook came to no address of ours."""
        self.misaddressed += 1
        self.misaddressed_at = now

    def refused_by(self, now: float) -> dict[str, int]:
        """The latest addresses, with how often; only those of a while ago."""
        return {peer: count for peer, (count, at) in self._peers.items() if now - at < _RECENT}


class ReplicaReporter:
    def __init__(
        self,
        *,
        id_: str,
        host: str,
        replicas: Replicas,
        webhook_counts: WebhookCounts,
        circuits: Sequence[Circuit],
        credentials: Sequence[ApiCredentials],
        draining: Callable[[], bool],
        standby: Standby,
        clock: Clock,
        clock_off: Callable[[], float],
    ) -> None:
        self._id = id_
        self._host = host
        self._replicas = replicas
        self._webhook_counts = webhook_counts
        self._circuits = circuits
        self._credentials = credentials
        self._draining = draining
        self._standby = standby
        self._clock = clock
        self._clock_off = clock_off
        self._started = clock.now()
        self._written: ReplicaReport | None = None
        self._written_at = 0.0
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`; then it is forgotten."""
        await repeat("report", self.write_if_due, every=_CHECK_INTERVAL, stop=self._stopped)
        with suppress(StoreError):
            await self._replicas.drop(self._id)

    def stop(self) -> None:
        self._stopped.set()

    async def write_if_due(self) -> None:
        """Writes what there is to be said when it is time, or when it matters at once."""
        report, before, now = self.report(), self._written, self._clock.monotonic()
        if before and now - self._written_at < REPORT_INTERVAL and _state(report) == _state(before):
            return
        with suppress(StoreError):
            await self._replicas.write(report)
            self._written, self._written_at = report, now

    def report(self) -> ReplicaReport:
        now = self._clock.now()
        ages = [age for one in self._credentials if (age := one.age) is not None]
        succeeded: dict[str, float] = {}
        for one in self._circuits:
            succeeded[one.api] = max(succeeded.get(one.api, 0.0), one.succeeded_at)
        return ReplicaReport(
            id=self._id,
            at=round(now, 3),
            host=self._host,
            version=__version__,
            started=round(self._started, 3),
            open_breakers=tuple(f"{one.api}/{one.kind}" for one in self._circuits if one.open),
            has_token=all(one.obtained for one in self._credentials),
            token_age=round(max(ages), 1) if ages else None,
            succeeded={api: round(at, 3) for api, at in succeeded.items() if at},
            webhooks=self._webhook_counts.accepted,
            refused=self._webhook_counts.refused,
            refused_at=round(self._webhook_counts.refused_at, 3),
            refused_by=self._webhook_counts.refused_by(now),
            misaddressed=self._webhook_counts.misaddressed,
            misaddressed_at=round(self._webhook_counts.misaddressed_at, 3),
            draining=self._draining(),
            unreachable_apis=self._standby.unreached,
            on_standby=self._standby.is_aside,
            clock_offset=round(off, 1) if abs(off := self._clock_off()) > MACHINE_LIMIT else 0,
        )


def _state(report: ReplicaReport) -> tuple[object, ...]:
    """What nobody should have to wait for."""
    return report.open_breakers, report.has_token, report.draining, report.unreachable_apis, report.on_standby
