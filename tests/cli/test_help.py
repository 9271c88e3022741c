"""Help teaches and starts fast; what goes wrong before any work is told in one line."""

import asyncio
import subprocess
import sys

import pytest

from handlers.cli import COMMANDS
from handlers.cli.reasons import REASONS
from service.calls.outcomes import CAUSES, FAILURES
from tests.cli.shell import Shell, run
from tests.simulator.simulator import Simulator

HEAVY = ("redis", "uvicorn", "starlette", "pydantic", "httpx", "aiohttp", "rich", "structlog", "asyncio")
SMALL = "import sys\nfrom handlers.cli import main\nmain(['--help'])\nprint(*sys.modules, file=sys.stderr)"
READING = (
    ("calls",),
    ("call", "p07-aaaa"),
    ("rooms",),
    ("owed", "list"),
    ("owed", "dead"),
    ("pause",),
    ("resume",),
    ("sweep",),
)


@pytest.mark.parametrize("command", COMMANDS)
async def test_help_says_what_and_gives_examples(command: str) -> None:
    said = await run(command, "--help", env={"COLUMNS": "80"})
    assert said.lines[0].startswith(f"Usage: pstn-bridge {command}")
    assert "Example" in said.out
    assert f"pstn-bridge {command}" in said.out.split("Example", 1)[1]
    assert said.out.isascii()
    assert max(map(len, said.lines)) <= 80
    assert said.out == (await run(command, "-h", env={"COLUMNS": "80", "LANG": "C"})).out


async def test_help_lists_the_commands_and_knows_what_each_is_for() -> None:
    said = await run("--help", env={})
    for name, words in COMMANDS.items():
        assert f"  {name:<7} {words}" in said.lines


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", SMALL], capture_output=True, text=True, check=True)  # noqa: S603 - our own script
    assert not set(HEAVY) & set(done.stderr.split())


@pytest.mark.parametrize("command", READING, ids=" ".join)
async def test_without_a_store(simulator: Simulator, command: tuple[str, ...]) -> None:
    url = "redis://somebody:hunter2@127.0.0.1:1/0"
    said = await Shell.beside(simulator, url).run(*command, code=4)
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("pstn-bridge: error: the store cannot be used: redis://127.0.0.1:1/0: ")
    assert "hunter2" not in said.err


@pytest.mark.parametrize("command", [*READING, ("serve",)], ids=" ".join)
async def test_without_settings(command: tuple[str, ...]) -> None:
    said = await run(*command, env={"REDIS_URL": "redis://127.0.0.1:1"}, code=3)
    assert said.out == ""
    assert "pstn-bridge: error: BW_ACCOUNT_ID is missing" in said.err


async def test_a_reader_that_goes_away(simulator: Simulator, store_url: str) -> None:
    """As `head` does: no traceback."""
    shell = Shell.beside(simulator, store_url)
    process = await asyncio.create_subprocess_shell(
        "; ".join(f"{sys.executable} -m handlers.cli {one} | true" for one in ("--help", "doctor --json")),
        env=shell.settings,
        stderr=asyncio.subprocess.PIPE,
    )
    assert (await process.communicate())[1] == b""


def test_every_end_of_a_call_has_words() -> None:
    slugs = (
        {slug for _, slug in CAUSES.values()}
        | set(FAILURES)
        | {*("completed", "cancelled", "erased", "unlisted-cause")}
    )
    assert set(REASONS) == slugs
