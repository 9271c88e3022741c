"""`pstn-bridge doctor`: whether everything works that calls need."""

import asyncio
from typing import Final

import typer
from rich.text import Text

from handlers.cli import runtime
from handlers.cli.health.address import check_addresses
from handlers.cli.health.bandwidth import check_bandwidth
from handlers.cli.health.finding import Finding, Findings
from handlers.cli.health.store import check_store
from handlers.cli.options import AsJson, application
from handlers.cli.printing import STYLES, show, show_json, width, wrapped
from handlers.page.assets import page
from service.setting_warnings import warnings
from service.settings import ConfigurationError, Settings, load

_HELP: Final = """\
Check from here whether everything works that calls need, and say what to do.

Checks the settings, the store (version, disk, memory, clock), the token, both
of Bandwidth's APIs, Bandwidth's clock, the callback URL (name, certificate, what
answers there), and the page for browsers. Changes nothing and places no call.
Run it where the service runs, with its environment.

Each line is ok, warn or fail, with what to do below it. The exit code is 1 if
anything fails.

\b
Examples:
  pstn-bridge doctor
  pstn-bridge doctor --json | jq -c 'select(.result != "ok")'
"""
_INDENT: Final = 22
_WIDTH: Final = 80

app = application()


@app.command(help=_HELP)
def doctor(*, json: AsJson = False) -> None:
    runtime.silence_log()
    findings = _examine()
    if json:
        show_json(one.view() for one in findings)
    else:
        wide = width() or _WIDTH
        show(line for one in findings for line in _lines(one, wide))
    raise typer.Exit(runtime.FAILED if any(one.result == "fail" for one in findings) else runtime.DONE)


def _examine() -> list[Finding]:
    try:
        settings = load()
    except ConfigurationError as error:
        return [
            Finding("settings", "fail", f"{one.variable} {one.wrong}", f"wants {one.wants}")
            for one in error.problems
        ]
    found = [
        Finding("settings", "warn", f"{one.variable} {one.wrong}", f"wants {one.wants}")
        for one in warnings(settings)
    ] or [Finding("settings", "ok", "complete")]
    return [*found, *asyncio.run(_checks(settings)), _page()]


async def _checks(settings: Settings) -> Findings:
    """All at once: each waits for somebody else."""
    found = await asyncio.gather(check_store(settings), check_bandwidth(settings), check_addresses(settings))
    return [finding for findings in found for finding in findings]


def _page() -> Finding:
    if page() is None:
        return Finding("page", "warn", "the page for browsers has not been built", "make page")
    return Finding("page", "ok", "the page for browsers is built")


def _lines(one: Finding, wide: int) -> list[Text]:
    head = f"{one.result:<5} {one.check:<16}"
    lines = wrapped(one.found, wide - _INDENT - 1)
    more = [
        f"-> {line}" if not n else f"   {line}" for n, line in enumerate(wrapped(one.do, wide - _INDENT - 4))
    ]
    texts = [
        f"{head} {lines[0]}",
        *(f"{'':{_INDENT}} {line}" for line in (*lines[1:], *(more if one.do else []))),
    ]
    return [Text(line.rstrip(), STYLES[one.result] if not n else "") for n, line in enumerate(texts)]
