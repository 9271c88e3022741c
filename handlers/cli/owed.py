"""`pstn-bridge owed`: what is still to be done at Bandwidth, and what could not be."""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, NamedTuple

import typer

from handlers.cli import runtime
from handlers.cli.options import AsJson, application
from handlers.cli.printing import Column, Row, show, show_json, table, width
from handlers.cli.times import iso
from service.settings import Settings
from service.store.outbox_index import DeadLetter, OutboxIndex, OwedEffect
from service.store.redis.client import Client

_LIMIT: Final = 1_000
"""Owners of owed work that are read in each partition."""

_HELP: Final = """\
List, retry or drop requests that are owed to Bandwidth.

Calls and rooms owe effects: requests to Bandwidth that are repeated until they
are done. An effect that has failed for OWED_HOURS is laid aside as a dead
letter, and stays one until you retry or drop it here.

\b
Examples:
  pstn-bridge owed [list]          what is owed, the earliest due first
  pstn-bridge owed dead            dead letters, oldest first
  pstn-bridge owed retry NAME...   try it now, owed or laid aside
  pstn-bridge owed replay NAME...  the same, for dead letters only
  pstn-bridge owed drop NAME...    forget it, owed or laid aside; what it is
                                   about may live on at Bandwidth, 9 hours
                                   at most

The store is the one that REDIS_URL names, or the embedded one if it is running.
"""

app = application()

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME...", help="As shown by `owed list` or `owed dead`.")
]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


@app.callback(help=_HELP, invoke_without_command=True)
def _owed(ctx: typer.Context, *, json: AsJson = False) -> None:
    if ctx.invoked_subcommand is None:
        list_(json=json)


@app.command(
    "list", help="List what is owed, the earliest due first. Shows owner, due time and failed tries."
)
def list_(*, json: AsJson = False) -> None:
    async def work(client: Client, _settings: Settings) -> int:
        rows = [
            {
                "name": one.name,
                "due": iso(one.due),
                "owner": one.owner,
                "effect": one.effect_name,
                "tries": one.tries,
            }
            for one in await OutboxIndex(client).list_owed(limit=_LIMIT)
        ]
        _show(rows, "nothing is owed", as_json=json)
        return runtime.DONE

    runtime.run_with_store(work)


@app.command(help="List dead letters, oldest first. Shows the names for `retry` and `drop`.")
def dead(*, json: AsJson = False) -> None:
    async def work(client: Client, _settings: Settings) -> int:
        rows = [
            {
                "name": one.name,
                "died": iso(one.died),
                "owner": one.owner,
                "effect": one.effect_name,
                "tries": one.tries,
                "error": one.error,
            }
            for one in await OutboxIndex(client).list_dead_letters()
        ]
        _show(rows, "there are no dead letters", as_json=json)
        return runtime.DONE

    runtime.run_with_store(work)


@app.command(
    help="Try work now, whatever it waits for; dead letters too. With --all: all that has failed.\n\n"
    "Example: owed retry 1f0c9a77b2"
)
def retry(names: Names = None, *, all_: All = False) -> None:
    actions = _Actions(
        dead=lambda directory, one, now: directory.replay_dead_letter(one, now=now),
        owed=lambda directory, one, now: directory.retry_owed(one, now=now),
    )
    _apply("retry", names or [], actions, everything=all_)


@app.command(help="Try dead letters again, from now on, by any replica. Example: owed replay --all")
def replay(names: Names = None, *, all_: All = False) -> None:
    actions = _Actions(dead=lambda directory, one, now: directory.replay_dead_letter(one, now=now))
    _apply("replay", names or [], actions, everything=all_)


@app.command(
    help="Forget work that cannot be done; what it is about may live on. With --all: all dead letters.\n\n"
    "Example: owed drop 1f0c9a77b2"
)
def drop(names: Names = None, *, all_: All = False) -> None:
    actions = _Actions(
        dead=lambda directory, one, _now: directory.drop_dead_letter(one),
        owed=lambda directory, one, now: directory.drop_owed(one, now=now),
        owed_by_name=True,
    )
    _apply("drop", names or [], actions, everything=all_)


class _Actions(NamedTuple):
    """What is done with dead letters and, if anything, with what is still tried; at a time."""

    dead: Callable[[OutboxIndex, DeadLetter, float], Awaitable[bool]]
    owed: Callable[[OutboxIndex, OwedEffect, float], Awaitable[bool]] | None = None
    owed_by_name: bool = False
    """Whether it has to be named: `--all` means dead letters."""


def _apply(action: str, names: Sequence[str], actions: _Actions, *, everything: bool) -> None:
    if bool(names) == everything:
        runtime.fail(f"owed {action} wants NAMEs or --all", runtime.USAGE)

    async def work(client: Client, _settings: Settings) -> int:
        directory = OutboxIndex(client)
        found = await _find_targets(
            directory, actions, await runtime.store_time(client), everything=everything
        )
        code = runtime.DONE
        for name in list(found) if everything else names:
            effect, act = found.get(name, ("", _nothing))
            if await act():
                sys.stdout.write(f"{action}: {name} ({effect})\n")
            else:
                code = runtime.FAILED
                what = "dead letter" if actions.owed is None else "dead letter or owed effect"
                runtime.write_stderr(f"error: there is no {what} {name}; see `owed list` and `owed dead`")
        return code

    runtime.run_with_store(work)


async def _find_targets(
    directory: OutboxIndex, actions: _Actions, now: float, *, everything: bool
) -> Mapping[str, tuple[str, Callable[[], Awaitable[bool]]]]:
    """By name: which effect it is, and what is to be done with it."""
    letters = await directory.list_dead_letters()
    found = {one.name: (one.effect_name, partial(actions.dead, directory, one, now)) for one in letters}
    if actions.owed is None or (everything and actions.owed_by_name):
        return found
    for one in await directory.list_owed(limit=_LIMIT):
        if one.tries or not everything:
            found[one.name] = one.effect_name, partial(actions.owed, directory, one, now)
    return found


async def _nothing() -> bool:
    return False


def _show(rows: Sequence[dict[str, Any]], nothing: str, *, as_json: bool) -> None:
    if as_json:
        show_json(rows)
    elif not rows:
        show([nothing])
    else:
        columns = [Column(title, 12 if title == "owner" else 0) for title in rows[0]]
        show(table(columns, [Row([str(cell) for cell in row.values()]) for row in rows], width()))
