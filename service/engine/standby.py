"""A replica that alone cannot reach Bandwidth stands aside, and others do what it would fail at."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import structlog

from service.bandwidth.circuit import Circuit
from service.bandwidth.errors import BandwidthError
from service.bandwidth.api_client import Credentials
from service.clock import Clock
from service.metrics import Metrics
from service.store.errors import StoreError
from service.store.replicas import Replicas
from service.store.standby import LEASE, StandbyTokens
from service.tasks import repeated

LOST: Final = 8.0
"""Seconds after a request that found no way, in which none is answered, until an API counts as unreached.

With less, what is over in a moment had joins sent to a replica that was in trouble too.
"""
ASK: Final = 2.0
"""Seconds for which the answer to a question is waited for; it says no more than that somebody is there."""
_LOOK: Final = 1.0
_OTHERS: Final = 5.0
"""Seconds in which another's being in need is noticed."""
_PROVEN: Final = 2.0
"""Seconds for which a success need not be renewed for the sake of another: reports are five seconds apart."""
_REMEMBERED: Final = 1000
"""Webhooks that were sent elsewhere."""

log = structlog.get_logger()


class Api(NamedTuple):
    name: str
    circuits: Sequence[Circuit]
    credentials: Credentials
    ask: Callable[[], Awaitable[object]]
    """A question about what is not there: it changes nothing, and any answer to it will do."""

    @property
    def lost_at(self) -> float | None:
        """As in `Reach`. Without a token an API is as far away as who gives one out."""
        both = (self.circuits[0].reach.lost_at, self.credentials.lost_at)
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
        apis: Sequence[Api],
        tokens: StandbyTokens,
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
        self._needed = False
        self._sent_away: dict[str, None] = {}
        self._over = asyncio.Event()

    @property
    def aside(self) -> bool:
        """Whether others do what asks something of Bandwidth; for no longer than the store has said."""
        return self._clock.monotonic() < self._until

    def sends_away(self, webhook: str) -> bool:
        """Whether Bandwidth is to ask elsewhere: once, since what comes again has nowhere else to go."""
        if webhook in self._sent_away:
            return False
        if len(self._sent_away) >= _REMEMBERED:
            del self._sent_away[next(iter(self._sent_away))]
        self._sent_away[webhook] = None
        return True

    async def run(self) -> None:
        """Until `stop`; then it holds nothing."""
        await repeated("standby", self.look, every=_LOOK, over=self._over)
        await self._release()

    def stop(self) -> None:
        self._over.set()

    async def look(self) -> None:
        await self._hear_others()
        await asyncio.gather(*(_asked(one) for one in self._apis if self._is_asked(one)))
        now = self._clock.monotonic()
        self.unreached = tuple(
            one.name for one in self._apis if (lost := one.lost_at) is not None and now - lost >= LOST
        )
        if self.unreached:
            await self._renew()
        else:
            await self._release()

    def _is_asked(self, api: Api) -> bool:
        if api.lost_at is not None:
            return True
        return self._needed and self._clock.now() - api.succeeded_at >= _PROVEN

    async def _hear_others(self) -> None:
        now = self._clock.monotonic()
        if now < self._others_at:
            return
        self._others_at = now + _OTHERS
        self._needed = False
        with suppress(StoreError):
            self._needed = any(one.unreached for one in await self._replicas.read() if one.id != self._id)

    async def _renew(self) -> None:
        """What the store does not grant is not held: it does as it would alone."""
        asked_at = self._clock.monotonic()
        try:
            granted = await self._tokens.renew(self._id, self.unreached)
        except StoreError:
            granted = False
        self._stand(asked_at + LEASE if granted else 0.0)

    async def _release(self) -> None:
        if self._until:
            with suppress(StoreError):
                await self._tokens.release(self._id)
        self._stand(0.0)

    def _stand(self, until: float) -> None:
        now = self._clock.monotonic()
        self._until = until
        if until and self._since is None:
            self._since = now
            log.warning("replica.aside", apis=list(self.unreached))
        elif not until and self._since is not None:
            log.info("replica.back", apis=list(self.unreached), aside_s=round(now - self._since, 1))
            self._since = None
            self._sent_away.clear()
        self._metrics.standby(is_aside=bool(until))


async def _asked(api: Api) -> None:
    """What comes of it is seen by the circuits."""
    with suppress(BandwidthError):
        await api.ask()
