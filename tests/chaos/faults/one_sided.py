"""One replica after the other is cut off from Bandwidth, or from the store, while the other is well."""

import asyncio
import random  # noqa: TID251 - seeded, so that a storm can be had again
from contextlib import suppress
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httpx

from tests.chaos.faults.base import LONG_CREATE_SETTINGS, FaultProfile
from tests.chaos.severable_proxy import HOST, Cut, SeverableProxy
from tests.operators import NO_TLS
from tests.simulator.clock import monotonic
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.chaos.fleet import ReplicaAddress
    from tests.chaos.site import Site

BANDWIDTH, STORE = "cut-bandwidth", "cut-store"
"""Kinds of trouble, and names of ways."""
FIRST_ADDRESS = 0.7
"""Share of the address that webhooks go to first, among those that are cut off."""
SHORT = (5.0, 15.0)
"""Seconds: over before a replica stands aside, which it does for Bandwidth alone."""
LONG = (22.0, 40.0)
BACK = 40.0
"""Until one that stood aside has come back, at most: it looks whether it can every ten seconds."""
OF_THE_STORE = (5.0, 25.0)
"""To twice the lease of a worker."""
BETWEEN = (4.0, 7.0)
"""Until one that stood aside is back, the other is left alone: of two that are cut off none stands aside."""


class OneSided(FaultProfile):
    settings = LONG_CREATE_SETTINGS
    calls_per_second = 5.0
    min_seconds = 50.0

    def __init__(self, dice: random.Random) -> None:
        super().__init__(dice)
        self._ways: dict[tuple[str, str], SeverableProxy] = {}

    async def prepare(self, site: "Site") -> None:
        for address in site.fleet.addresses:
            await self._lay(address, BANDWIDTH, self._way_to_bandwidth(site))
            await self._lay(address, STORE, self._way_to_store(site))
            ports = {kind: self._ways[address.host, kind].port for kind in (BANDWIDTH, STORE)}
            for name in ("BW_VOICE_URL", "BW_WEBRTC_URL", "BW_TOKEN_URL"):
                url = urlsplit(address.settings[name])
                address.settings[name] = url._replace(netloc=f"{address.host}:{ports[BANDWIDTH]}").geturl()
            address.settings["REDIS_URL"] = f"redis://{HOST}:{ports[STORE]}/0"

    async def close(self) -> None:
        for way in self._ways.values():
            await way.close()

    async def inject(self, site: "Site") -> None:
        dice = self.dice
        kinds = cycle(dice.sample([BANDWIDTH, STORE], 2))
        while await self.wait(dice.uniform(*BETWEEN)):
            first, second = site.fleet.addresses
            address = first if dice.random() < FIRST_ADDRESS else second
            kind = next(kinds)
            seconds = dice.uniform(*dice.choice([SHORT, LONG] if kind == BANDWIDTH else [OF_THE_STORE]))
            await self._cut(site, address, kind, dice.choice(list(Cut)), seconds)
        for address in site.fleet.addresses:
            await _is_ready(address)

    async def _cut(
        self, site: "Site", address: "ReplicaAddress", kind: str, how: Cut, seconds: float
    ) -> None:
        way = self._ways[address.host, kind]
        trouble = site.troubles.begin(kind, monotonic(), host=address.host, detail=how.value)
        await way.cut(how)
        await self.wait(seconds)
        await way.heal()
        trouble.over = monotonic()

    async def _lay(self, address: "ReplicaAddress", kind: str, way: SeverableProxy) -> None:
        await way.open()
        self._ways[address.host, kind] = way

    def _way_to_bandwidth(self, site: "Site") -> SeverableProxy:
        port = urlsplit(site.simulator.voice_url).port
        return SeverableProxy(partial(asyncio.open_connection, HOST, port), site.fleet.swallowed)

    def _way_to_store(self, site: "Site") -> SeverableProxy:
        return SeverableProxy(partial(asyncio.open_unix_connection, unquote(urlsplit(site.store.url).path)))


async def _is_ready(address: "ReplicaAddress") -> None:
    """Until it stands aside no more, or was waited for in vain: the judge has an eye for that."""
    async with httpx.AsyncClient(verify=NO_TLS) as client:

        async def ready() -> bool:
            with suppress(httpx.TransportError):
                return (await client.get(f"{address.url}/readyz")).is_success
            return False

        with suppress(AssertionError):
            await wait_until(ready, seconds=BACK)
