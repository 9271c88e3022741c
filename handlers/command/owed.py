"""`pstn-bridge owed`: what is still to be done at Bandwidth, and what could not be."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final

import typer

from handlers.command import shell
from handlers.command.options import AsJson, application
from handlers.command.printing import Column, Row, show, show_json, table, width
from handlers.command.times import iso
from service.settings import Settings
from service.store.client import Client
from service.store.owed_directory import DeadLetter, OwedDirectory

_LIMIT: Final = 1_000
"""Owners of owed work that are read in each partition."""

_HELP: Final = """\
What is still to be done at Bandwidth, and what could not be.

Calls and rooms owe effects: requests to Bandwidth that are repeated until they
are done. One that has failed for OWED_HOURS is laid aside as a dead letter;
nothing happens with it until it is replayed or dropped here.

\b
Examples:
  pstn-bridge owed [list]          what is owed, the earliest due first
  pstn-bridge owed dead            dead letters with their names, oldest first
  pstn-bridge owed replay NAME...  have them tried again, from now on
  pstn-bridge owed drop NAME...    forget them; what they were about may live
                                   on at Bandwidth, 9 hours at most

The store is the one that REDIS_URL names, or the embedded one if it is running.
"""

app = application()

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="As `owed dead` shows it.")]
All = Annotated[bool, typer.Option("--all", help="All there are.")]


@app.callback(help=_HELP, invoke_without_command=True)
def _owed(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        list_()


@app.command(
    "list", help="What is owed, the earliest due first: who owes it, when it is due, how often it failed."
)
def list_(*, json: AsJson = False) -> None:
    async def work(client: Client, _settings: Settings) -> int:
        rows = [
            {"due": iso(one.due), "owner": one.owner, "effect": one.effect, "tries": one.tries}
            for one in await OwedDirectory(client).owed(limit=_LIMIT)
        ]
        _show(rows, "nothing is owed", as_json=json)
        return shell.DONE

    shell.at_store(work)


@app.command(help="What was laid aside, oldest first, under the names by which it is replayed or dropped.")
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
            for one in await OwedDirectory(client).dead()
        ]
        _show(rows, "there are no dead letters", as_json=json)
        return shell.DONE

    shell.at_store(work)


@app.command(help="Have dead letters tried again, from now on, by any replica. Example: owed replay --all")
def replay(names: Names = None, *, all_: All = False) -> None:
    now = shell.now()
    _each("replay", names or [], lambda directory, one: directory.replay(one, now=now), everything=all_)


@app.command(help="Forget dead letters. Example: owed drop 1f0c9a77b2")
def drop(names: Names = None, *, all_: All = False) -> None:
    _each("drop", names or [], lambda directory, one: directory.drop(one), everything=all_)


def _each(
    action: str,
    names: Sequence[str],
    act: Callable[[OwedDirectory, DeadLetter], Awaitable[bool]],
    *,
    everything: bool,
) -> None:
    if bool(names) == everything:
        shell.fail(f"owed {action} wants NAMEs or --all", shell.USAGE)

    async def work(client: Client, _settings: Settings) -> int:
        directory = OwedDirectory(client)
        letters = {one.name: one for one in await directory.dead()}
        code = shell.DONE
        for name in list(letters) if everything else names:
            if name in letters and await act(directory, letters[name]):
                sys.stdout.write(f"{action}: {name} ({letters[name].effect_name})\n")
            else:
                code = shell.FAILED
                shell.tell(f"error: there is no dead letter {name}; see `owed dead`")
        return code

    shell.at_store(work)


def _show(rows: Sequence[dict[str, Any]], nothing: str, *, as_json: bool) -> None:
    if as_json:
        show_json(rows)
    elif not rows:
        show([nothing])
    else:
        columns = [Column(title, 12 if title == "owner" else 0) for title in rows[0]]
        show(table(columns, [Row([str(cell) for cell in row.values()]) for row in rows], width()))
