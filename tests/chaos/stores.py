"""Stores that a storm can be played on: what all have in common, and a Sentinel set."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import RedisError

from tests.store_servers import HOST, SERVICE, RedisServer, SentinelGroup
from tests.waiting import wait_until

DOWN_AFTER: Final = 1.0
"""Seconds of silence after which a Sentinel takes a server to be down."""
FAILOVER: Final = 5.0
"""Seconds that a failover takes at most."""
_SENTINEL_LINE: Final = re.compile(
    r"\d+:X (?P<at>\d+ \w+ \d+ [\d:.]+) \S \+(?P<event>sdown|odown|try-failover|switch-master) (?P<rest>.*)"
)
WHOLE = 40.0
"""Seconds that a Sentinel set may take to get over a failover; a killed master is back after 12 at most."""


class SiteStore(Protocol):
    """What `Site.store` is. `tests.stores.RestartableStore`, a single server, is one too."""

    @property
    def url(self) -> str:
        """REDIS_URL of the replicas, known once it has started."""

    @property
    def journal(self) -> Path:
        """The directory of the append-only file of the server that is master."""

    def client(self) -> Redis:
        """A new one, which asks the master."""

    async def pid(self) -> int:
        """Of the process that takes the writes."""

    async def named(self) -> int | None:
        """The port of the master, where another may become it. None where there is one server only.

        Raises RedisError where not everybody says the same.
        """

    async def start(self) -> None:
        """Also after `kill`: until all is as before."""

    async def kill(self) -> None:
        """The process that takes the writes."""

    async def stop(self) -> None: ...


class MasterChange(NamedTuple):
    """From when the former master is down, or is to be replaced, until all Sentinels name the new one.

    Seconds since the epoch.
    """

    begun: float
    named: float
    """When the first Sentinel names the new one."""
    over: float


def master_changes(logs: Iterable[str]) -> list[MasterChange]:
    """Each change that the Sentinels' logs tell of, in order."""
    times: dict[tuple[str, int], list[float]] = defaultdict(list)
    downs: list[float] = []
    for log in logs:
        seen: Counter[str] = Counter()
        for line in log.splitlines():
            if (found := _SENTINEL_LINE.match(line)) is None:
                continue
            at = datetime.strptime(found["at"], "%d %b %Y %H:%M:%S.%f").astimezone().timestamp()
            if found["event"] == "switch-master":
                # The same change of roles may come again, later.
                seen[found["rest"]] += 1
                times[found["rest"], seen[found["rest"]]].append(at)
            elif found["rest"].startswith("master "):
                downs.append(at)
    changes: list[MasterChange] = []
    before = 0.0
    for ats in sorted(times.values(), key=min):
        named = min(ats)
        begun = min([named, *(one for one in downs if max(before, named - FAILOVER) < one < named)])
        changes.append(MasterChange(begun - DOWN_AFTER, named, max(ats)))
        before = named
    return changes


class _Asking(Sentinel):
    """By name: the list of masters, by which the library goes, names a former one for ten seconds longer."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        for one in self.sentinels:
            with suppress(RedisError, OSError):
                match await one.sentinel_get_master_addr_by_name(service_name):
                    case (str(host), port):
                        return host, int(port)
        raise RedisError(f"no Sentinel names a master of {service_name}")


class SentinelSet:
    """A master, two replicas and three Sentinels.

    The journal is that of the present master alone. It begins with what that server had when it last took
    over a copy of its master's data, and has nothing in it that a former master took and did not pass on.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.servers = SentinelGroup(directory)
        self.url = self.servers.url
        self._master = self._former = self.servers.servers[0]
        self._dead: RedisServer | None = None
        build: Callable[..., Sentinel] = _Asking
        self._sentinel = build(
            [(HOST, one.port) for one in self.servers.sentinels], sentinel_kwargs={"decode_responses": True}
        )

    @property
    def journal(self) -> Path:
        return self._master.directory / "appendonlydir"

    def sentinel_logs(self) -> list[str]:
        return [(one.directory / "log").read_text() for one in self.servers.sentinels]

    async def pid(self) -> int:
        return int(await (await self.servers.master()).stat("server", "process_id"))

    async def named(self) -> int | None:
        named = {await self.servers.master(by) for by in range(len(self.servers.sentinels))}
        if len(named) != 1:
            raise RedisError("the Sentinels name several masters")
        return named.pop().port

    def client(self) -> Redis:
        client: Redis = self._sentinel.master_for(SERVICE, decode_responses=True)
        return client

    async def start(self) -> None:
        if self._dead is None:
            await self.servers.start()
        else:
            await self._dead.start()
            await self.whole()
            self._dead, self._master = None, await self.servers.master()
        for server in self.servers.servers:
            # A journal that is written anew forgets what is no longer there.
            await server.redis.config_set("auto-aof-rewrite-percentage", 0)

    async def kill(self) -> None:
        self._dead = self._former = await self.servers.master()
        self._dead.kill()

    async def fail_over(self, *how: str) -> None:
        """As is planned, until a replica has become master. `how`: COORDINATED, or nothing."""
        self._former = await self.servers.master()
        await self.servers.switch(*how)

    async def replaced(self) -> None:
        """After a failover: another server is master, and a replica confirms what it takes.

        Another than when it was ordered: Sentinels also change it by themselves, on a busy machine.
        """

        async def confirmed() -> bool:
            # All of them: a client asks any, and stays with a former master while that says that it is one.
            named = [await self.servers.master(by) for by in range(len(self.servers.sentinels))]
            self._master = named[0]
            if self._former in named or len(set(named)) > 1 or not await self._master.answers():
                return False
            replication = await self._master.redis.info("replication")
            online = [
                one for one in replication.values() if isinstance(one, dict) and one.get("state") == "online"
            ]
            return replication["role"] == "master" and bool(online)

        await wait_until(confirmed, seconds=WHOLE, what="no replica became master")

    async def whole(self) -> None:
        """Whoever was master before is a replica of the new one."""
        await wait_until(self.servers.whole, seconds=WHOLE, what="the Sentinel set never became whole again")

    async def stop(self) -> None:
        await self._sentinel.aclose()
        await self.servers.stop()
