"""Sends commands to a single server, a Sentinel set or a cluster, behind one interface.

A way sends commands that belong to one slot over one connection, in one trip, to whichever server is the
slot's master at that moment. It tries again for a little while, asking anew who that is; what it then still
raises is the client library's, and the caller's to translate.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from redis.asyncio import ConnectionPool, RedisCluster
from redis.asyncio.cluster import ClusterNode, PipelineCommand
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
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

from service.store.redis.address import RedisMode, StoreAddress
from service.store.redis.pipelined import SharedConnection
from service.store.redis.scripts import Result, Value
from service.store.redis.sentinels import Sentinels

TIMEOUT: Final = 3.0
"""Seconds for one script with its retries: a webhook that meets a dead store must still be answered."""
CONNECTIONS: Final = 64
"""Connections to one server at most; a request that needs one more waits for it."""
SOCKET_TIMEOUT: Final = 1.0
"""Seconds for one answer, and for one connection to be made."""
CLIENT_ERRORS: Final = (
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
_SENTINEL_TIMEOUT: Final = 0.5
"""Seconds, the same, for a Sentinel."""
_TRIES: Final = 8
"""Tries of one script in a cluster: a slot that is moved may redirect several times."""
_PAUSE: Final = 0.05
"""Seconds between two of them."""
_REBUILD: Final = 2.0
"""Seconds without a single answer after which the addresses of the setting are tried anew: all that was
learned from the cluster may be gone."""
_REDIRECTS: Final = (AskError, TryAgainError, ClusterDownError, ReadOnlyError)
"""Answers that mean that another server, or the same one later, would have answered. A MovedError is an
AskError to the library."""

Command = tuple[Value, ...]


class Backend(Protocol):
    """To the store, wherever it is."""

    def slot(self, key: str) -> int:
        """Keys of one place can be sent together."""

    async def send(self, key: str, commands: Sequence[Command]) -> list[Result]:
        """The answers to all commands, sent to where `key` is; an error is in the place of its command.

        Raises one of TROUBLE, after `TIMEOUT` at the latest.
        """

    async def send_to_all(self, commands: Sequence[Command]) -> list[list[Result]]:
        """The answers of each master."""

    async def close(self) -> None: ...


def backend_for(address: StoreAddress) -> Backend:
    if address.mode is RedisMode.CLUSTER:
        return _Cluster(address)
    if address.mode is RedisMode.SENTINEL:
        return _by_sentinel(address)
    return _Standalone(ConnectionPool.from_url(address.url, **_shared_options()))


def _options() -> dict[str, Any]:
    return {"socket_connect_timeout": SOCKET_TIMEOUT, "client_name": "pstn-bridge"}


def _shared_options() -> dict[str, Any]:
    """Time limits, tries and health are the link's."""
    return _options() | {"socket_timeout": None, "retry": Retry(NoBackoff(), 0), "health_check_interval": 0}


def _cluster_options() -> dict[str, Any]:
    return _options() | {
        "max_connections": CONNECTIONS,
        "socket_timeout": SOCKET_TIMEOUT,
        "retry": _retry(2),
        "health_check_interval": 15,
    }


def _retry(times: int) -> Retry:
    return Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.3), times, _RETRIED)


def _by_sentinel(address: StoreAddress) -> "_Standalone":
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
    own = {
        **encrypted,
        **trust,
        **credentials,
        "socket_timeout": _SENTINEL_TIMEOUT,
        "socket_connect_timeout": _SENTINEL_TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
    }
    sentinels = Sentinels(address.hosts, address.master_name, own)
    pool: Callable[..., SentinelConnectionPool] = SentinelConnectionPool  # the library has not typed it
    return _Standalone(
        pool(address.master_name, sentinels, **(given | encrypted | _shared_options())), sentinels
    )


class _Standalone:
    """One master at a time, at an address or as the Sentinels say.

    Whatever shows that another may be master ends every connection: read from one server and written to
    another, a call is not known that was just stored.
    """

    def __init__(self, pool: ConnectionPool, sentinels: Sentinels | None = None) -> None:
        """`pool`: connections, and keeps none."""
        self._pool = pool
        self._shared = self._new_connection()
        self._exclusive: list[SharedConnection] = []
        self._idle: list[SharedConnection] = []
        """Those of `_exclusive` on which nobody waits for replicas."""
        self._exclusive_limit = asyncio.Semaphore(CONNECTIONS)
        self._retry = _retry(1)
        self._sentinels = sentinels
        if sentinels:
            sentinels.on_change = self._drop

    def slot(self, key: str) -> int:  # noqa: ARG002 - all keys are at the same place
        return 0

    async def send(self, key: str, commands: Sequence[Command]) -> list[Result]:  # noqa: ARG002 - as above
        over = (
            self._send_exclusively if any(command[0] == "WAIT" for command in commands) else self._shared.send
        )
        ends = asyncio.get_running_loop().time() + TIMEOUT
        try:
            # A link has its own limit for this, and time limits cost as much as a script does.
            return await over(commands)
        except _RETRIED:
            async with asyncio.timeout_at(ends):
                return await self._retry.call_with_retry(lambda: over(commands), _before_retry)

    async def _send_exclusively(self, commands: Sequence[Command]) -> list[Result]:
        """Over a link on which nobody else waits for the replicas too."""
        async with asyncio.timeout(TIMEOUT), self._exclusive_limit:
            if not self._idle:
                self._idle.append(self._new_connection())
                self._exclusive.append(self._idle[-1])
            link = self._idle.pop()
            try:
                return await link.send(commands)
            except asyncio.CancelledError:
                # Who has it next would wait for these replicas first.
                link.drop()
                raise
            finally:
                self._idle.append(link)

    async def send_to_all(self, commands: Sequence[Command]) -> list[list[Result]]:
        return [await self.send("", commands)]

    async def close(self) -> None:
        if self._sentinels:
            await self._sentinels.aclose()
        self._drop()

    def _new_connection(self) -> SharedConnection:
        return SharedConnection(self._pool.make_connection, SOCKET_TIMEOUT, self._drop)

    def _drop(self) -> None:
        for link in (self._shared, *self._exclusive):
            link.drop()


async def _before_retry(_error: Exception) -> None:
    """The link has dropped its connection by itself."""


class _Cluster:
    """The client library's cluster knows who has which slot; the sending is ours.

    Its own pipeline refuses EVALSHA, and a WAIT has to be sent over the connection that the script went over.
    """

    def __init__(self, address: StoreAddress) -> None:
        self._address = address
        self._cluster = self._build()
        self._connections = asyncio.Semaphore(CONNECTIONS)
        self._failing_since: float | None = None
        """In the loop's seconds; None while anybody answers."""

    def slot(self, key: str) -> int:
        return key_slot(key.encode())

    async def send(self, key: str, commands: Sequence[Command]) -> list[Result]:
        slot = self.slot(key)
        async with asyncio.timeout(TIMEOUT), self._connections:
            asked: AskError | None = None
            for left in range(_TRIES, 0, -1):
                try:
                    results = await self._try(slot, commands, asked)
                except CLIENT_ERRORS as error:
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
            except CLIENT_ERRORS:
                await self._refresh_layout(cluster, None)
                raise

    async def close(self) -> None:
        await self._cluster.aclose()

    async def _try(self, slot: int, commands: Sequence[Command], ask_error: AskError | None) -> list[Result]:
        """Raises an answer that means that another server has to be sent to, or the same one later."""
        cluster, node = self._cluster, None
        try:
            # Before it has been, concurrent use would have each command ask for the layout.
            await cluster.initialize()
            if ask_error is not None:
                node = cluster.get_node(host=ask_error.host, port=ask_error.port)
            node = node or cluster.nodes_manager.get_node_from_slot(slot)
            results = await _over_one_connection(node, commands, asking=ask_error is not None)
            _raise_redirects(commands, results)
        except MovedError as error:
            await cluster.nodes_manager.move_slot(error)
            raise
        except (AskError, TryAgainError):
            raise
        except CLIENT_ERRORS:
            await self._refresh_layout(cluster, node)
            raise
        return results

    async def _refresh_layout(self, cluster: RedisCluster, failed: ClusterNode | None) -> None:
        """Learn anew who has which slot; with nobody answering for a while, from the setting's addresses."""
        if cluster is not self._cluster:
            return
        now = asyncio.get_running_loop().time()
        since = self._failing_since = self._failing_since or now
        if now - since > _REBUILD:
            self._cluster, self._failing_since = self._build(), now
            with suppress(*CLIENT_ERRORS):
                await cluster.aclose()
            return
        with suppress(*CLIENT_ERRORS):
            await cluster.nodes_manager.initialize(last_failed_node_name=failed.name if failed else None)

    def _build(self) -> RedisCluster:
        nodes = [ClusterNode(host, port) for host, port in self._address.hosts]
        return RedisCluster.from_url(
            self._address.url, startup_nodes=nodes, require_full_coverage=False, **_cluster_options()
        )


def _raise_redirects(commands: Sequence[Command], results: Sequence[Result]) -> None:
    """While a slot is moved key by key some of its keys are here and some there.

    Following to there is right for all commands or none: one that was carried out here would be carried out
    there again, on nothing.
    """
    keyed = [result for command, result in zip(commands, results, strict=True) if command[0] != "WAIT"]
    for result in keyed:
        if type(result) is AskError and not all(type(other) is AskError for other in keyed):
            raise TryAgainError(f"some of it is asked for elsewhere: {result}")
        if isinstance(result, _REDIRECTS):
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
