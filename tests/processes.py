"""A replica in a process of its own, for what only a process can do: be signalled, be killed."""

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.harness import ORIGIN, PASSWORD, USERNAME
from tests.simulator.simulator import Simulator


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(simulator: Simulator, **overrides: str) -> dict[str, str]:
    """The settings of a service that takes the simulator for Bandwidth."""
    return {
        "BW_ACCOUNT_ID": simulator.account_id,
        "BW_CLIENT_ID": simulator.client_id,
        "BW_CLIENT_SECRET": simulator.client_secret,
        "BW_VOICE_URL": simulator.voice_url,
        "BW_WEBRTC_URL": simulator.webrtc_url,
        "BW_TOKEN_URL": simulator.token_url,
        "BASE_CALLBACK_URL": ORIGIN,
        "CALLBACK_USERNAME": USERNAME,
        "CALLBACK_PASSWORD": PASSWORD,
        "API_RATE_LIMIT": "0",
        "WARM_CONNECTIONS": "0",
        # Tests count requests; those of stock have it.
        "PREPARED_PARTICIPANTS": "0",
        # No load balancer has to notice that a replica ends.
        "DRAIN_DELAY": "0",
        **overrides,
    }


class ReplicaProcess:
    def __init__(self, process: asyncio.subprocess.Process, port: int, log: Path) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self._log = log

    async def ready(self) -> None:
        async with httpx.AsyncClient(base_url=self.url) as client:
            for _ in range(500):
                assert self.process.returncode is None, self._log.read_text()
                try:
                    if (await client.get("/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.02)
        raise AssertionError(f"not ready: {self._log.read_text()}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        async with asyncio.timeout(15):
            return await self.process.wait()

    def log(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self._lines() if line["event"] == event]

    def bad_lines(self) -> list[dict[str, Any]]:
        """What it has logged as an error, and what is no line of a log at all."""
        every = self._log.read_text().splitlines()
        raw = [{"event": "RAW", "line": line} for line in every if not line.startswith("{")]
        return [*raw, *(line for line in self._lines() if line["level"] in {"error", "critical"})]

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]


@asynccontextmanager
async def replica(
    settings: Mapping[str, str], *arguments: str, module: str = "handlers.cli"
) -> AsyncIterator[ReplicaProcess]:
    """Started and ready; killed at the end if it still runs. `module`: what is started in its place."""
    port = free_port()
    command = [sys.executable, "-m", module, "serve", "--port", str(port), *arguments]
    with tempfile.TemporaryDirectory(prefix="bridge-replica-") as directory:
        log = Path(directory, "log")
        with log.open("wb") as output:  # noqa: ASYNC230 - a moment on a local disk
            process = await asyncio.create_subprocess_exec(
                *command,
                env={"PATH": os.environ["PATH"], **settings},  # noqa: TID251 - a child needs the path
                stdout=output,
                stderr=output,
            )
            child = ReplicaProcess(process, port, log)
            try:
                await child.ready()
                yield child
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
