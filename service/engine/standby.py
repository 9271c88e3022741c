"""Stands aside where this replica alone cannot reach Bandwidth, and leaves its work to others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import structlog

from service.bandwidth.api_client import ApiCredentials
from service.bandwidth.circuit import Circuit
from service.bandwidth.errors import BandwidthError
from service.clock import Clock
from service.metrics import Metrics
from service.store.errors import StoreError
from service.store.replicas import Replicas
from service.store.standby import LEASE, StandbyLeases
from service.tasks import repeat

UNREACHED_AFTER: Final = 8.0
"""Seconds after a request that found no way, in which none is answered, until an API counts as unreached.

With less, what is over in a moment had joins sent to a replica that was in trouble too.
"""
PROBE_TIMEOUT: Final = 2.0
"""Seconds for which the answer to a question is waited for; it says no more than that somebody is there."""
_CHECK_INTERVAL: Final = 1.0
_OTHERS_INTERVAL: Final = 5.0
"""Seconds in which another's being in need is noticed."""
_SUCCESS_TTL: Final = 2.0
"""Seconds for which a success need not be renewed for the sake of another: reports are five seconds apart."""
_MAX_REDIRECTED: Final = 1000
"""Webhooks that were sent elsewhere."""

log = structlog.get_logger()


class MonitoredApi(NamedTuple):
    name: str
    circuits: Sequence[Circuit]
    credentials: ApiCredentials
    probe: Callable[[], Awaitable[object]]
    """A question about what is not there: it changes nothing, and any answer to it will do."""

    @property
    def unreachable_since(self) -> float | None:
        """As in `Reach`. Without a token an API is as far away as who gives one out."""
        both = (self.circuits[0].reachability.unreachable_since, self.credentials.unreachable_since)
        return min((at for at in both if at is not None), default=None)

    @property
    def succeeded_at(self) -> float:
        return max(one.succeeded_at for one in self.circuits)


class Standby:
    """Looks each second, and never on the way of a call.

    A request that finds no way is followed by a question each second until one is answered: that is how it
    comes back by itself, while nothing else is asked. A replica that is well asks too while another is in
    need, so that its being well is known where nobody calls.
    """

    def __init__(
        self,
        *,
        id_: str,
        apis: Sequence[MonitoredApi],
        tokens: StandbyLeases,
        replicas: Replicas,
        clock: Clock,
        metrics: Metrics | None = None,
    ) -> None:
        self.unreached: tuple[str, ...] = ()
        """APIs that cannot be reached from here."""
        self._id = id_
        self._apis = apis
        self._tokens = tokens
        self._replicas = replicas
        self._clock = clock
        self._metrics = metrics or Metrics()
        self._until = 0.0
        self._since: float | None = None
        self._others_at = 0.0
        self._others_need_us = False
        self._redirected: dict[str, None] = {}
        self._stopped = asyncio.Event()

    @property
    def is_aside(self) -> bool:
        """Whether others do what asks something of Bandwidth; for no longer than the store has said."""
        return self._clock.monotonic() < self._until

    def should_redirect(self, webhook: str) -> bool:
        """Whether Bandwidth is to ask elsewhere: once, since what comes again has nowhere else to go."""
        if webhook in self._redirected:
            return False
        if len(self._redirected) >= _MAX_REDIRECTED:
            del self._redirected[next(iter(self._redirected))]
        self._redirected[webhook] = None
        return True

    async def run(self) -> None:
        """Until `stop`; then it holds nothing."""
        await repeat("standby", self.check, every=_CHECK_INTERVAL, stop=self._stopped)
        await self._release()

    def stop(self) -> None:
        self._stopped.set()

    async def check(self) -> None:
        await self._read_others()
        await asyncio.gather(*(_probe(one) for one in self._apis if self._should_probe(one)))
        now = self._clock.monotonic()
        self.unreached = tuple(
            one.name
            for one in self._apis
            if (lost := one.unreachable_since) is not None and now - lost >= UNREACHED_AFTER
        )
        if self.unreached:
            await self._renew()
        else:
            await self._release()

    def _should_probe(self, api: MonitoredApi) -> bool:
        if api.unreachable_since is not None:
            return True
        return self._others_need_us and self._clock.now() - api.succeeded_at >= _SUCCESS_TTL

    async def _read_others(self) -> None:
        now = self._clock.monotonic()
        if now < self._others_at:
            return
        self._others_at = now + _OTHERS_INTERVAL
        self._others_need_us = False
        with suppress(StoreError):
            self._others_need_us = any(
                one.unreachable_apis for one in await self._replicas.read() if one.id != self._id
            )

    async def _renew(self) -> None:
        """What the store does not grant is not held: it does as it would alone."""
        asked_at = self._clock.monotonic()
        try:
            granted = await self._tokens.renew(self._id, self.unreached)
        except StoreError:
            granted = False
        self._set_aside_until(asked_at + LEASE if granted else 0.0)

    async def _release(self) -> None:
        if self._until:
            with suppress(StoreError):
                await self._tokens.release(self._id)
        self._set_aside_until(0.0)

    def _set_aside_until(self, until: float) -> None:
        now = self._clock.monotonic()
        self._until = until
        if until and self._since is None:
            self._since = now
            log.warning("replica.aside", apis=list(self.unreached))
        elif not until and self._since is not None:
            log.info("replica.back", apis=list(self.unreached), aside_s=round(now - self._since, 1))
            self._since = None
            self._redirected.clear()
        self._metrics.standby(is_on_standby=bool(until))


async def _probe(api: MonitoredApi) -> None:
    """What comes of it is seen by the circuits."""
    with suppress(BandwidthError):
        await api.probe()
