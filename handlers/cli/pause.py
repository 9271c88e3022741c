"""`pstn-bridge pause`: take no new calls."""

import sys
from typing import Annotated, Any, Final

import typer

from handlers.api.views import time_view
from handlers.cli import runtime
from handlers.cli.options import AsJson, application
from handlers.cli.printing import show_json
from service.settings import Settings
from service.store.pause import PauseState, PauseSwitch
from service.store.redis.client import Client

_HELP: Final = """\
Take no new calls, on all replicas, within two seconds. Live calls go on.

New callers hear a message and are hung up (their calls end as limit/closed).
POST /calls answers 503 with the problem `paused`. The pause lasts, also over
restarts, until `pstn-bridge resume`. A second `pause` only changes the message.

\b
Examples:
  pstn-bridge pause
  pstn-bridge pause --message "We are moving. Please call again at six."
"""
_LONGEST: Final = 1000

app = application()


@app.command(help=_HELP)
def pause(
    *,
    message: Annotated[str, typer.Option(metavar="TEXT", help="What callers hear.")] = "",
    json: AsJson = False,
) -> None:
    if len(message) > _LONGEST or not message.isprintable():
        raise typer.BadParameter(f"wants a sentence of up to {_LONGEST} characters", param_hint="--message")

    async def work(client: Client, _settings: Settings) -> int:
        switch = PauseSwitch(client)
        before = await switch.read()
        paused = PauseState(before.since if before else await runtime.store_time(client), message.strip())
        await switch.set(paused)
        _print_state(paused, "paused: new calls are not taken; calls that are up go on", as_json=json)
        return runtime.DONE

    runtime.run_with_store(work)


def _print_state(paused: PauseState | None, words: str, *, as_json: bool) -> None:
    if as_json:
        show_json([view(paused)])
    else:
        sys.stdout.write(f"{words}\n")


def view(paused: PauseState | None) -> dict[str, Any]:
    return {
        "paused": paused is not None,
        "since": time_view(paused.since) if paused else None,
        "message": (paused.message if paused else "") or None,
    }
