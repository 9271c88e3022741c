"""How every command is set up, and the options that several of them have."""

from typing import Annotated, Any, Final

import typer

CONTEXT: Final[dict[str, Any]] = {"max_content_width": 80, "help_option_names": ["-h", "--help"]}

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object in each line.")]
Numbers = Annotated[bool, typer.Option("--numbers", help="Show whole phone numbers.")]


def application() -> typer.Typer:
    """Help is plain text, the same in a pipe and in any terminal."""
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=CONTEXT,
    )
