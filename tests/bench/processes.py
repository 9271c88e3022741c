"""What takes part, each a process: a store, replicas of the service, a stub of Bandwidth, a bare endpoint."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

from service.store.redis.embedded import EmbeddedServer
from tests.bench import machine
from tests.bench.callers import ACCOUNT
from tests.bench.fast_http import FastClient
from tests.bench.machine import Cores
from tests.harness import API_KEY, API_KEYS, NUMBER, PASSWORD, USERNAME
from tests.processes import free_port

ROOMS: Final = 64
_READY: Final = 30.0
"""Seconds."""


def room_number(room: int) -> str:
    """The number of ours that leads into it."""
    return f"+1555200{room:04}"


PRIVATE_NUMBER: Final = "+15553000000"
"""A number of ours that leads into a room of each caller's own."""


@dataclass
class Process:
    pid: int
    port: int
    started: float
    """Seconds until it answered."""
    log: Path


@dataclass
class BenchProcesses:
    cores: Cores
    folder: Path
    stack: AsyncExitStack
    profile: Path | None = None
    _started: int = field(default=0)

    async def stub(self) -> "StubClient":
        process = await self._run(self.cores.load, "tests.bench.stub", [], path="/stats")
        return StubClient(process, FastClient(process.port))

    async def bare(self) -> Process:
        return await self._run(self.cores.service, "tests.bench.bare", [], path="/")

    async def store(self, *, core: int | None = None) -> "StoreClient":
        server = EmbeddedServer(self.folder / f"store{self._next()}")
        with machine.on(self.cores.load if core is None else core):
            url = await server.start()
        self.stack.push_async_callback(server.stop)
        client = await self.stack.enter_async_context(Redis.from_url(url))
        return StoreClient(url, client)

    async def replica(
        self,
        store: "StoreClient",
        stub: "StubClient",
        *,
        core: int | None = None,
        stock: int = 0,
        store_format: int = 1,
        python: Path | None = None,
        started_as: Sequence[str] = ("handlers.cli",),
        more_keys: str = "",
    ) -> Process:
        """`stock`: participants that a room has ready for its next callers. `python`: another build's.

        `started_as`: the module, and its arguments before those of the command. `more_keys`: of the API.
        """
        port = stub.process.port
        settings = {
            "BW_ACCOUNT_ID": ACCOUNT,
            "BW_CLIENT_ID": "bench",
            "BW_CLIENT_SECRET": "bench-secret",
            "BW_VOICE_URL": f"http://127.0.0.1:{port}/api/v2",
            "BW_WEBRTC_URL": f"http://127.0.0.1:{port}/v1",
            "BW_TOKEN_URL": f"http://127.0.0.1:{port}/api/v1/oauth2/token",
            "BW_NUMBER": NUMBER,
            "BW_VOICE_APPLICATION_ID": "7fc9698a-b04a-468b-9e8f-91238c0d0086",
            "BASE_CALLBACK_URL": "https://bridge.test",
            "CALLBACK_USERNAME": USERNAME,
            "CALLBACK_PASSWORD": PASSWORD,
            "API_KEYS": f"{API_KEYS},{more_keys}" if more_keys else API_KEYS,
            "API_RATE_LIMIT": "0",
            "CALLS_PER_HOUR": "100000",
            "PREPARED_PARTICIPANTS": str(stock),
            "STORE_FORMAT": str(store_format),
            "OUTBOUND_PREFIXES": "+1",
            "ROOM_MAP": json.dumps({room_number(one): f"room-{one}" for one in range(ROOMS)}),
            "DRAIN_DELAY": "0",
            "REDIS_URL": store.url,
        }
        where = self.cores.service if core is None else core
        module, *before = started_as
        arguments = [*before, "serve", "--port"]
        return await self._run(where, module, arguments, path="/readyz", settings=settings, python=python)

    async def _run(
        self,
        core: int,
        module: str,
        arguments: Sequence[str],
        *,
        path: str,
        settings: dict[str, str] | None = None,
        python: Path | None = None,
    ) -> Process:
        port, number = free_port(), self._next()
        profiled = settings is not None and self.profile is not None
        profiler = ["-m", "cProfile", "-o", str(self.profile)] if profiled else []
        log = self.folder / f"{module}{number}.log"
        begun = time.perf_counter()
        with machine.on(core), log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                str(python or sys.executable),
                *profiler,
                "-m",
                module,
                *arguments,
                str(port),
                env={"PATH": os.environ["PATH"], **(settings or {})},  # noqa: TID251 - a child needs the path
                stdout=output,
                stderr=output,
                # Python looks for modules where it is started: another build's are in its own checkout.
                cwd=python.parents[2] if python else None,
            )
        self.stack.push_async_callback(_ended, process, gently=profiled)
        client = FastClient(port)
        async with asyncio.timeout(_READY):
            while not await _answers(client, path):
                if process.returncode is not None:
                    raise RuntimeError(f"{module} ended at once: {log.read_text()[-2000:]}")
                await asyncio.sleep(0.01)
        client.close()
        return Process(process.pid, port, time.perf_counter() - begun, log)

    def _next(self) -> int:
        self._started += 1
        return self._started


async def _answers(client: FastClient, path: str) -> bool:
    try:
        return (await client.send("GET", path)).status == 200
    except OSError:
        return False


async def _ended(process: asyncio.subprocess.Process, *, gently: bool) -> None:
    if process.returncode is None:
        (process.terminate if gently else process.kill)()
        await process.wait()


@asynccontextmanager
async def bench_processes(folder: Path, profile: Path | None = None) -> AsyncIterator[BenchProcesses]:
    """Whatever was started ends with it."""
    found = machine.cores()
    async with AsyncExitStack() as stack:
        with machine.on(found.load):
            yield BenchProcesses(found, folder, stack, profile)


class StubClient:
    def __init__(self, process: Process, client: FastClient) -> None:
        self.process = process
        self._client = client

    async def set_latency(self, milliseconds: float) -> None:
        """For each answer from now on."""
        await self._client.send("PUT", f"/latency/{milliseconds}")

    async def answer_url(self, call_id: str) -> str:
        """The path of it."""
        url = (await self._client.send("GET", f"/asked/{call_id}")).body.decode()
        return "/" + url.split("/", 3)[3]

    async def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((await self._client.send("GET", "/stats")).body)
        return found

    async def counted(self) -> tuple[int, int]:
        """Requests, without those for tokens, and connections."""
        found = await self.stats()
        operations = {
            name: number
            for name, number in found["operations"].items()
            if "token" not in name and "HEAD" not in name
        }
        return sum(operations.values()), found["connections"]


class StoreClient:
    def __init__(self, url: str, client: Redis) -> None:
        self.url = url
        self._client = client

    async def trips(self) -> int:
        """Scripts that were run; nothing else is sent in the way of a call."""
        found = await self._client.info("commandstats")
        return sum(found.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))

    async def bytes_moved(self) -> int:
        found = await self._client.info("stats")
        return int(found["total_net_input_bytes"]) + int(found["total_net_output_bytes"])

    async def used(self) -> int:
        """Bytes of memory, without those for connections and for what is on its way to the file."""
        found = await self._client.info("memory")
        return int(found["used_memory"] - found["mem_clients_normal"] - found["mem_aof_buffer"])

    async def past_events(self) -> int:
        """Bytes of memory once what expires within an hour of a call's end has done so."""
        for what in ("*:events:*", "*:news"):
            async for key in self._client.scan_iter(what, count=1000):
                await self._client.unlink(key)
        return await self.used()

    async def news(self) -> int:
        """Bytes of the live events: of the newest, however many calls there are."""
        streams = [key async for key in self._client.scan_iter("*:news")]
        return sum([await self._client.memory_usage(key, samples=0) or 0 for key in streams])

    async def processor_seconds(self) -> float:
        found = await self._client.info("cpu")
        return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def webhooks(process: Process) -> FastClient:
    return FastClient(process.port, username=USERNAME, password=PASSWORD)


def operator(process: Process) -> FastClient:
    return FastClient(process.port, bearer=API_KEY)
