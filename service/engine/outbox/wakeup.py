"""Wakes the worker of this process when something is owed."""

import asyncio
from typing import Final

_LIMIT: Final = 10_000
"""Owners that wait for the worker. It finds any more on the agenda, a second later."""


class WorkerSignal:
    def __init__(self) -> None:
        self._owners: dict[str, None] = {}
        self._notified = asyncio.Event()

    def notify(self, owner: str) -> None:
        """Work of this owner (`call:<ref>`, `room:<name>`) is due now."""
        if len(self._owners) < _LIMIT:
            self._owners[owner] = None
        self._notified.set()

    def notify_all(self) -> None:
        """Come round at once, whether there is work or not."""
        self._notified.set()

    async def wait(self) -> list[str]:
        """Owners with new work, in the order in which they were woken."""
        await self._notified.wait()
        self._notified.clear()
        found = list(self._owners)
        self._owners.clear()
        return found
