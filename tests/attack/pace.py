"""How much hostile clients may send: so many requests and new connections a second, shared out among them."""

import asyncio
import time
from typing import Final

REQUESTS: Final = 300
"""A second, of all hostile clients together."""
CONNECTIONS: Final = 50
"""New ones a second, of all together."""


class RateShare:
    """Turns at even distances, in the order in which they are asked for; none is saved up."""

    def __init__(self, per_second: float) -> None:
        self._distance = 1 / per_second
        self._next = 0.0

    def due(self, now: float) -> float:
        """When the turn is that is asked for now."""
        turn = max(now, self._next)
        self._next = turn + self._distance
        return turn

    async def turn(self) -> None:
        now = time.monotonic()
        await asyncio.sleep(self.due(now) - now)
