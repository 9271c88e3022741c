"""Looks at the store and at metrics again and again: replicas have to count the live calls that there are.

A page of metrics lies between two looks at the store. What is the same in both was so in between, and has to
be counted; what has changed may be counted or not.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families
from redis.client import NEVER_DECODE
from redis.exceptions import RedisError

from tests.chaos.fleet import Fleet
from tests.chaos.stored_calls import StoredCallState, decoded
from tests.operators import NO_TLS
from tests.simulator.clock import monotonic

EVERY: Final = 1.0
"""Seconds between two looks."""
NAME: Final = "pstn_calls"
AS_BYTES: Final[Mapping[str, Any]] = MappingProxyType({NEVER_DECODE: True})
"""What is compressed is no text."""
Ask = Callable[..., Awaitable[list[Any]]]
"""The store's master: answers to commands, in order. Raises RedisError where it is none any more."""
Revisions = Mapping[str, tuple[bytes, StoredCallState]]
"""Calls by their keys, with what changes whenever one is written."""


class LiveCallCount(msgspec.Struct, frozen=True):
    """One page of metrics. Times are monotonic seconds."""

    process: str
    begun: float
    over: float
    shown: dict[str, float]
    """Live calls by state."""
    certain: dict[str, int]
    """Those that were so before and afterwards."""
    moving: int
    """Others that there were before, or have come meanwhile."""


class LiveCallCounts:
    def __init__(self, fleet: Fleet, ask: Ask) -> None:
        """`ask`: as `Stills.ask`."""
        self.all: list[LiveCallCount] = []
        self._fleet = fleet
        self._ask = ask
        self._ended: set[str] = set()
        """Keys of calls that have ended: they stay so, and need not be read again."""
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    async def watch(self) -> None:
        """Until `stop`. There is no look while the store or a replica is away."""
        while not self._stopped:
            await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """At each replica that is up."""
        async with httpx.AsyncClient(verify=NO_TLS, timeout=5) as client:
            for address in self._fleet.addresses:
                if address.up:
                    with suppress(RedisError, OSError, httpx.TransportError):
                        await self._look_at(client, address.logs[-1].name, address.url)

    async def _look_at(self, client: httpx.AsyncClient, process: str, url: str) -> None:
        begun = monotonic()
        before = await self.read()
        page = (await client.get(f"{url}/metrics")).text
        shown = shown_in(page)
        if shown is not None:
            self.all.append(live_call_count(process, begun, before, shown, await self.read(), monotonic()))

    async def read(self) -> Revisions:
        """All but those that were known to have ended. Raises RedisError."""
        [names] = await self._ask(("KEYS", "pstn:{p??}:call:*"), **AS_BYTES)
        keys = [name for name in (one.decode() for one in names) if name not in self._ended]
        fields = (("HMGET", key, "revision", "state") for key in keys)
        found = await self._ask(*fields, **AS_BYTES) if keys else []
        calls: dict[str, tuple[bytes, StoredCallState]] = {}
        for key, (revision, state) in zip(keys, found, strict=True):
            if state is None:
                continue
            calls[key] = (revision, decoded(state))
            if not calls[key][1].live:
                self._ended.add(key)
        return calls


def live_call_count(
    process: str, begun: float, before: Revisions, shown: dict[str, float], after: Revisions, over: float
) -> LiveCallCount:
    """One that has come and ended in between was perhaps counted."""
    live = {key: one for key, one in before.items() if one[1].live}
    same = [key for key, one in live.items() if after.get(key) == one]
    sure = Counter(live[key][1].state for key in same)
    moving = len(live) - len(same) + len(after.keys() - before.keys())
    return LiveCallCount(process, begun, over, shown, dict(sure), moving)


def shown_in(page: str) -> dict[str, float] | None:
    """By state; None where the page says that the store is away."""
    samples = [one for family in text_string_to_metric_families(page) for one in family.samples]
    if any(one.name == "pstn_store_up" and not one.value for one in samples):
        return None
    return {one.labels["state"]: one.value for one in samples if one.name == NAME}
