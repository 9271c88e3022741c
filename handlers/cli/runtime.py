"""What the commands share: exit codes, settings, the store of a service that runs, how failure is told."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

import typer

from handlers.app.store import open_existing_store, store_name
from service import logs
from service.settings import ConfigurationError, Settings, load
from service.store.clock import read_time
from service.store.errors import StoreError, StoreUnavailable
from service.store.redis.client import Client

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
CONFIGURATION: Final = 3
STORE: Final = 4


def write_stderr(line: str) -> None:
    """To standard error, as one line of this command."""
    sys.stderr.write(f"pstn-bridge: {line}\n")


def fail(line: str, code: int = FAILED) -> NoReturn:
    write_stderr(f"error: {line}")
    raise typer.Exit(code)


def load_settings() -> Settings:
    """Those of the environment; ends the command where they are wrong, with everything that is."""
    try:
        return load()
    except ConfigurationError as error:
        for problem in error.problems:
            write_stderr(f"error: {problem}")
        raise typer.Exit(CONFIGURATION) from None


def run_with_store(work: Callable[[Client, Settings], Awaitable[int]]) -> NoReturn:
    """Do this with the store of a service that runs, or ran, and end with the exit code that it gives."""
    found = load_settings()
    silence_log()
    try:
        code = asyncio.run(_with_store(work, found))
    except StoreUnavailable as error:
        fail(f"the store cannot be used: {store_name(found)}: {_one_line(error)}", STORE)
    except StoreError as error:
        fail(_one_line(error))
    raise typer.Exit(code)


async def _with_store(work: Callable[[Client, Settings], Awaitable[int]], found: Settings) -> int:
    async with open_existing_store(found) as client:
        return await work(client, found)


def silence_log() -> None:
    """The log is for services; what a command has to say it says itself."""
    logs.configure(format="console", level="error", stream=sys.stderr)


async def store_time(client: Client) -> float:
    """By the clock that replicas share, in seconds since the epoch. Raises StoreUnavailable."""
    return (await read_time(client)).shared


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
