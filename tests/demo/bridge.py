"""The service as somebody runs it: its command, its environment, its log, its exit code."""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import STDOUT
from typing import Final

import aiohttp

from service.store.redis.embedded import EmbeddedServer, default_directory
from tests.demo.checks import CheckFailed
from tests.simulator.clock import monotonic
from tests.simulator.simulator import Simulator

ORIGIN: Final = "https://bridge.test"
SALES: Final = "+19195550100"
"""The number that has a room; whoever calls another one gets a room of their own."""
CONFERENCE: Final = "+19195550102"
"""The number that asks for digits."""
API_KEY: Final = "demo-api-key-0123456789"
_USERNAME: Final = "bandwidth"
_PASSWORD: Final = "callback-password"
_START: Final = 20.0
_STOP: Final = 10.0
_PAUSE: Final = 0.01
_LINES: Final = 20


def environment(simulator: Simulator, state: str, **overrides: str) -> dict[str, str]:
    """All that the service is told; without REDIS_URL it starts the embedded store, here under `state`."""
    return {
        "PATH": os.defpath,
        "BW_ACCOUNT_ID": simulator.account_id,
        "BW_CLIENT_ID": simulator.client_id,
        "BW_CLIENT_SECRET": simulator.client_secret,
        "BW_VOICE_URL": simulator.voice_url,
        "BW_WEBRTC_URL": simulator.webrtc_url,
        "BW_TOKEN_URL": simulator.token_url,
        "BASE_CALLBACK_URL": ORIGIN,
        "CALLBACK_USERNAME": _USERNAME,
        "CALLBACK_PASSWORD": _PASSWORD,
        "BW_VOICE_APPLICATION_ID": simulator.application_id,
        "BW_NUMBER": SALES,
        "OUTBOUND_PREFIXES": "+1",
        "API_KEYS": API_KEY,
        "API_RATE_LIMIT": "0",  # who waits for the next step asks many times a second
        # Each scene shows the requests of a call by itself; stock would have some of them done before.
        "PREPARED_PARTICIPANTS": "0",
        "PIN_NUMBERS": CONFERENCE,
        "ROOM_MAP": json.dumps({SALES: "sales"}),
        "XDG_STATE_HOME": state,
        "DRAIN_DELAY": "0",
        "LOG_FORMAT": "json",
        **overrides,
    }


class ServiceProcess:
    """The running service."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log
        self.keep_log = False
        self.asked_to_stop = False
        self.url = ""

    async def ready(self) -> None:
        """Wait until it listens and /readyz says that it can take calls."""
        ends = monotonic() + _START
        while not self.url:
            self.url = self._address()
            await self._again(ends, "say where it listens")
        async with aiohttp.ClientSession() as session:
            while not await _is_ready(session, self.url):
                await self._again(ends, "become ready")

    async def stop(self) -> None:
        """SIGTERM, and the exit code that has to be 0."""
        self.asked_to_stop = True
        if self.process.returncode is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(_STOP):
                code = await self.process.wait()
        except TimeoutError:
            raise CheckFailed(f"the service did not end within {_STOP:.0f} s of SIGTERM") from None
        if code != 0:
            raise CheckFailed(f"the service ended with exit code {code}, not 0")

    def last_lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()[-_LINES:]

    def _address(self) -> str:
        for line in self.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if said.get("event") == "service.started":
                    return str(said["address"])
        return ""

    async def _again(self, ends: float, what: str) -> None:
        if self.process.returncode is not None:
            raise CheckFailed(f"the service ended at its start, with exit code {self.process.returncode}")
        if monotonic() > ends:
            raise CheckFailed(f"the service did not {what} within {_START:.0f} s")
        await asyncio.sleep(_PAUSE)


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def command(port: int = 0) -> list[str]:
    """Port 0 takes a free one; the log says which. A leg that ends at once has been talked on here."""
    return [sys.executable, "-m", "tests.demo.service", "serve", "--host", "127.0.0.1", "--port", str(port)]


@asynccontextmanager
async def running(
    simulator: Simulator, tell: Callable[[str], None], *, port: int = 0, **overrides: str
) -> AsyncIterator[ServiceProcess]:
    """The service, ready, and the simulator pointed at it. On failure its log stays, and is told about."""
    words = command(port)
    descriptor, name = tempfile.mkstemp(prefix="bridge-demo-", suffix=".log")
    log = Path(name)
    with tempfile.TemporaryDirectory(prefix="bridge-demo-") as state:
        with os.fdopen(descriptor, "wb") as output:
            process = await asyncio.create_subprocess_exec(
                *words,
                env=environment(simulator, state, **overrides),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=STDOUT,
                # Ctrl-C is for the demo, which ends the service in order.
                start_new_session=True,
            )
        bridge = ServiceProcess(process, log)
        try:
            await bridge.ready()
            _point(simulator, bridge.url, overrides.get("BASE_CALLBACK_URL", ORIGIN))
            yield bridge
            await bridge.stop()
        except Exception:
            tell(f"\nThe last {_LINES} lines of the service's log, all of it in {log}:")
            for line in bridge.last_lines():
                tell(f"  {line}")
            bridge.keep_log = True
            raise
        finally:
            await _end(bridge, Path(state))


async def _end(bridge: ServiceProcess, state: Path) -> None:
    """Whatever has happened, neither the service nor its store outlives the demo."""
    if not bridge.asked_to_stop:
        with contextlib.suppress(CheckFailed):
            await bridge.stop()
    if bridge.process.returncode is None:
        bridge.process.kill()
        await bridge.process.wait()
    if bridge.process.returncode != 0 and (store := _store_in(state)):
        # Its server outlives a service that was killed: take hold of it as the next one would.
        await store.start()
        await store.stop()
    if not bridge.keep_log:
        bridge.log.unlink()


def _store_in(state: Path) -> EmbeddedServer | None:
    directory = default_directory(str(state))
    return EmbeddedServer(directory) if directory.exists() else None


def _point(simulator: Simulator, url: str, origin: str) -> None:
    simulator.map_origin(origin, url)
    application = simulator.application
    application.initiate_url = application.status_url = f"{origin}/callbacks/voice"
    application.username, application.password = _USERNAME, _PASSWORD
