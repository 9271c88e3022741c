"""The calls of a soak: most come in, some are placed, and each is talked on for some seconds."""

import asyncio
import random  # noqa: TID251 - seeded, so that a soak can be had again
from collections import Counter
from typing import Final

import httpx

from tests.harness import API_KEY
from tests.operators import NO_TLS
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator

ROOMS: Final = 40
NUMBERS: Final = {f"+1555200{room:04}": f"room-{room}" for room in range(ROOMS)}
PRIVATE_NUMBER: Final = "+15553000000"
"""A number of ours that leads into a room of each caller's own."""
SHARES: Final = ("room", "room", "room", "room", "room", "room", "room", "alone", "alone", "placed")
TALK: Final = (2.0, 8.0)
"""Seconds from the bridge to the end."""
_BRIDGED: Final = 30.0


class SoakCalls:
    def __init__(self, simulator: Simulator, urls: list[str], seed: int) -> None:
        self.ended = 0
        self.results: Counter[str] = Counter()
        self._simulator = simulator
        self._dice = random.Random(seed)
        self._clients = [
            httpx.AsyncClient(
                base_url=f"{url}/api/v1", headers={"authorization": f"Bearer {API_KEY}"}, verify=NO_TLS
            )
            for url in urls
        ]
        self._begun = 0

    async def play(self, rate: float, seconds: float) -> None:
        """So many a second, for so long; returns when all have ended."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.TaskGroup() as group:
            while (now := loop.time()) - begun < seconds:
                group.create_task(self._call())
                self._begun += 1
                # By what is to be by now: a slow moment is caught up with.
                await asyncio.sleep(max(0.0, begun + self._begun / rate - now))

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()

    async def _call(self) -> None:
        kind = self._dice.choice(SHARES)
        talk = self._dice.uniform(*TALK)
        phone = await (self._placed() if kind == "placed" else self._arrived(kind))
        if phone is not None:
            try:
                await phone.until("bridged", timeout=_BRIDGED)
                self.results[f"{kind}: bridged"] += 1
            except AssertionError:
                self.results[f"{kind}: not bridged"] += 1
            await asyncio.sleep(talk)
            if not phone.call.ended:
                await phone.hang_up()
        self.ended += 1

    async def _arrived(self, kind: str) -> Phone:
        to = PRIVATE_NUMBER if kind == "alone" else self._dice.choice(list(NUMBERS))
        return await self._simulator.dial(to=to, from_=f"+1555222{self._begun % 10_000:04}")

    async def _placed(self) -> Phone | None:
        """None where the order was refused."""
        callee = f"+1555333{self._begun % 10_000:04}"
        self._simulator.numbers[callee] = "answer"
        client = self._clients[self._begun % len(self._clients)]
        order = {"to": callee, "room": f"room-{self._dice.randrange(ROOMS)}", "prepare": "dial"}
        answer = await client.post("/calls", json=order, timeout=30)
        if answer.status_code != 201:
            self.results[f"placed: {answer.status_code}"] += 1
            return None
        return self._simulator.phone(answer.json()["callId"])
