"""The command as somebody on call runs it: a process with its environment, what it prints, its exit code."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.cli.preloaded_process import shared_process
from tests.harness import RunningService
from tests.processes import environment
from tests.simulator.simulator import Simulator


class CommandResult(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


async def run(
    *arguments: str, env: Mapping[str, str], stdin: str | None = None, code: int | None = 0
) -> CommandResult:
    """`code`: the exit code that it has to have, None for any."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("stdin", "stdout", "stderr")]
        files[0].write_bytes((stdin or "").encode(errors="surrogateescape"))
        returned = await shared_process().run(arguments, {"PATH": os.defpath, **env}, files)
        said = CommandResult(returned, files[1].read_text(), files[2].read_text())
    assert code in {None, said.code}, said
    assert "Traceback" not in said.err, said.err
    return said


class Shell:
    """Beside a service, with its settings."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.settings = dict(settings)

    @classmethod
    def beside(cls, simulator: Simulator, store_url: str, **more: str) -> Self:
        return cls(environment(simulator, REDIS_URL=store_url, **more))

    @classmethod
    def at(cls, simulator: Simulator, service: RunningService, store_url: str, **more: str) -> Self:
        """With a callback URL that leads to the service."""
        return cls.beside(simulator, store_url, BASE_CALLBACK_URL=service.url, **more)

    async def run(self, *arguments: str, code: int | None = 0, **more: str) -> CommandResult:
        """`more`: of the environment."""
        return await run(*arguments, env={**self.settings, **more}, code=code)
