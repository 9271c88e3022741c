"""`pstn-bridge owed`: what is still to be done at Bandwidth, and what could not be."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from service.clock import SystemClock
from service.settings import Settings

if TYPE_CHECKING:
    from service.store.owed_directory import DeadLetter, OwedDirectory

_ABOUT: Final = """\
Effects are owed by calls and rooms: requests to Bandwidth that are repeated
until they are done. One that has failed for OWED_HOURS is laid aside as a
dead letter; nothing happens with it until it is replayed or dropped here.

  pstn-bridge owed list             what is owed, the earliest due first
  pstn-bridge owed dead             dead letters, oldest first, with their names
  pstn-bridge owed replay NAME...   have them tried again, from now on
  pstn-bridge owed drop NAME...     forget them (what they were about may live on
                                    at Bandwidth until its session is 9 hours old)

The store is the one that REDIS_URL names, or the embedded one if it is running."""
_LIMIT: Final = 1_000
"""Owners of owed work that are read in each partition."""


def add_owed(commands: Any) -> None:
    """Add the command to those of an argument parser."""
    shape: dict[str, Any] = {
        "description": _ABOUT,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
    owed = commands.add_parser("owed", help="owed work and dead letters (owed --help for more)", **shape)
    actions = owed.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, words in (("list", "what is owed"), ("dead", "what was laid aside")):
        action = actions.add_parser(name, help=words)
        action.add_argument("--json", action="store_true", help="one JSON object a line")
    for name, words in (("replay", "have dead letters tried again"), ("drop", "forget dead letters")):
        action = actions.add_parser(name, help=words)
        action.add_argument("names", nargs="*", metavar="NAME", help="as `owed dead` shows it")
        action.add_argument("--all", action="store_true", help="all there are")
    owed.set_defaults(run=run)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Give the exit code: 1 where a letter that was named is not there. Raises StoreUnavailable."""
    if arguments.action in {"replay", "drop"} and bool(arguments.names) == arguments.all:
        sys.stderr.write(f"pstn-bridge: error: owed {arguments.action} wants NAMEs or --all\n")
        return 2
    return asyncio.run(_run(arguments, settings))


async def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    # Other commands start without the client library.
    from handlers.stores import existing_store  # noqa: PLC0415
    from service.store.owed_directory import OwedDirectory  # noqa: PLC0415

    async with existing_store(settings) as client:
        directory = OwedDirectory(client)
        match arguments.action:
            case "list":
                return await _list(directory, as_json=arguments.json)
            case "dead":
                return await _dead(directory, as_json=arguments.json)
            case "replay":
                now = SystemClock().now()
                return await _each(arguments, directory, lambda one: directory.replay(one, now=now))
            case _:
                return await _each(arguments, directory, directory.drop)


async def _list(directory: OwedDirectory, *, as_json: bool) -> int:
    rows = [
        {"due": _when(one.due), "owner": one.owner, "effect": one.effect, "tries": one.tries}
        for one in await directory.owed(limit=_LIMIT)
    ]
    _show(rows, "nothing is owed", as_json=as_json)
    return 0


async def _dead(directory: OwedDirectory, *, as_json: bool) -> int:
    rows = [
        {
            "name": one.name,
            "died": _when(one.died),
            "owner": one.owner,
            "effect": one.effect_name,
            "tries": one.tries,
            "error": one.error,
        }
        for one in await directory.dead()
    ]
    _show(rows, "there are no dead letters", as_json=as_json)
    return 0


async def _each(
    arguments: argparse.Namespace, directory: OwedDirectory, act: Callable[[DeadLetter], Awaitable[bool]]
) -> int:
    letters = {one.name: one for one in await directory.dead()}
    missing = 0
    for name in list(letters) if arguments.all else arguments.names:
        if name in letters and await act(letters[name]):
            sys.stdout.write(f"{arguments.action}: {name} ({letters[name].effect_name})\n")
        else:
            missing = 1
            sys.stderr.write(f"pstn-bridge: error: there is no dead letter {name}; see `owed dead`\n")
    return missing


def _show(rows: Sequence[dict[str, Any]], nothing: str, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.writelines(json.dumps(row) + "\n" for row in rows)
        return
    if not rows:
        sys.stdout.write(f"{nothing}\n")
        return
    titles = list(rows[0])
    lines = [titles, *([str(row[title]) for title in titles] for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(titles))]
    for line in lines:
        sys.stdout.write(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        )
        sys.stdout.write("\n")


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
