"""Keeps the OAuth token fresh and connections open, so that a call after a quiet hour pays for neither."""

import asyncio
from collections.abc import Sequence
from typing import Final

from service.bandwidth.api_client import ApiCredentials, HttpClient
from service.clock import Clock
from service.tasks import log_failures

REFRESH_INTERVAL: Final = 45.0
"""Seconds. Load balancers close what is idle for a minute, and a handshake is two or three trips."""


class KeepAlive:
    """Runs until it is cancelled."""

    def __init__(
        self,
        *,
        http: HttpClient,
        credentials: Sequence[ApiCredentials],
        url: str,
        connections: int,
        clock: Clock,
        every: float = REFRESH_INTERVAL,
    ) -> None:
        """`connections`: how many are kept to `url`, where callers are waited for; 0 for none."""
        self._http = http
        self._credentials = credentials
        self._url = url
        self._connections = connections
        self._clock = clock
        self._every = every

    async def run(self) -> None:
        await asyncio.gather(*map(self._keep_token, self._credentials), self._keep_connections())

    async def _keep_token(self, credentials: ApiCredentials) -> None:
        seconds: float | None = 0.0
        while seconds is not None:
            await self._clock.sleep(seconds)
            seconds = self._every
            with log_failures("warmth.token"):
                seconds = await credentials.refresh_if_due()

    async def _keep_connections(self) -> None:
        while self._connections:
            # All at the same time, or one connection would do for them all.
            with log_failures("warmth.connections"):
                await asyncio.gather(
                    *(self._http.open_connection(self._url) for _ in range(self._connections))
                )
            await self._clock.sleep(self._every)
