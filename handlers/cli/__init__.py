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
        "calls": "list live calls, and those of the last 15 minutes",
        "call": "show what happened to one call, and whose fault its end was",
        "rooms": "list rooms, with their members and waiting callers",
        "owed": "list, retry or drop requests that are owed to Bandwidth",
        "sweep": "find what was made at Bandwidth and is not known any more",
        "doctor": "check settings, store, Bandwidth and callback URL",
        "key": "make a key of the operator API, and its entry in API_KEYS",
        "logs": "show log lines about one call, from files or standard input",
        "pause": "take no new calls; live calls go on",
        "resume": "take new calls again",
    }
)

_ABOUT: Final = """\
Connects phone calls on Bandwidth's network with WebRTC sessions. It answers the
webhooks of a Bandwidth Voice application, and brings each call into a room that
browsers can join.

\b
If something is wrong:
  pstn-bridge doctor                   is anything broken right now?
  pstn-bridge calls                    which calls ended badly, and why
  pstn-bridge call p07-ycv             what happened to one of them
  pstn-bridge logs --call ID *.log     what the replicas have logged about it

\b
Required in the environment:
  BW_ACCOUNT_ID        the id of your Bandwidth account
  BW_CLIENT_ID         the OAuth2 credentials of that account
  BW_CLIENT_SECRET
  BASE_CALLBACK_URL    the https address where Bandwidth reaches the service
  CALLBACK_USERNAME    what Bandwidth sends with webhooks: choose both, and
  CALLBACK_PASSWORD    set the same in the Voice application
  REDIS_URL            (optional) the store; default: an embedded server

With SECRETS_DIR, variables that are not set are read from files of their name
in that directory. `pstn-bridge serve --check-config` lists everything that is
wrong. All other commands read the store of a running service; none of them
starts one.

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
