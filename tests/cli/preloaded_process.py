"""The command in processes of its own, without loading everything anew for each: that takes half a second.

`python -m tests.cli.preloaded_process` has loaded it, and splits off a child for each order that it reads:
a line of JSON with `argv`, `env`, and the files that are to be its standard streams. It answers with
the exit code.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any, Final, NoReturn

_TIMEOUT: Final = 60
"""Seconds that a command has."""


class PreloadedProcess:
    """One for each process of tests; it ends with the run."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this module
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": os.defpath, "PYTHONWARNINGS": "ignore"},
        )
        self._one_at_a_time = Lock()

    async def run(self, argv: Sequence[str], env: Mapping[str, str], files: Sequence[Path]) -> int:
        """The exit code. Raises RuntimeError when a signal has ended it, as SIGALRM (14) does in the end."""
        order = {"argv": list(argv), "env": dict(env), "files": [str(file) for file in files]}
        return await asyncio.to_thread(self._ask, json.dumps(order))

    def _ask(self, order: str) -> int:
        with self._one_at_a_time:
            asked, answered = self._process.stdin, self._process.stdout
            assert asked is not None
            assert answered is not None
            asked.write(order + "\n")
            asked.flush()
            code = answered.readline()
        if not code.strip().isdecimal():
            raise RuntimeError(f"{code.strip()}: {order}")
        return int(code)

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=5)


@cache
def shared_process() -> PreloadedProcess:
    return PreloadedProcess()


def end() -> None:
    """That of this process, if there is one."""
    if shared_process.cache_info().currsize:
        shared_process().end()


def _read_commands() -> None:
    from handlers.cli import COMMANDS  # noqa: PLC0415 - tests that only ask do without it

    for name in COMMANDS:
        import_module(f"handlers.cli.{name}")
    for line in sys.stdin:
        sys.stdout.write(f"{_fork_and_wait(json.loads(line))}\n")
        sys.stdout.flush()


def _fork_and_wait(order: Mapping[str, Any]) -> int | str:
    child = os.fork()
    if child == 0:
        _run_command(order)
    _, status = os.waitpid(child, 0)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else f"signal {os.WTERMSIG(status)}"


def _run_command(order: Mapping[str, Any]) -> NoReturn:
    """The command, which is all that this process does from now on."""
    from handlers.cli import main  # noqa: PLC0415 - as above

    code = 70
    try:
        os.environ.clear()  # noqa: TID251 - this is the command's environment
        os.environ.update(order["env"])  # noqa: TID251 - the same
        for end, file in enumerate(order["files"]):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT if end else os.O_RDONLY, 0o600), end)
        # What this has read ahead are other orders.
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as long as the process
        signal.alarm(_TIMEOUT)
        code = main(order["argv"])
    except BaseException:  # noqa: BLE001 - the process ends here, and has to say why
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _read_commands()
