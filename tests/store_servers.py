"""Servers for the store in processes of their own: one, a master with Sentinels, a cluster."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import RedisError, ResponseError

from service.store.redis.embedded import _binary
from tests.waiting import wait_until

HOST: Final = "127.0.0.1"
SERVICE: Final = "bridge"
TRIES: Final = 3
"""Of a failover that is ordered."""
LEFT_BEHIND: Final = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("nothing_for_others"),
]
"""For tests of failovers: the client library leaves connections to a master that has failed to the garbage
collector, which complains of them in whatever test runs by then."""
OPTIONS: Final = (
    *("--save", "", "--appendonly", "yes", "--repl-diskless-sync-delay", "0"),
    # What a server takes over from another stands in its journal as commands, as all else does.
    *("--aof-use-rdb-preamble", "no"),
)


_RESERVED: Final[list[socket.socket]] = []


def _free_ports() -> Iterator[int]:
    """Below those that outgoing connections get, since a server that was killed wants its own again.

    Each is kept until this process ends: a socket that is bound and never listens keeps others of these
    away, while a server that may use the address again gets it, as often as it is started.
    """
    for port in count(20_000 + os.getpid() * 20 % 10_000):
        probe = socket.socket()
        try:
            probe.bind((HOST, port))
        except OSError:
            probe.close()
            continue
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _RESERVED.append(probe)
        yield port


PORTS: Final = _free_ports()
"""For whatever listens and is killed."""


class RedisServer:
    """One process, which can be killed and started again, on a port and a directory of its own."""

    def __init__(self, directory: Path, *options: str, binary: str | None = None) -> None:
        self.port, self.bus = next(PORTS), next(PORTS)
        self.url = f"redis://{HOST}:{self.port}/0"
        self.redis = Redis(host=HOST, port=self.port, socket_timeout=5, retry=Retry(NoBackoff(), 2))
        self.directory = directory / str(self.port)
        self.directory.mkdir()
        self._binary = binary or _binary()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        collate = ("--locale-collate", "C") if "valkey" in self._binary else ()
        bus = ("--cluster-port", str(self.bus)) if "--cluster-enabled" in self._options else ()
        place = (*bus, "--port", str(self.port), "--dir", str(self.directory))
        command = [self._binary, *self._options, *place, *collate]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - our own binary

    async def start(self) -> None:
        self.launch()
        await wait_until(self.answers, seconds=20, what=lambda: (self.directory / "log").read_text()[-2000:])

    async def answers(self) -> bool:
        try:
            return bool(await self.redis.ping())
        except (RedisError, OSError):
            return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @contextmanager
    def dump(self) -> Iterator[None]:
        """There, and doing nothing."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        await self.redis.aclose()
        self.kill()

    async def asked(self, *words: str | int) -> Any:
        execute: Callable[..., Awaitable[Any]] = self.redis.execute_command  # the library has not typed it
        return await execute(*words)

    async def is_in_step(self) -> bool:
        """As a replica: it has all that its master has."""
        return await self.stat("replication", "master_link_status") == "up"

    async def stat(self, section: str, name: str) -> str:
        return str((await self.redis.info(section)).get(name))


class ClusterGroup:
    """Three masters, each with a replica: every second of `servers` is one of the server before it."""

    _OPTIONS = (
        *("--cluster-enabled", "yes", "--cluster-node-timeout", "1000"),
        *("--cluster-replica-validity-factor", "0"),
    )

    def __init__(self, directory: Path) -> None:
        self.servers = [RedisServer(directory, *OPTIONS, *self._OPTIONS) for _ in range(6)]
        self.url = f"redis+cluster://{HOST}:{self.servers[0].port},{HOST}:{self.servers[2].port}"

    async def start(self) -> None:
        for server in self.servers:
            server.launch()
        for server in self.servers:
            await wait_until(server.answers)
        for number, server in enumerate(self.servers):
            await server.asked("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for number, server in enumerate(self.servers[::2]):
            last = 16383 if number == 2 else 5461 * (number + 1) - 1
            await server.asked("CLUSTER", "ADDSLOTSRANGE", 5461 * number, last)
        for server in self.servers[1:]:
            await self.servers[0].asked("CLUSTER", "MEET", HOST, server.port, server.bus)
        await wait_until(self._all_know_all, what="the nodes never met")
        for master, replica in zip(self.servers[::2], self.servers[1::2], strict=True):
            await replica.asked("CLUSTER", "REPLICATE", await self.id_of(master))
        await self.whole_again()

    async def stop(self) -> None:
        for server in self.servers:
            await server.stop()

    async def _all_know_all(self) -> bool:
        known = [str(await server.asked("CLUSTER", "NODES")) for server in self.servers]
        return all(text.count("connected") == 6 and "handshake" not in text for text in known)

    async def whole(self) -> bool:
        """Everybody takes the cluster for sound, and every replica has its master."""
        for server in self.servers:
            if not await server.answers() or "cluster_state:ok" not in str(
                await server.asked("CLUSTER", "INFO")
            ):
                return False
            if await server.stat("replication", "role") == "slave":
                if not await server.is_in_step():
                    return False
            elif await server.stat("replication", "connected_slaves") != "1":
                return False
        return True

    async def whole_again(self) -> None:
        await wait_until(self.whole, seconds=20, what="the cluster never became whole again")

    @staticmethod
    async def id_of(server: RedisServer) -> str:
        return str((await server.asked("CLUSTER", "MYID")).decode())

    async def master_of(self, key: str) -> RedisServer:
        slot = key_slot(key.encode())
        for server in self.servers:
            if await server.answers():
                for first, last, (_, port, *_), *_ in await server.asked("CLUSTER", "SLOTS"):
                    if first <= slot <= last:
                        return next(one for one in self.servers if one.port == port)
        raise AssertionError(f"nobody has {key}")

    async def fail_over(self, key: str, *, back: bool = True) -> None:
        """The master of the key is killed; when its replica has become master it comes back as one."""
        dead = await self.master_of(key)
        replica = await self._replica_of(dead)
        dead.kill()
        await self._promoted(replica)
        if back:
            await dead.start()

    async def switch(self, key: str) -> RedisServer:
        """As is planned: the master of the key, which is returned, and its replica change places."""
        old = await self.master_of(key)
        replica = await self._replica_of(old)
        await replica.asked("CLUSTER", "FAILOVER")
        await self._promoted(replica)
        return old

    async def _replica_of(self, master: RedisServer) -> RedisServer:
        (replica,) = [one for one in self.servers if await self._is_replica_of(one, master)]
        return replica

    async def _promoted(self, replica: RedisServer) -> None:
        async def promoted() -> bool:
            return await replica.stat("replication", "role") == "master"

        await wait_until(promoted, seconds=20, what="the replica never became master")

    async def _is_replica_of(self, server: RedisServer, master: RedisServer) -> bool:
        return await server.stat("replication", "master_port") == str(master.port)

    async def migrate(self, key: str) -> None:
        """The slot of the key goes to another master, at once and with all that is in it."""
        slot, source = key_slot(key.encode()), await self.master_of(key)
        masters = [one for one in self.servers if await one.stat("replication", "role") == "master"]
        target = next(one for one in masters if one is not source)
        await source.asked(
            "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", await self.id_of(target)
        )

        async def moved() -> bool:
            return await self.master_of(key) is target

        await wait_until(moved, seconds=20, what="the slot never moved")


class SentinelGroup:
    """A master, replicas, and three Sentinels who agree by two."""

    def __init__(self, directory: Path, replicas: int = 2) -> None:
        self.servers = [RedisServer(directory, *OPTIONS) for _ in range(1 + replicas)]
        self.sentinels = [self._sentinel(directory, self.servers[0]) for _ in range(3)]
        hosts = ",".join(f"{HOST}:{one.port}" for one in self.sentinels)
        self.url = f"redis+sentinel://{hosts}/{SERVICE}/0"

    @staticmethod
    def _sentinel(directory: Path, master: RedisServer) -> RedisServer:
        configuration = directory / f"sentinel-{next(PORTS)}.conf"
        configuration.write_text(
            f"sentinel monitor {SERVICE} {HOST} {master.port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} 1000\n"
            f"sentinel failover-timeout {SERVICE} 5000\n"
        )
        return RedisServer(directory, str(configuration), "--sentinel")

    async def start(self) -> None:
        for server in self.servers:
            await server.start()
        for replica in self.servers[1:]:
            await replica.asked("REPLICAOF", HOST, self.servers[0].port)
        for sentinel in self.sentinels:
            await sentinel.start()
        await wait_until(self.whole, seconds=30, what="the Sentinels never agreed")

    async def stop(self) -> None:
        for server in (*self.sentinels, *self.servers):
            await server.stop()

    async def master(self, by: int = 0) -> RedisServer:
        """As this Sentinel says."""
        _, port = await self.sentinels[by].asked("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(one for one in self.servers if one.port == int(port))

    async def whole(self) -> bool:
        """Everybody has found everybody."""
        for sentinel in self.sentinels:
            state: Any = await sentinel.redis.sentinel_master(SERVICE)
            found = (state["num-slaves"], state["num-other-sentinels"], state["flags"])
            if found != (len(self.servers) - 1, 2, "master"):
                return False
        connected = await (await self.master()).stat("replication", "connected_slaves")
        return connected == str(len(self.servers) - 1)

    async def fail_over(self) -> None:
        """The master is killed, and comes back as a replica when another has taken over."""
        dead = await self.master()
        dead.kill()
        await self._replaced(dead)
        await dead.start()

    async def switch(self, *how: str, by: int = 0) -> None:
        """As is planned, led by this Sentinel; without `COORDINATED` the old one stays a master for 10 s."""
        old = await self.master(by)
        for _ in range(TRIES):
            # One that is under way is waited for; one that was given up, on a busy machine, is ordered again.
            with suppress(ResponseError):
                await self.sentinels[by].asked("SENTINEL", "FAILOVER", SERVICE, *how)
            with suppress(AssertionError):
                await self._replaced(old, by)
                return
        raise AssertionError("no replica became master")

    async def _replaced(self, old: RedisServer, by: int = 0) -> None:
        async def replaced() -> bool:
            master = await self.master(by)
            return master is not old and await master.stat("replication", "role") == "master"

        await wait_until(replaced, seconds=15, what="no replica became master")


Topology = TypeVar("Topology", RedisServer, ClusterGroup, SentinelGroup)


@asynccontextmanager
async def running(topology: Topology) -> AsyncIterator[Topology]:
    try:
        await topology.start()
        yield topology
    finally:
        await topology.stop()


@contextmanager
def launched(server: RedisServer) -> Iterator[str]:
    """The URL of a server that outlives event loops."""

    async def start() -> None:
        await server.start()
        await server.redis.aclose()

    asyncio.run(start())
    try:
        yield server.url
    finally:
        server.kill()
