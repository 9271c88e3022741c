"""The service as a test holds it: the real application on a loopback port, its store, its log."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
import uvicorn
from redis.asyncio import Redis

from handlers.app.asgi import create_app
from handlers.http.draining import Drain
from service import logs
from service.engine.timeouts import Timeouts
from service.settings import Settings, load
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

ORIGIN = "https://bridge.test"
USERNAME = "bandwidth"
PASSWORD = "callback-password"
FIRST, SECOND = "https://a.test", "https://b.test"
"""Where Bandwidth asks, and where it does when nobody answers there."""
NUMBER = "+15551234567"
"""Ours, from which is called."""
CALLEE = "+15557654321"
API_KEY = "tests-api-key-0123456789"
READER_KEY = "tests-reader-key-0123456789"
API_KEYS = f"all:read+dial+control+numbers:{API_KEY},reader:read:{READER_KEY}"


SHORT_TIMEOUTS = Timeouts(min_leg_duration=0)
"""Talks are short in tests: a far end that hangs up at once is no fault there, unless a test says so."""


class LogBuffer:
    """Where the log goes in tests; each service reads from where it began."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, text: str) -> int:
        self.written.extend(text.splitlines())
        return len(text)

    def flush(self) -> None: ...


LOG = LogBuffer()


def log_to_lines() -> None:
    """For each service anew: other tests of the process have logging of their own."""
    logs.configure(format="json", level="debug", stream=LOG)  # type: ignore[arg-type] # the two methods it calls
    structlog.configure(cache_logger_on_first_use=False)


def settings_for(simulator: Simulator, store_url: str, **overrides: str) -> Settings:
    environ = {
        "BW_ACCOUNT_ID": simulator.account_id,
        "BW_CLIENT_ID": simulator.client_id,
        "BW_CLIENT_SECRET": simulator.client_secret,
        "BW_VOICE_URL": simulator.voice_url,
        "BW_WEBRTC_URL": simulator.webrtc_url,
        "BW_TOKEN_URL": simulator.token_url,
        "BASE_CALLBACK_URL": ORIGIN,
        "CALLBACK_USERNAME": USERNAME,
        "CALLBACK_PASSWORD": PASSWORD,
        "BW_VOICE_APPLICATION_ID": simulator.application_id,
        "BW_NUMBER": NUMBER,
        "OUTBOUND_PREFIXES": "+1",
        "API_KEYS": API_KEYS,
        "PREPARED_PARTICIPANTS": "0",  # tests count requests; those of stock have it
        "WARM_CONNECTIONS": "0",
        "API_RATE_LIMIT": "0",  # who waits for something asks far more often than an operator
        "REDIS_URL": store_url,
        "SHUTDOWN_GRACE": "5",
    }
    return load({**environ, **overrides})


def point_at_two(simulator: Simulator, first: Sequence[str], second: Sequence[str]) -> None:
    """Replicas behind each of the two addresses; those behind one are asked in turn."""
    for origin, urls in ((FIRST, first), (SECOND, second)):
        simulator.map_origin(origin, *urls)
    application = simulator.application
    application.initiate_url = application.status_url = f"{FIRST}/callbacks/voice"
    application.initiate_fallback_url = f"{SECOND}/callbacks/voice"
    application.username = application.fallback_username = USERNAME
    application.password = application.fallback_password = PASSWORD


class _Server(uvicorn.Server):
    """Uvicorn's without its fixed waits: tests stop many servers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answers that are due go out; then the application ends what it has under way."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if tasks := set(self.server_state.tasks):
            await asyncio.wait(tasks, timeout=5)
        await self.lifespan.shutdown()


class RunningService:
    """One replica."""

    def __init__(
        self, settings: Settings, listener: socket.socket, patience: Timeouts = SHORT_TIMEOUTS
    ) -> None:
        self.settings = settings
        self._listener = listener
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._from = len(LOG.written)
        self._stopping = Drain()
        config = uvicorn.Config(
            create_app(settings, timeouts=patience, drain=self._stopping),
            lifespan="on",
            log_config=None,
            access_log=False,
        )
        self._server = _Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined] # pytest has its own
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        serving = self._server.serve(sockets=[self._listener])
        self._task = asyncio.get_running_loop().create_task(serving)
        await wait_until(lambda: self._server.started or (self._task and self._task.done()))
        assert self._server.started, "the service did not start"

    async def stop(self) -> None:
        self._stopping.signal()
        self._server.stopping.set()
        if self._task:
            await self._task

    def log(self, event: str | None = None, **fields: Any) -> list[dict[str, Any]]:
        """Lines of the log since this replica began, those of one event with these fields."""
        lines = [json.loads(line) for line in LOG.written[self._from :]]
        wanted = {**fields, **({"event": event} if event else {})}
        return [line for line in lines if all(line.get(key) == value for key, value in wanted.items())]


@asynccontextmanager
async def serving(
    simulator: Simulator, store_url: str, patience: Timeouts = SHORT_TIMEOUTS, /, **overrides: str
) -> AsyncIterator[RunningService]:
    """A replica that the simulator's application points at."""
    log_to_lines()
    # With the protocol named asyncio switches Nagle's algorithm off; left on, replies take 40 ms more.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    service = RunningService(settings_for(simulator, store_url, **overrides), listener, patience)
    simulator.webhooks.map_origin(ORIGIN, service.url)
    application = simulator.application
    application.initiate_url = application.status_url = f"{ORIGIN}/callbacks/voice"
    application.username, application.password = USERNAME, PASSWORD
    try:
        await service.start()
        yield service
    finally:
        await service.stop()
        listener.close()


async def nothing_left(simulator: Simulator, redis: Redis, *, seconds: float = 20.0) -> None:
    """When all calls are over: nothing lives at Bandwidth, nothing is owed, and every key will expire."""
    await wait_until(
        lambda: simulator.ledger.empty,
        seconds=seconds,
        what=lambda: f"still alive: {simulator.ledger.alive()}",
    )

    owing: list[str] = []

    async def settled() -> bool:
        owing[:] = [f"{key!r}: {await redis.hkeys(key)}" async for key in redis.scan_iter("*:owed:*")]
        return not [key async for key in redis.scan_iter("*:agenda")]

    await wait_until(settled, seconds=seconds, what=lambda: f"work is still owed: {owing}")
    assert not [key async for key in redis.scan_iter("*:owed:*")]
    assert not [key async for key in redis.scan_iter("*:room:*")], "a room has outlived its members"
    lasting = [key async for key in redis.scan_iter("*") if await redis.ttl(key) < 0]
    assert not lasting, f"keys that never expire: {lasting}"
    assert simulator.complaints == []
    assert simulator.ledger.unreceived == []
