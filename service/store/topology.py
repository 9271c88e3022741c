"""The one place that knows a single server, Sentinel and Cluster; to others each is a way to the store.

A way sends commands that belong to one slot over one connection, in one trip, to whichever server is the
slot's master at that moment. It tries again for a little while, asking anew who that is; what it then still
raises is the client library's, and the caller's to translate.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode, PipelineCommand
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout

from service.store.address import Address, Kind
from service.store.link import Link
from service.store.scripts import Result, Value

TIMEOUT: Final = 3.0
"""Seconds for one script with its retries: a webhook that meets a dead store must still be answered."""
CONNECTIONS: Final = 64
"""To one server at most; who needs one more waits for it."""
SOCKET_TIMEOUT: Final = 1.0
TROUBLE: Final = (
    RedisError,
    RedisClusterException,  # no RedisError, though of the same library
    OSError,
    TimeoutError,
    RuntimeError,
    TypeError,
    AttributeError,
)
"""What the client library raises when a server goes away under it; the last three leak out of it."""
_RETRIED: Final = (RedisConnectionError, RedisTimeout)
_RETRIES: Final = 2
_SENTINEL_TIMEOUT: Final = 0.5
_TRIES: Final = 8
"""In a cluster: a slot that is moved may redirect several times."""
_PAUSE: Final = 0.05
_REBUILD: Final = 2.0
"""Seconds without a single answer after which the addresses of the setting are tried anew: all that was
learned from the cluster may be gone."""
_ELSEWHERE: Final = (AskError, TryAgainError, ClusterDownError, ReadOnlyError)
"""Answers that mean that another server, or the same one later, would have answered. A MovedError is an
AskError to the library."""

Command = tuple[Value, ...]


class Way(Protocol):
    """To the store, wherever it is."""

    def place(self, key: str) -> int:
        """Keys of one place can be sent together."""

    async def send(self, key: str, commands: Sequence[Command]) -> list[Result]:
        """The answers to all commands, sent to where `key` is; an error is in the place of its command.

        Raises one of TROUBLE, after `TIMEOUT` at the latest.
        """

    async def send_to_all(self, commands: Sequence[Command]) -> list[list[Result]]:
        """The answers of each master."""

    async def close(self) -> None: ...


def way_to(address: Address) -> Way:
    if address.kind is Kind.CLUSTER:
        return _Cluster(address)
    if address.kind is Kind.SENTINEL:
        return _by_sentinel(address)
    return _Single(
        Redis.from_pool(ConnectionPool.from_url(address.url, **_options())),
        ConnectionPool.from_url(address.url, **_shared()),
        None,
    )


def _options() -> dict[str, Any]:
    return {
        "max_connections": CONNECTIONS,
        "socket_timeout": SOCKET_TIMEOUT,
        "socket_connect_timeout": SOCKET_TIMEOUT,
        "retry": _retry(),
        "health_check_interval": 15,
        "client_name": "pstn-bridge",
    }


def _shared() -> dict[str, Any]:
    """For a connection that a link looks after: its time limits, tries and health are the link's."""
    alone: dict[str, Any] = {
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
    }
    return _options() | alone


def _retry(times: int = _RETRIES) -> Retry:
    return Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.3), times, _RETRIED)


def _by_sentinel(address: Address) -> "_Single":
    """The connections ask the Sentinels, each when it is made, who is master.

    Credentials in the URL are those of the servers; `sentinel_username` and `sentinel_password` in its query
    are the Sentinels' own.
    """
    given: dict[str, Any] = dict(parse_url(address.url))
    given = {name: value for name, value in given.items() if name not in {"host", "port"}}
    encrypted = {"ssl": True} if given.pop("connection_class", None) else {}
    trust = {name: value for name, value in given.items() if name.startswith("ssl_")}
    credentials = {
        name.removeprefix("sentinel_"): given.pop(name)
        for name in ("sentinel_username", "sentinel_password")
        if name in given
    }
    build: Callable[..., Sentinel] = Sentinel  # the library has not typed it
    sentinel = build(
        address.hosts,
        sentinel_kwargs={
            **encrypted,
            **trust,
            **credentials,
            "socket_timeout": _SENTINEL_TIMEOUT,
            "socket_connect_timeout": _SENTINEL_TIMEOUT,
            "retry": Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.1), 0),
        },
        **given,
        **encrypted,
    )
    return _Single(
        sentinel.master_for(address.service, **_options()),
        sentinel.master_for(address.service, **_shared()).connection_pool,
        sentinel,
    )


class _Single:
    """One master at a time, at an address or as the Sentinels say."""

    def __init__(self, redis: Redis, shared: ConnectionPool, sentinel: Sentinel | None) -> None:
        """`shared` makes the connection that commands share; those that wait for replicas go over `redis`."""
        self._redis = redis
        self._link = Link(shared.make_connection, SOCKET_TIMEOUT)
        self._retry = _retry(_RETRIES - 1)
        self._sentinel = sentinel
        self._connections = asyncio.Semaphore(CONNECTIONS)

    def place(self, key: str) -> int:  # noqa: ARG002 - all keys are at the same place
        return 0

    async def send(self, key: str, commands: Sequence[Command]) -> list[Result]:  # noqa: ARG002 - as above
        if any(command[0] == "WAIT" for command in commands):
            results = await self._apart(commands)
        else:
            results = await self._shared(commands)
        if any(isinstance(result, ReadOnlyError) for result in results):
            # It was master when it was connected to; by now the name may lead to another.
            await self._link.drop()
            await self._redis.connection_pool.disconnect(inuse_connections=False)
        return results

    async def _shared(self, commands: Sequence[Command]) -> list[Result]:
        ends = asyncio.get_running_loop().time() + TIMEOUT
        try:
            # The link has its own limit for this, and time limits cost as much as a script does.
            return await self._link.send(commands)
        except _RETRIED:
            async with asyncio.timeout_at(ends):
                return await self._retry.call_with_retry(lambda: self._link.send(commands), _tried_again)

    async def _apart(self, commands: Sequence[Command]) -> list[Result]:
        """Over a connection on which nobody else waits for the replicas too."""
        async with (
            asyncio.timeout(TIMEOUT),
            self._connections,
            self._redis.pipeline(transaction=False) as pipe,
        ):
            for command in commands:
                pipe.execute_command(*command)
            return list(await pipe.execute(raise_on_error=False))

    async def send_to_all(self, commands: Sequence[Command]) -> list[list[Result]]:
        return [await self.send("", commands)]

    async def close(self) -> None:
        await self._link.drop()
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()
        if self._sentinel:
            await self._sentinel.aclose()


async def _tried_again(_error: Exception) -> None:
    """The link has dropped its connection by itself."""


class _Cluster:
    """The client library's cluster knows who has which slot; the sending is ours.

    Its own pipeline refuses EVALSHA, and a WAIT has to be sent over the connection that the script went over.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._cluster = self._build()
        self._connections = asyncio.Semaphore(CONNECTIONS)
        self._failing_since: float | None = None
        """In the loop's seconds; None while anybody answers."""

    def place(self, key: str) -> int:
        return key_slot(key.encode())

    async def send(self, key: str, commands: Sequence[Command]) -> list[Result]:
        slot = self.place(key)
        async with asyncio.timeout(TIMEOUT), self._connections:
            asked: AskError | None = None
            for left in range(_TRIES, 0, -1):
                try:
                    results = await self._try(slot, commands, asked)
                except TROUBLE as error:
                    if left == 1:
                        raise
                    asked = error if type(error) is AskError else None
                    await asyncio.sleep(0 if isinstance(error, AskError) and left > _TRIES // 2 else _PAUSE)
                else:
                    self._failing_since = None
                    return results
        raise AssertionError("the last try returns or raises")

    async def send_to_all(self, commands: Sequence[Command]) -> list[list[Result]]:
        async with asyncio.timeout(TIMEOUT):
            cluster = await self._cluster.initialize()
            try:
                return [await _over_one_connection(node, commands) for node in cluster.get_primaries()]
            except TROUBLE:
                await self._look_again(cluster, None)
                raise

    async def close(self) -> None:
        await self._cluster.aclose()

    async def _try(self, slot: int, commands: Sequence[Command], asked: AskError | None) -> list[Result]:
        """Raises an answer that means that another server has to be sent to, or the same one later."""
        cluster, node = self._cluster, None
        try:
            # Before it has been, concurrent use would have each command ask for the layout.
            await cluster.initialize()
            if asked is not None:
                node = cluster.get_node(host=asked.host, port=asked.port)
            node = node or cluster.nodes_manager.get_node_from_slot(slot)
            results = await _over_one_connection(node, commands, asking=asked is not None)
            _raise_what_is_elsewhere(commands, results)
        except MovedError as error:
            await cluster.nodes_manager.move_slot(error)
            raise
        except (AskError, TryAgainError):
            raise
        except TROUBLE:
            await self._look_again(cluster, node)
            raise
        return results

    async def _look_again(self, cluster: RedisCluster, failed: ClusterNode | None) -> None:
        """Learn anew who has which slot; with nobody answering for a while, from the setting's addresses."""
        if cluster is not self._cluster:
            return
        now = asyncio.get_running_loop().time()
        since = self._failing_since = self._failing_since or now
        if now - since > _REBUILD:
            self._cluster, self._failing_since = self._build(), now
            with suppress(*TROUBLE):
                await cluster.aclose()
            return
        with suppress(*TROUBLE):
            await cluster.nodes_manager.initialize(last_failed_node_name=failed.name if failed else None)

    def _build(self) -> RedisCluster:
        nodes = [ClusterNode(host, port) for host, port in self._address.hosts]
        return RedisCluster.from_url(
            self._address.url, startup_nodes=nodes, require_full_coverage=False, **_options()
        )


def _raise_what_is_elsewhere(commands: Sequence[Command], results: Sequence[Result]) -> None:
    """While a slot is moved key by key some of its keys are here and some there.

    Following to there is right for all commands or none: one that was carried out here would be carried out
    there again, on nothing.
    """
    keyed = [result for command, result in zip(commands, results, strict=True) if command[0] != "WAIT"]
    for result in keyed:
        if type(result) is AskError and not all(type(other) is AskError for other in keyed):
            raise TryAgainError(f"some of it is asked for elsewhere: {result}")
        if isinstance(result, _ELSEWHERE):
            raise result
        if isinstance(result, Exception) and not isinstance(result, ResponseError):
            raise result


async def _over_one_connection(
    node: ClusterNode, commands: Sequence[Command], *, asking: bool = False
) -> list[Result]:
    ask: Sequence[Command] = (("ASKING",),) if asking else ()
    sent = [PipelineCommand(0, *words) for command in commands for words in (*ask, command)]
    await node.execute_pipeline(sent)
    results = [command.result for command in sent]
    return results[1::2] if asking else results
