"""The clients that people listen with, through connections that break at every byte: nothing is missed."""

import asyncio
import contextlib
import importlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import pytest
from redis.asyncio import Redis

from service.store import keys
from service.tasks import Tasks
from tests.api.clients import ALL, serving_api
from tests.event_listener import NO_TLS
from tests.harness import RunningService
from tests.simulator.simulator import Simulator
from tests.test_page_units import NODE, PAGE, ROOT, without_node
from tests.waiting import wait_until

HOST: Final = "127.0.0.1"
AT_ONCE: Final = 150
"""Listeners; a few hundred of them would need more open files than some machines allow."""
WORDS: Final = ("one", "two")
STREAMS: Final = pytest.mark.parametrize("path", ["/events", "/rooms/lobby/events"], ids=["all", "room"])


class Breaking:
    """A proxy. The first connection with a header X-Cut ends after so many bytes of the answer's body."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._seen: set[bytes] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""
        self.longest = 0
        """Bytes of the longest body."""

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            cut = next(one for one in head.lower().split(b"\r\n") if one.startswith(b"x-cut:"))
            left = None if cut in self._seen else int(cut.partition(b":")[2])
            self._seen.add(cut)
            there, back = await asyncio.open_connection(HOST, self._port)
            self._writers |= {writer, back}
            back.write(head)
            async with asyncio.TaskGroup() as group:
                passing = group.create_task(self._pass(there, writer, left))
                leaving = group.create_task(reader.read())
                await asyncio.wait({passing, leaving}, return_when=asyncio.FIRST_COMPLETED)
                passing.cancel()
                leaving.cancel()
            back.close()
        writer.close()

    async def _pass(
        self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None
    ) -> None:
        writer.write(await there.readuntil(b"\r\n\r\n"))
        passed = 0
        while (passed != left) and (piece := await there.read(65536)):
            piece = piece.replace(b"retry: 1000", b"retry: 0010")  # a second is long here
            piece = piece if left is None else piece[: left - passed]
            passed += len(piece)
            self.longest = max(self.longest, passed)
            writer.write(piece)
            await writer.drain()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def breaking(service: RunningService) -> AsyncIterator[Breaking]:
    proxy = Breaking(httpx.URL(service.url).port or 80)
    server = await asyncio.start_server(proxy.accept, HOST, 0)
    proxy.url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}/api/v1"
    try:
        yield proxy
    finally:
        server.close()
        proxy.close()


Heard = dict[int, list[tuple[str, dict[str, Any]]]]
"""What each listener was told, by the byte at which its connection broke."""
Listen = Callable[[str, list[int], Heard], Any]


@asynccontextmanager
async def by_eventsource(url: str, cuts: list[int], heard: Heard) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        str(NODE),
        str(ROOT / "tests" / "api" / "listener.mjs"),
        url,
        ALL,
        ",".join(map(str, cuts)),
        stdout=asyncio.subprocess.PIPE,
    )

    async def read() -> None:
        assert process.stdout
        async for line in process.stdout:
            told = json.loads(line)
            heard[int(told["cut"])].append((told["kind"], told["data"]))

    reading = Tasks().start(read(), name="read")
    try:
        yield
    finally:
        process.kill()
        await process.wait()
        await reading


@asynccontextmanager
async def by_httpx_sse(url: str, cuts: list[int], heard: Heard) -> AsyncIterator[None]:
    sse: Any = importlib.import_module("httpx_sse")

    async def listen(client: httpx.AsyncClient, cut: int) -> None:
        last = ""
        while True:
            headers = {"Authorization": f"Bearer {ALL}", "X-Cut": str(cut)}
            headers |= {"Last-Event-ID": last} if last else {}
            with contextlib.suppress(httpx.TransportError, sse.SSEError):
                async with sse.aconnect_sse(client, "GET", url, headers=headers) as source:
                    async for event in source.aiter_sse():
                        heard[cut].append((event.event, json.loads(event.data)))
                        last = event.id or last
            await asyncio.sleep(0.01)

    limits = httpx.Limits(max_connections=2 * AT_ONCE)
    async with httpx.AsyncClient(verify=NO_TLS, timeout=60, limits=limits) as client:
        listening = [Tasks().start(listen(client, cut), name="listen") for cut in cuts]
        try:
            yield
        finally:
            for one in listening:
                one.cancel()
            await asyncio.wait(listening)


async def say(redis: Redis, run: int, word: str) -> None:
    data = json.dumps({"id": word, "run": run})
    await redis.xadd(keys.news(3), {"kind": "call", "at": 1, "rooms": "lobby", "data": data})


def words(told: list[tuple[str, dict[str, Any]]], run: int) -> list[str]:
    return [data["id"] for kind, data in told if kind == "call" and data["run"] == run]


async def broken_everywhere(service: RunningService, redis: Redis, path: str, listen: Listen) -> None:
    """Every listener hears every word once, or is told to look."""
    first = "snapshot" if path.startswith("/rooms") else "mark"
    async with breaking(service) as proxy:
        at, run = 0, 0
        while not run or at <= proxy.longest:
            cuts = list(range(at, at + AT_ONCE))
            heard: Heard = defaultdict(list)
            async with listen(f"{proxy.url}{path}", cuts, heard):
                await wait_until(
                    lambda: all(heard[cut] for cut in cuts),  # noqa: B023 - awaited here
                    what=lambda: [cut for cut in cuts if not heard[cut]],  # noqa: B023
                )
                for word in WORDS:
                    await say(redis, run, word)
                await wait_until(
                    lambda: all(WORDS[-1] in words(heard[cut], run) for cut in cuts),  # noqa: B023
                    what=lambda: {cut: heard[cut] for cut in cuts if WORDS[-1] not in words(heard[cut], run)},  # noqa: B023
                )
            for cut in cuts:
                assert heard[cut][0][0] == first, (cut, heard[cut])
                assert words(heard[cut], run) == list(WORDS), (cut, heard[cut])
                assert not {"reset", "closed"} & {kind for kind, _ in heard[cut]}, (cut, heard[cut])
            at, run = at + AT_ONCE, run + 1
        assert run > 1


@pytest.fixture
async def service(simulator: Simulator, store_url: str) -> AsyncIterator[RunningService]:
    async with serving_api(simulator, store_url, API_RATE_LIMIT="0") as service:
        yield service


@without_node
@pytest.mark.skipif(
    not (PAGE / "node_modules" / "eventsource").exists(),
    reason="the page's packages are not there: make page",
)
@STREAMS
async def test_npms_eventsource(service: RunningService, redis: Redis, path: str) -> None:
    await broken_everywhere(service, redis, path, by_eventsource)


@STREAMS
async def test_httpx_sse(service: RunningService, redis: Redis, path: str) -> None:
    await broken_everywhere(service, redis, path, by_httpx_sse)
