"""Looks at the store again and again while a turn lasts, for calls and rooms that owe nothing at that time.

What the service has accepted it owes until it is done. Once nothing is owed, and nothing is under way, all of
it has to be seen.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.simulator.clock import monotonic

EVERY = 0.1
"""Seconds between two looks."""
LATER = frozenset(
    {
        *("ask-after", "check-room", "replace-session", "end-dialing", "check-presence", "check-taken"),
        *("replace-stock", "tell-alone", "check-page", "tell-time-up", "tell-time-short", "tell-hold-up"),
    }
)
"""Kinds of work owed by calls that are never done with, or due long after."""
OF_ALL = frozenset({"add-participant", "check-session", "evict"})
"""Kinds of work owed by a room that concern those who stay there; others come and go all the time."""
OF_ONE = frozenset({"remove-participant", "delete-participant", "subscribe"})
"""Kinds of work owed by a room that concern the one of a seat, who has left it or is to hear others."""


class Snapshot(msgspec.Struct, frozen=True):
    """One look, in monotonic seconds. Calls and rooms that are not in `owners` owed nothing meanwhile."""

    begun: float
    over: float
    owners: frozenset[str]
    """Owners, as `call:<ref>` and `room:<name>`; a room only where it owes something that concerns all.

    And as `seat:<seat>` those that a room has yet to clear, or to subscribe to others."""


async def _alone() -> int | None:
    return None


class Snapshots:
    """`master`: the port of the server that takes the writes by now; None where there is one server only."""

    def __init__(
        self, redis: Redis, master: Callable[[], Awaitable[int | None]] = _alone, *, every: float = EVERY
    ) -> None:
        self.all: list[Snapshot] = []
        self._redis = redis
        self._master = master
        self._every = every
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    async def watch(self) -> None:
        """Until `stop`. There is no look while the store is away."""
        while not self._stopped:
            with suppress(RedisError, OSError):
                begun = monotonic()
                # Twice: what a room owes becomes what a call owes, and would be missed between the two.
                owing = await self._owing() | await self._owing()
                self.all.append(Snapshot(begun, monotonic(), owing))
            await asyncio.sleep(self._every)

    async def wait_until_nothing_owed(self, seconds: float) -> None:
        """Wait until nobody owes anything, for so long at most: what is not seen then is not judged."""
        since = len(self.all)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while all(one.owners for one in self.all[since:]):  # noqa: ASYNC110 - as often as there are looks
                    await asyncio.sleep(self._every)

    async def _owing(self) -> frozenset[str]:
        [names] = await self.query(("KEYS", "*:owed:*"))
        owed = await self.query(*(("HKEYS", name) for name in names))
        owners = [_text(name).partition(":owed:")[2] for name in names]
        return frozenset(
            one
            for owner, fields in zip(owners, owed, strict=True)
            for one in owing(owner, [_text(field) for field in fields])
        )

    async def query(self, *commands: tuple[bytes | str, ...], **options: Any) -> list[Any]:
        """The master, before and after: another may not have heard of the latest. Raises RedisError.

        `options`: of redis-py, for these commands.
        A former one says that it is a master for ten seconds longer, and takes writes.
        """
        before = await self._master()
        pipe = self._redis.pipeline(transaction=False)
        pipe.execute_command("ROLE")
        pipe.execute_command("CONFIG", "GET", "port")
        for command in commands:
            pipe.execute_command(*command, **options)
        [role, settings, *answers] = await pipe.execute()
        [port] = dict(settings).values()
        named = {before, await self._master()} - {None}
        if _text(role[0]) != "master" or named - {int(port)}:
            await self._redis.connection_pool.disconnect(inuse_connections=False)
            raise RedisError("it is no master any more")
        return answers


def _text(name: bytes | str) -> str:
    """Of a client that decodes what it reads, or of one that does not."""
    return name.decode() if isinstance(name, bytes) else name


def owing(owner: str, fields: Iterable[str]) -> Iterator[str]:
    """As in `Still.owing`. What a hash has besides work begins with a dot."""
    work = [field.split(":") for field in fields if not field.startswith(".")]
    kinds = {kind for kind, *_ in work}
    if not owner.startswith("room:"):
        if kinds - LATER:
            yield owner
        return
    if kinds & OF_ALL:
        yield owner
    for kind, *names in work:
        if kind in OF_ONE:
            yield f"seat:{names[0]}"
