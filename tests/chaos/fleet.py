"""Two replicas at fixed addresses and their store, all of which are killed now and then.

Each knows Bandwidth by a name of its own, so that what it asks there can be told from what the other asks.
"""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import msgspec

from handlers.cli.runtime import STORE
from tests.chaos.stores import SiteStore
from tests.chaos.times import NEVER
from tests.chaos.troubles import Troubles
from tests.operators import NO_TLS
from tests.simulator.clock import monotonic
from tests.store_servers import PORTS

HOSTS = {"a": "127.0.0.1", "b": "localhost"}
TREE = Path(__file__).parents[2]
READY = 30.0
"""Seconds that a replica may take to start."""
STARTED = b'"service.started"'
LAST = 3
"""Lines of a log, for who wants to know why a replica has not started."""
STOPPED = 60.0
"""Seconds that it may take to end."""


class Downtime(msgspec.Struct):
    """A time in which an address did not answer, in monotonic seconds."""

    begun: float
    over: float = NEVER


class ReplicaAddress:
    """One of the two addresses that Bandwidth knows, and the process that listens there."""

    def __init__(self, name: str, host: str, directory: Path, settings: dict[str, str]) -> None:
        self.name = name
        self.host = host
        self.port = next(PORTS)
        self.url = f"http://127.0.0.1:{self.port}"
        self.logs: list[Path] = []
        """Of each process that has started, one; of one that found no store to start with, none."""
        self.downs: list[Downtime] = [Downtime(0.0)]
        self.started_at = 0.0
        """When the process was started that is there."""
        self.tree = TREE
        """Of the release that is started next."""
        self.trees: list[Path] = []
        """Of each process in `logs`, that of its release."""
        self.module = "tests.chaos.replica"
        """What is started."""
        self._directory = directory
        self.settings = {
            key: value.replace("127.0.0.1", host, 1) if key.startswith("BW_") else value
            for key, value in settings.items()
        }
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Of the process that is there, or was there last."""
        assert self._process is not None
        return self._process.pid

    @property
    def up(self) -> bool:
        return self.downs[-1].over < NEVER

    async def start(self) -> None:
        """Again while the store is away, as whatever supervises it would. Raises AssertionError."""
        try:
            async with asyncio.timeout(READY):
                while not await self._started():
                    pass
        except TimeoutError:
            raise AssertionError(f"replica {self.name} was not ready after {READY:.0f} s") from None
        self.downs[-1].over = monotonic()

    async def _started(self) -> bool:
        """Raises AssertionError where it ends for another reason than the store."""
        log = self._directory / f"replica-{self.name}{len(self.logs)}.log"
        self.started_at = monotonic()
        with log.open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self.module,
                "serve",
                "--port",
                str(self.port),
                cwd=self.tree,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(self.tree), **self.settings},  # noqa: TID251 - a child needs the path
                stdout=output,
                stderr=output,
            )
        async with httpx.AsyncClient(verify=NO_TLS) as client:
            while (code := self._process.returncode) is None:
                with suppress(httpx.TransportError):
                    # Somebody else's process may answer there, and ours be about to find that out.
                    alive = (await client.get(f"{self.url}/livez")).is_success
                    if alive and STARTED in log.read_bytes():
                        self.logs.append(log)
                        self.trees.append(self.tree)
                        return True
                await asyncio.sleep(0.02)
        said = " ".join(log.read_text(errors="replace").splitlines()[-LAST:])
        assert code == STORE, f"replica {self.name} ended at start with {code}: {said}"
        return False

    async def end(self, number: signal.Signals) -> int:
        """Its exit code; what is asked of it from now on may find nobody."""
        assert self._process is not None
        self.downs.append(Downtime(monotonic()))
        self._process.send_signal(number)
        async with asyncio.timeout(STOPPED):
            return await self._process.wait()

    async def reap(self) -> None:
        """Until Bandwidth has read all that a process has asked which has ended.

        The kernel had it by then. A connection of our own comes after those of the process.
        """
        async with httpx.AsyncClient() as client:
            await client.head(self.settings["BW_TOKEN_URL"], timeout=STOPPED)

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def was_down(self, since: float, until: float) -> bool:
        return any(down.begun <= until and since <= down.over for down in self.downs)


class Kill(msgspec.Struct, frozen=True):
    """At a monotonic second, of the replica that knows Bandwidth by this name."""

    at: float
    host: str
    begun: float = 0.0
    """When this process of it was started."""
    reaped_at: float = 0.0
    """By then Bandwidth had begun to serve all that the process had asked; no other had been started."""


class Stop(msgspec.Struct, frozen=True):
    """A process that was asked to end at a monotonic second, and had ended at another."""

    at: float
    over: float
    host: str
    begun: float
    """When it was started."""
    reaped_at: float
    """As of a kill."""


class Fleet:
    """What may be killed."""

    def __init__(
        self, directory: Path, store: SiteStore, settings: dict[str, str], troubles: Troubles | None = None
    ) -> None:
        self.addresses = [ReplicaAddress(name, host, directory, settings) for name, host in HOSTS.items()]
        self.store = store
        self.troubles = troubles or Troubles()
        self.kills: list[Kill] = []
        self.stops: list[Stop] = []
        self.terms = 0
        self.outages: list[Downtime] = []
        """Of the store."""
        self.exits: list[int] = []
        """Exit codes of replicas that were asked to end."""
        self.swallowed: set[str] = set()
        """Ids in answers to POSTs that a broken way has not passed on to a replica."""

    async def start(self) -> None:
        """Raises AssertionError once all have started, or have not."""
        starts = [address.start() for address in self.addresses]
        for failed in await asyncio.gather(*starts, return_exceptions=True):
            if failed is not None:
                raise failed

    async def kill(self, address: ReplicaAddress, away: float) -> None:
        kill = Kill(monotonic(), address.host, address.started_at)
        self.kills.append(kill)
        trouble = self.troubles.begin("killed", kill.at, host=address.host)
        await address.end(signal.SIGKILL)
        await address.reap()
        self.kills[-1] = msgspec.structs.replace(kill, reaped_at=monotonic())
        await asyncio.sleep(away)
        await address.start()
        trouble.over = monotonic()

    async def restart(self, address: ReplicaAddress, away: float, detail: str = "") -> None:
        self.terms += 1
        trouble = self.troubles.begin("ended", monotonic(), host=address.host, detail=detail)
        self.exits.append(await address.end(signal.SIGTERM))
        ended = monotonic()
        await address.reap()
        self.stops.append(Stop(trouble.begun, ended, address.host, address.started_at, monotonic()))
        await asyncio.sleep(away)
        await address.start()
        trouble.over = monotonic()

    async def restart_store(self, away: float) -> None:
        outage = Downtime(monotonic())
        trouble = self.troubles.begin("store-away", outage.begun)
        self.outages.append(outage)
        await self.store.kill()
        await asyncio.sleep(away)
        await self.store.start()
        outage.over = trouble.over = monotonic()

    async def close(self) -> None:
        await asyncio.gather(*(address.close() for address in self.addresses))
