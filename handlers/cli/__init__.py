"""The command line, `pstn-bridge`: which commands there are. Each is a module, imported when it is run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from handlers.cli.options import CONTEXT
from service import __version__

if TYPE_CHECKING:
    from service.engine.timeouts import Timeouts

COMMANDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "serve": "answer Bandwidth's webhooks",
        "calls": "the calls that are up, and those of the last 15 minutes",
        "call": "what happened to one call, as a diagram, and whose fault its end was",
        "rooms": "who is in which room, and who waits",
        "owed": "what is still to be done at Bandwidth, and what could not be",
        "sweep": "what was made at Bandwidth and nobody knows of any more",
        "doctor": "whether settings, store, Bandwidth and callback URL work",
        "key": "a new key of the operator API, and its entry in API_KEYS",
        "logs": "the lines of the log about one call, from files or standard input",
        "pause": "take no new calls; those that are up go on",
        "resume": "take new calls again",
    }
)

_ABOUT: Final = """\
Bridges phone calls on Bandwidth's network into WebRTC sessions: answers the
webhooks of a Bandwidth Voice application, and brings each call into a room
that browsers join.

\b
Something is wrong, and it is night:
  pstn-bridge doctor                   is anything broken right now?
  pstn-bridge calls                    which calls ended badly, and why
  pstn-bridge call p07-ycv             what happened to this one
  pstn-bridge logs --call ID *.log     what the replicas have written about it

\b
The least it needs in the environment:
  BW_ACCOUNT_ID        the id of your Bandwidth account
  BW_CLIENT_ID         the OAuth2 credentials of that account
  BW_CLIENT_SECRET
  BASE_CALLBACK_URL    the https address at which Bandwidth reaches this service
  CALLBACK_USERNAME    what Bandwidth shows when it calls: choose both, and set
  CALLBACK_PASSWORD    the same in the Voice application
  REDIS_URL            (optional) the store; without it an embedded server starts

With SECRETS_DIR, variables that are not set are read from files of their name
in that directory. `pstn-bridge serve --check-config` lists all that is wrong.
Commands other than serve look into the store of a service that runs; none of
them starts one.

\b
exit codes:
  0  done              1  not found, or failed     2  wrong usage
  3  configuration     4  store unreachable
"""


class _Commands(TyperGroup):
    """Knows the commands by name, so that help and each of them start without the others."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the library's signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - as above
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"handlers.cli.{cmd_name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands (each has --help, with examples)"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    cls=_Commands,
    help=_ABOUT,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)


def _version(context: bool) -> None:  # noqa: FBT001 - a callback of the library
    if context:
        sys.stdout.write(f"pstn-bridge {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    return


def main(argv: Sequence[str] | None = None, *, timeouts: Timeouts | None = None) -> int:
    """Run the command with these arguments (default: the process's) and give its exit code."""
    arguments = None if argv is None else list(argv)
    try:
        app(arguments, prog_name="pstn-bridge", obj=timeouts)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0
