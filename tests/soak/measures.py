"""What a soak looks at: memory, descriptors and tasks of the replicas, and the store by kind of key."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
from redis.asyncio import Redis

from tests.bench.machine import processor_seconds, resident_bytes
from tests.scraping import scraped

KEPT: Final = frozenset({"alias", "call", "calls", "events", "once", "placed", "timeline"})
"""Kinds of keys that an ended call keeps until it is forgotten, and an order for the hour or the day."""
FEED: Final = "news"
_BATCH: Final = 500


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """At one moment. Lists have one value for each replica."""

    at: float
    """Seconds since the soak began."""
    calls: int
    """Calls that have ended."""
    resident: list[int]
    """Bytes."""
    descriptors: list[int]
    tasks: list[int]
    processor: list[float]
    """Seconds."""
    store_used: int
    """Bytes of memory, as the store counts them."""
    store_kept: int
    """Bytes of the keys of calls."""
    store_tables: int
    """Bytes of the tables in which the server finds its keys: they grow with the calls that are kept."""
    store_feed: int
    """Bytes of the change feed, of which a fixed number of entries is kept."""
    store_other: int
    """Bytes of all other keys."""
    keys: dict[str, int]

    @property
    def store_rest(self) -> int:
        """Bytes of what is no call and no entry of the feed, the server itself included."""
        return self.store_used - self.store_kept - self.store_tables - self.store_feed

    def __str__(self) -> str:
        return (
            f"{self.calls} calls; MB {[round(size / 1e6, 1) for size in self.resident]}; descriptors "
            f"{self.descriptors}; tasks {self.tasks}; store {self.store_used / 1e6:.1f} MB, of calls "
            f"{self.store_kept / 1e6:.1f} MB, other {self.store_other / 1e3:.0f} kB"
        )


async def look(*, at: float, calls: int, pids: Sequence[int], urls: Sequence[str], redis: Redis) -> Look:
    pages = [await scraped(url) for url in urls]
    sizes, counts = await _by_kind(redis)
    memory, stats = await redis.info("memory"), await redis.memory_stats()
    tables = [one for one in stats.values() if isinstance(one, dict)]
    return Look(
        at=round(at, 1),
        calls=calls,
        resident=[resident_bytes(pid) for pid in pids],
        descriptors=[_descriptors(pid) for pid in pids],
        tasks=[int(page.get("pstn_tasks")) for page in pages],
        processor=[processor_seconds(pid) for pid in pids],
        store_used=int(memory["used_memory"]),
        store_kept=sum(size for kind, size in sizes.items() if kind in KEPT),
        store_other=sum(size for kind, size in sizes.items() if kind not in KEPT and kind != FEED),
        store_tables=sum(sum(one.values()) for one in tables),
        store_feed=sizes[FEED],
        keys=dict(sorted(counts.items())),
    )


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def _by_kind(redis: Redis) -> tuple[Counter[str], Counter[str]]:
    """Bytes and numbers of keys. A key is `pstn:{p03}:<kind>:...`."""
    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    keys = [key async for key in redis.scan_iter(count=1000)]
    for begin in range(0, len(keys), _BATCH):
        batch = keys[begin : begin + _BATCH]
        pipe = redis.pipeline(transaction=False)
        for key in batch:
            pipe.memory_usage(key, samples=0)
        for key, size in zip(batch, await pipe.execute(), strict=True):
            kind = key.decode().split(":")[2]
            sizes[kind] += size or 0
            counts[kind] += 1
    return sizes, counts


class Growth(msgspec.Struct, frozen=True):
    """Of one figure: the median of the looks of the second quarter, and of the last one."""

    what: str
    before: float
    after: float
    allowed: float

    @property
    def holds(self) -> bool:
        return self.after <= self.allowed

    def __str__(self) -> str:
        kept = "ok  " if self.holds else "FAIL"
        return f"{kept} {self.what}: {self.before:,.0f}, later {self.after:,.0f}, at most {self.allowed:,.0f}"


def growths(looks: Sequence[Look], before: Look, after: Look) -> list[Growth]:
    """The first quarter is for warming up: caches fill, buffers find their size.

    `before` and `after`: of the quiet around it. Connections follow what is under way, and idle ones are kept
    for a minute: whether some are lost shows when nothing is under way any more. Raises ValueError.
    """
    quarter = len(looks) // 4
    if quarter < 1:
        raise ValueError(f"four looks are needed, there are {len(looks)}")
    early, late = looks[quarter : 2 * quarter], looks[-quarter:]

    def growth(what: str, of: str, number: int | None, share: float, more: float) -> Growth:
        def value(one: Look) -> float:
            found = getattr(one, of)
            return float(found if number is None else found[number])

        before, after = (median(value(one) for one in half) for half in (early, late))
        return Growth(what, before, after, before * (1 + share) + more)

    found = []
    for number in range(len(looks[0].resident)):
        name = f"replica {number + 1}"
        found += [
            growth(f"{name}, resident bytes", "resident", number, 0.03, 1_000_000),
            growth(f"{name}, tasks", "tasks", number, 0.1, 10),
        ]
        for what, rest in (("descriptors", 15), ("tasks", 5)):
            was, now = (getattr(one, what)[number] for one in (before, after))
            found.append(Growth(f"{name}, {what} in the quiet", was, now, was + rest))
    return [
        *found,
        growth("other keys than those of calls, bytes", "store_other", None, 0.1, 50_000),
        growth("store without calls that are kept and feed, bytes", "store_rest", None, 0.1, 1_000_000),
    ]
