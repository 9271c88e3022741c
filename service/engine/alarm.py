"""How those who write down owed work tell the worker of the same process at once."""

import asyncio
from contextlib import suppress

from service.calls.refs import PARTITIONS
from service.store.keys import partition_of_owner


class Alarm:
    def __init__(self) -> None:
        self._partitions: set[int] = set()
        self._rung = asyncio.Event()
        self._round = 0.0
        """When all partitions are to be looked at again, by the loop's clock."""

    def wake(self, owner: str) -> None:
        """Work of this owner (`call:<ref>`, `room:<name>`) is due now."""
        self._partitions.add(partition_of_owner(owner))
        self._rung.set()

    def ring(self) -> None:
        """Come round at once, whether there is work or not."""
        self._rung.set()

    async def wait(self, seconds: float) -> list[int]:
        """Partitions with new work, at once when there are any; every so many seconds all of them.

        Also when it never stops ringing: work that falls due by itself, or was another's, rings nobody.
        """
        now = asyncio.get_running_loop().time
        self._round = min(self._round or now() + seconds, now() + seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._round):
                await self._rung.wait()
        found = sorted(self._partitions)
        self._partitions.clear()
        self._rung.clear()
        if now() < self._round:
            return found
        self._round = now() + seconds
        return list(range(PARTITIONS))
