"""Follows the Sentinels: asks them for the master, and listens to all of them for changes.

A planned failover leaves the old master writable for ten seconds, and what is written to it once its replica
is promoted is lost. So nothing is connected to between the order to promote and the new name.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from contextvars import Context
from functools import partial
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout
from redis.utils import str_if_bytes

from service.tasks import Tasks

_PROMOTING: Final = "+failover-state-send-slaveof-noone"
"""Said by the Sentinel that leads a failover, a moment before it makes the replica a master."""
_SWITCHED: Final = "+switch-master"
"""Said by each Sentinel when it takes another server for the master, by the one that leads last."""
_HELD: Final = 5.0
"""Seconds for which a promotion that was announced is waited for; without load it takes one."""
_QUIET: Final = 5.0
"""Seconds of silence after which a Sentinel is asked whether it is there."""
_PAUSE: Final = 1.0
"""Seconds until a Sentinel that was not heard is tried again."""

log = structlog.get_logger()
HostPort = tuple[str, int]


class Sentinels(Sentinel):
    """Listens from the first question on, until it is closed; what cannot be heard is found out by asking."""

    def __init__(self, addresses: Sequence[HostPort], master_name: str, options: dict[str, Any]) -> None:
        super().__init__(addresses, sentinel_kwargs=options)  # type: ignore[no-untyped-call]
        self.on_change: Callable[[], None] = lambda: None
        """Called when what is connected to must not be used any more."""
        self._master_name = master_name
        self._master: HostPort | None = None
        self._master_known = asyncio.Event()
        self._master_known.set()
        self._held_until = 0.0
        self._unreachable: set[Redis] = set()
        """Told of once, until they are heard."""
        self._tasks = Tasks()
        self._closed = False

    async def discover_master(self, service_name: str) -> HostPort:
        """Where the master is; while one is being made it is waited for. Raises MasterNotFoundError."""
        self._listen()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._held_until):
                await self._master_known.wait()
        found = await self._query_master(service_name)
        known, self._master = self._master, found
        if known not in {None, found}:
            self._drop("found")
        return found

    async def _query_master(self, service_name: str) -> HostPort:
        """What the first says that knows one; it is the first to be asked from then on.

        By the service's name. The library's own way is the list of masters: in it the Sentinel that leads a
        planned failover has the old master for ten seconds longer. It also moves entries of its list about by
        their places, before and after it has waited: with several callers at a time some Sentinels get lost.
        """
        for sentinel in tuple(self.sentinels):
            try:
                place = await sentinel.sentinel_get_master_addr_by_name(service_name)
            except (RedisConnectionError, RedisTimeout):
                continue
            if isinstance(place, tuple):
                self._move_to_front(sentinel)
                return str_if_bytes(place[0]), int(place[1])
        raise MasterNotFoundError(f"none of {len(self.sentinels)} Sentinels names a master {service_name!r}")

    def _move_to_front(self, sentinel: Redis) -> None:
        self.sentinels = [sentinel, *(one for one in self.sentinels if one is not sentinel)]

    async def aclose(self) -> None:
        self._closed = True
        await self._tasks.wait(0)
        await super().aclose()

    def _listen(self) -> None:
        if self._closed or len(self._tasks):
            return
        for sentinel in self.sentinels:
            # For nobody's call, neither in the log nor in a tally.
            Context().run(partial(self._tasks.start, self._listen_to(sentinel), name="store.sentinel"))

    async def _listen_to(self, sentinel: Redis) -> None:
        while not self._closed:
            try:
                async with aclosing(sentinel.pubsub()) as channels:
                    await channels.subscribe(_PROMOTING, _SWITCHED)
                    await self._follow(sentinel, channels)
            except Exception as error:  # noqa: BLE001 - whatever it is, another try is all there is to do
                if sentinel not in self._unreachable:
                    at = sentinel.connection_pool.connection_kwargs
                    log.warning(
                        "sentinel.not_heard", sentinel=f"{at['host']}:{at['port']}", error=repr(error)
                    )
                self._unreachable.add(sentinel)
                await asyncio.sleep(_PAUSE)

    async def _follow(self, sentinel: Redis, channels: PubSub) -> None:
        asked = False
        while not self._closed:
            message = await channels.get_message(timeout=_QUIET)
            if message is None and asked:
                raise RedisConnectionError("it says nothing")
            asked = message is None
            if message is None:
                await channels.ping()
            elif message["type"] == "message":
                self._handle(sentinel, message["channel"].decode(), message["data"].decode().split())
            elif message["type"] == "subscribe":
                self._unreachable.discard(sentinel)
                # What was said before was not heard.
                with suppress(MasterNotFoundError):
                    await self.discover_master(self._master_name)

    def _handle(self, sentinel: Redis, channel: str, words: list[str]) -> None:
        match words:
            case [*_, "@", name, _, _] if channel == _PROMOTING and name == self._master_name:
                self._held_until = asyncio.get_running_loop().time() + _HELD
                self._master_known.clear()
                self._drop("announced")
            case [name, _, _, host, port] if channel == _SWITCHED and name == self._master_name:
                # Others, and the one that leads above all, may still name the old one.
                self._move_to_front(sentinel)
                known, self._master = self._master, (host, int(port))
                if known != self._master:
                    self._drop("named")
                self._master_known.set()

    def _drop(self, stage: str) -> None:
        log.info("store.master_changed", stage=stage)
        self.on_change()
