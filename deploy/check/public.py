"""The list of paths in docs/edge.md: what the public side of a proxy lets through, and what stays inside."""

import re
from typing import Final

PUBLIC: Final = "Public"
INSIDE: Final = "Inside"


def templates(edge: str, table: str) -> dict[str, set[str]]:
    """The methods by the path, as the table of that name in the text of docs/edge.md has them."""
    rows = edge.split(f"\n| {table} | method |")[1].partition("\n\n")[0]
    return {
        path: set(methods.split(", "))
        for path, methods in re.findall(r"^\| `(\S+)` \| ([A-Z, ]+) \|", rows, re.MULTILINE)
    }


def addresses(edge: str, table: str) -> list[tuple[str, str]]:
    """Method and a path that somebody may ask for, of each row of the table."""
    return [
        (method, re.sub(r"\{\w+\}|\.\.\.", "a-1", path))
        for path, methods in templates(edge, table).items()
        for method in sorted(methods)
    ]
