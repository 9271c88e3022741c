"""The callers who have done nothing: each calls, is let in, talks for a while, hangs up, and calls again."""

import asyncio
import random  # noqa: TID251 - seeded, so that an attack can be had again
import time
from collections.abc import Awaitable
from typing import Final, NamedTuple

from tests.bench.callers import BenchCall, NotBridged
from tests.bench.fast_http import FastClient
from tests.bench.processes import PRIVATE_NUMBER, ROOMS, room_number

COMES_IN, IS_BRIDGED, HANGS_UP = "comes in", "is bridged", "hangs up"
WEBHOOKS: Final = (COMES_IN, IS_BRIDGED, HANGS_UP)
TALK: Final = (4.0, 12.0)
"""Seconds."""
_BETWEEN: Final = 0.5
"""Seconds from the end of a call to the next one; and from the transfer until the leg is up."""
_WAITS: Final = 15.0
"""Seconds for which Bandwidth waits for an answer."""
_ALONE: Final = 4
"""One in so many calls a number whose callers have a room of their own; the rest share rooms, few in each."""


class Sample(NamedTuple):
    webhook: str
    at: float
    """When it was sent, by the monotonic clock."""
    seconds: float
    """Until the answer."""


class OrdinaryCallers:
    def __init__(self, client: FastClient, count: int) -> None:
        self.count = count
        self.samples: list[Sample] = []
        self.wrong: list[str] = []
        """Of each call that was not let in, or whose webhooks were not answered."""
        self.up = 0
        self._client = client
        self._dice = random.Random(1)
        self._over = asyncio.Event()

    async def play(self) -> None:
        """Until they are told to end; each call that is up is ended as calls are."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.count):
                group.create_task(self._caller(number))

    def end(self) -> None:
        self._over.set()

    def seconds(self, webhook: str, begun: float, ended: float) -> list[float]:
        """Until the answer, of each webhook that was sent between the two times."""
        return [one.seconds for one in self.samples if one.webhook == webhook and begun <= one.at < ended]

    async def _caller(self, number: int) -> None:
        ours = PRIVATE_NUMBER if number % _ALONE == 0 else room_number(number % ROOMS)
        await self._for(self._dice.uniform(0, TALK[1]))
        while not self._over.is_set():
            try:
                await self._call(BenchCall(self._client, ours))
            except (NotBridged, OSError) as error:  # TimeoutError is one
                self.wrong.append(f"{type(error).__name__}: {error}")
            await self._for(_BETWEEN)

    async def _call(self, call: BenchCall) -> None:
        await self._timed(COMES_IN, call.comes_in())
        await asyncio.sleep(_BETWEEN)
        await self._timed(IS_BRIDGED, call.is_bridged())
        self.up += 1
        try:
            await self._for(self._dice.uniform(*TALK))
        finally:
            self.up -= 1
        await self._timed(HANGS_UP, call.hangs_up())

    async def _timed(self, webhook: str, answered: Awaitable[float]) -> None:
        at = time.monotonic()
        async with asyncio.timeout(_WAITS):
            seconds = await answered
        self.samples.append(Sample(webhook, at, seconds))

    async def _for(self, seconds: float) -> None:
        """Or until the end."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return
