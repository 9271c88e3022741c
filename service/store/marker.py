"""Keeps a marker in each partition, by which a process notices that the store has lost data.

FLUSHALL takes it away, another database has another one, and an older file has an older one.
"""

from typing import Final, NamedTuple

from service.calls.refs import PARTITIONS
from service.clock import Clock
from service.store import keys
from service.store.redis.client import Client
from service.store.redis.scripts import Script, Value
from service.store.script_values import ms

_MARKER: Final = Script("marker")
_GET: Final = Script("get")

_LIFE: Final = 30 * 24 * 3_600_000
"""Milliseconds for which it stays after the last look of all replicas."""
_TOLERATED_ROLLBACK: Final = 30_000
"""Milliseconds. What a failover or a power cut may lose, and store.md has told of, is less."""


class DataLoss(NamedTuple):
    """What was found out at one look."""

    lost_partitions: int = 0
    """Partitions whose marker is not the one that was there."""
    rolled_back_seconds: float = 0
    """Seconds by which others have gone back in time; of all the most."""


class _Mark(NamedTuple):
    id: str
    at: int


class Markers:
    """As this process has seen them last."""

    def __init__(self, client: Client, clock: Clock, *, every: float) -> None:
        """`clock`: the one that replicas share; the server's own may jump. `every`: seconds between looks."""
        self._client = client
        self._clock = clock
        self._every = ms(every)
        self._seen: dict[int, _Mark] = {}

    async def check(self, new_id: str) -> tuple[DataLoss, int]:
        """What was lost since the last look, and how many partitions had no marker at the first.

        `new_id`: an id for those. Raises StoreUnavailable.
        """
        now = ms(self._clock.now())
        args: dict[str, Value] = {"now": now, "fresh": new_id, "every": self._every, "life": _LIFE}
        found = await self._client.run_many(
            _MARKER, [({"marker": keys.marker(one)}, args) for one in range(PARTITIONS)]
        )
        gone, back, new = 0, 0, 0
        for partition, (id_, at, stands) in enumerate(found):
            before = self._seen.get(partition)
            self._seen[partition] = _Mark(id_.decode(), stands)
            if before is None:
                new += at == 0
            elif before.id != id_.decode():
                gone += 1
            elif before.at - at > _TOLERATED_ROLLBACK:
                back = max(back, before.at - at)
        return DataLoss(gone, back / 1000), new


async def was_used(client: Client) -> bool:
    """Whether any service has used this store within a month. Raises StoreUnavailable."""
    found = await client.run_many(_GET, [({"value": keys.marker(one)}, {}) for one in range(PARTITIONS)])
    return any(one is not None for one in found)
