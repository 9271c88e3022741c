"""How those who write down owed work tell the worker of the same process at once."""

import asyncio

from service.calls.refs import PARTITIONS
from service.store.keys import partition_of_owner


class Alarm:
    def __init__(self) -> None:
        self._partitions: set[int] = set()
        self._rung = asyncio.Event()

    def wake(self, owner: str) -> None:
        """Work of this owner (`call:<ref>`, `room:<name>`) is due now."""
        self._partitions.add(partition_of_owner(owner))
        self._rung.set()

    def ring(self) -> None:
        """Come round at once, whether there is work or not."""
        self._rung.set()

    async def wait(self, seconds: float) -> list[int]:
        """Partitions with new work, at once when there are any; after so long, all of them."""
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            return list(range(PARTITIONS))
        found = sorted(self._partitions)
        self._partitions.clear()
        self._rung.clear()
        return found
