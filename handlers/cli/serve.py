"""`pstn-bridge serve`: the service itself."""

import sys
from typing import Annotated, Final

import typer

from handlers.cli import runtime
from handlers.cli.options import application
from service.engine.timeouts import DEFAULT_TIMEOUTS
from service.setting_warnings import warnings

app = application()

_HELP: Final = """\
Answer Bandwidth's webhooks, until SIGTERM or SIGINT.

Before the first start, --check-config lists everything that is wrong with the
environment, and how to correct it. A warning is about a setting that works and
may cost you a call, or money; with --strict it is an error (exit code 3). TLS
ends at your proxy.

\b
Examples:
  pstn-bridge serve --check-config --strict
  pstn-bridge serve --host 0.0.0.0 --port 8080

\b
Required in the environment:
  BW_ACCOUNT_ID, BW_CLIENT_ID, BW_CLIENT_SECRET, BASE_CALLBACK_URL,
  CALLBACK_USERNAME, CALLBACK_PASSWORD; REDIS_URL for your own store

\b
exit codes:
  0  ended by a signal     1  failed     2  wrong usage
  3  configuration         4  store unreachable
"""


@app.command(help=_HELP)
def serve(
    ctx: typer.Context,
    *,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port to listen on; 0 for any free one.")
    ] = 8080,
    check_config: Annotated[
        bool, typer.Option("--check-config", help="Check the configuration, and exit.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Treat warnings about the configuration as errors.")
    ] = False,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Leave owed effects to other replicas.")
    ] = False,
) -> None:
    settings = runtime.load_settings()
    notices = warnings(settings) if check_config or strict else ()
    for notice in notices:
        runtime.write_stderr(f"{'error' if strict else 'warning'}: {notice}")
    if strict and notices:
        runtime.write_stderr(f"{_counted(len(notices))}, which --strict takes for errors")
        raise typer.Exit(runtime.CONFIGURATION)
    if check_config:
        sys.stdout.write(f"configuration ok{f', with {_counted(len(notices))}' if notices else ''}\n")
        raise typer.Exit(runtime.DONE)
    from handlers.cli import server  # noqa: PLC0415 - a check of the configuration needs no server

    worker = not no_worker
    raise typer.Exit(
        server.serve(settings, host, port, run_worker=worker, timeouts=ctx.obj or DEFAULT_TIMEOUTS)
    )


def _counted(warned: int) -> str:
    return f"{warned} warning{'' if warned == 1 else 's'}"
