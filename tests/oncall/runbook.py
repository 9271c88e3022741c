"""The first three commands of a section of docs/runbook.md, run as they stand there."""

import json
import re
import shlex
from typing import Final

from tests.cli.shell import CommandResult, Shell, run
from tests.harness import RunningService
from tests.oncall.scrape_recorder import ROOT

_RUNBOOK: Final = (ROOT / "docs" / "runbook.md").read_text()


def commands(alert: str) -> list[str]:
    """Without what is said of them."""
    section = _RUNBOOK.split(f"\n## {alert}\n")[1].split("\n## ")[0]
    block = section.split("```sh\n")[1].split("```")[0]
    return [line.split("#")[0].strip() for line in block.splitlines()]


async def run_commands(
    alert: str, shell: Shell, service: RunningService, *, call_id: str = ""
) -> dict[str, CommandResult]:
    """What each of them says, by its command; `call_id` is the bad call that the second of them has shown."""
    said = {}
    for command in commands(alert):
        line, _, file = command.partition(" < ")
        assert file in {"", "service.log"}, command
        assert line.startswith("pstn-bridge "), command
        words = shlex.split(line.replace("<id>", call_id))[1:]
        log = "".join(json.dumps(entry) + "\n" for entry in service.log())
        said[words[0]] = await run(
            *words, env={"COLUMNS": "110", **shell.settings}, stdin=log if file else None, code=None
        )
    return said


def told(said: dict[str, CommandResult], command: str, *signs: str) -> None:
    """Each sign (a pattern) is in what the command prints."""
    text = said[command].out + said[command].err
    for sign in signs:
        assert re.search(sign, text), f"`{command}` does not say {sign!r}:\n{text}"
