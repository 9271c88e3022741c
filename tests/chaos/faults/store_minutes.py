"""The store is away for more than a minute, once in a turn: killed, hanging, or not taking writes.

Meanwhile the replica is killed that webhooks go to first, with all that it keeps in memory. What comes from
then on the other has to keep.
"""

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from tests.chaos.faults.base import LONG_CREATE_SETTINGS, FaultProfile
from tests.chaos.fleet import Downtime
from tests.chaos.stopped_process import stopped
from tests.chaos.times import NEVER
from tests.simulator.clock import monotonic

if TYPE_CHECKING:
    from tests.chaos.site import Site

BEFORE = (5.0, 15.0)
"""Seconds until it goes: by then there are calls in rooms."""
AWAY = (60.0, 90.0)
KILLED = (0.2, 0.5)
"""Share of that time after which a replica is killed. It is started when the store is to be back."""
RATE = 2.0
"""Calls in a second: of those who are turned away each takes up to three of a replica's 1,000 places."""
SPREAD = 110.0
"""Seconds over which they begin: before, while it is away, and after."""


class StoreMinutes(FaultProfile):
    settings = LONG_CREATE_SETTINGS
    calls_per_second = RATE
    min_seconds = SPREAD

    async def inject(self, site: "Site") -> None:
        dice = self.dice
        away = dice.choice([self._killed, self._hangs, self._paused, self._takes_no_writes])
        before, seconds, killed = dice.uniform(*BEFORE), dice.uniform(*AWAY), dice.uniform(*KILLED)
        address, _ = site.fleet.addresses
        if await self.wait(before):
            async with asyncio.TaskGroup() as group:
                group.create_task(away(site, seconds))
                if await self.wait(seconds * killed):
                    await site.fleet.kill(address, away=seconds * (1 - killed))
        await self.wait(NEVER)

    async def _killed(self, site: "Site", seconds: float) -> None:
        outage = Downtime(monotonic())
        trouble = site.troubles.begin("store-away", outage.begun, detail="killed")
        site.fleet.outages.append(outage)
        await site.store.kill()
        await self.wait(seconds)
        await site.store.start()
        outage.over = trouble.over = monotonic()

    async def _hangs(self, site: "Site", seconds: float) -> None:
        pid = await site.store.pid()
        trouble = site.troubles.begin("store-away", monotonic(), detail="hangs")
        with stopped(pid):
            await self.wait(seconds)
        trouble.over = monotonic()

    async def _paused(self, site: "Site", seconds: float) -> None:
        """Nothing but its own clock ends this, so that calm weather has to wait for it."""
        pid = await site.store.pid()
        trouble = site.troubles.begin("store-away", monotonic(), detail="paused")
        async with Redis.from_url(site.store.url, socket_timeout=None) as redis:
            await redis.client_pause(int(seconds * 1000))
            try:
                await redis.ping()
            except BaseException:
                # One that is paused takes no order to end either.
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                raise
        trouble.over = monotonic()

    async def _takes_no_writes(self, site: "Site", seconds: float) -> None:
        trouble = site.troubles.begin("store-away", monotonic(), detail="writes are paused")
        async with Redis.from_url(site.store.url, socket_timeout=None) as redis:
            await redis.client_pause(int(seconds * 1000), all=False)
            try:
                await self.wait(seconds)
            finally:
                await redis.client_unpause()
        trouble.over = monotonic()
