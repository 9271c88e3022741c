"""How those who write down owed work tell the worker of the same process at once."""

import asyncio
from typing import Final

_LIMIT: Final = 10_000
"""Owners that wait for the worker. It finds any more on the agenda, a second later."""


class Alarm:
    def __init__(self) -> None:
        self._owners: dict[str, None] = {}
        self._rung = asyncio.Event()

    def wake(self, owner: str) -> None:
        """Work of this owner (`call:<ref>`, `room:<name>`) is due now."""
        if len(self._owners) < _LIMIT:
            self._owners[owner] = None
        self._rung.set()

    def ring(self) -> None:
        """Come round at once, whether there is work or not."""
        self._rung.set()

    async def woken(self) -> list[str]:
        """Owners with new work, in the order in which they were woken."""
        await self._rung.wait()
        self._rung.clear()
        found = list(self._owners)
        self._owners.clear()
        return found
