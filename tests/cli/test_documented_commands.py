"""Every command that the documents tell somebody to type is one, with options that it has."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from handlers.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TYPED = re.compile(r"^(?:\$ )?pstn-bridge +([a-z][^#|`\n]*)|`pstn-bridge +([a-z][^`|\n]*)`", re.MULTILINE)


def typed(text: str) -> list[str]:
    return [(first or second).partition(" < ")[0].strip() for first, second in TYPED.findall(text)]


def understood(line: str) -> None:
    """Down to the command that does the work, which reads its arguments and is not run."""
    words = shlex.split(line)
    command = typer.main.get_command(app)
    context = command.make_context("pstn-bridge", words, allow_interspersed_args=False)
    while rest := [*context._protected_args, *context.args]:  # noqa: SLF001 - what is left for the subcommand
        if not hasattr(command, "resolve_command"):
            return
        _, command, arguments = command.resolve_command(context, rest)
        assert command is not None, line
        if not arguments:
            return  # only named
        context = command.make_context(line, list(arguments), parent=context)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documented_commands_exist(document: Path) -> None:
    for line in typed(document.read_text()):
        understood(line)


def test_the_runbook_and_the_operations_have_some() -> None:
    for name, least in (("runbook", 30), ("operations", 8)):
        assert len(typed((ROOT / "docs" / f"{name}.md").read_text())) >= least


@pytest.mark.parametrize("line", ["cals", "owed lst", "calls --sinse 1d", "logs --cal p07"])
def test_what_is_mistyped_is_found(line: str) -> None:
    with pytest.raises(Exception, match="No such"):
        understood(line)
