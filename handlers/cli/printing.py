"""Tables and lines for terminals and pipes: ASCII of our own, colours on terminals only, nothing wrapped.

On a terminal a table is cut to its width; in a pipe nothing is cut, unless COLUMNS says how wide it may be.
"""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.text import Text

_GAP: Final = 2
_CUT: Final = "~"

STYLES: Final[Mapping[str, str]] = {
    "ok": "green",
    "warn": "yellow",
    "fail": "bold red",
    "title": "bold",
    "faint": "dim",
}


class Column(NamedTuple):
    title: str
    least: int = 0
    """Characters to which it may be cut where the terminal is narrow; 0: never."""


class Row(NamedTuple):
    cells: Sequence[str]
    style: str = ""
    """One of STYLES; empty for plain."""


def console() -> Console:
    if hasattr(sys.stdout, "reconfigure"):  # no name of anybody's must make this raise
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def width() -> int | None:
    """Of the terminal, or what COLUMNS says; None where lines may be as long as they are."""
    return shutil.get_terminal_size((0, 0)).columns or None


def table(columns: Sequence[Column], rows: Sequence[Row], limit: int | None) -> list[Text]:
    """`limit`: the widest that a line may be."""
    cells = [[_plain(cell) for cell in row.cells] for row in rows]
    widths = [
        max(len(column.title), *(len(line[n]) for line in cells), 0) if cells else len(column.title)
        for n, column in enumerate(columns)
    ]
    _fit(columns, widths, limit)
    titles = Text(_line([column.title for column in columns], widths), STYLES["title"])
    return [
        titles,
        *(
            Text(_line(line, widths), STYLES.get(row.style, ""))
            for row, line in zip(rows, cells, strict=True)
        ),
    ]


def _fit(columns: Sequence[Column], widths: list[int], limit: int | None) -> None:
    """Cut what may be until the line fits: the last column, which says most, after all others."""
    if limit is None:
        return
    while sum(widths) + _GAP * (len(widths) - 1) > limit:
        cut = [n for n, column in enumerate(columns) if column.least and widths[n] > column.least]
        if not cut:
            return
        last = len(widths) - 1
        widths[max(cut, key=lambda n: (n != last, widths[n] - columns[n].least))] -= 1


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    cut = [
        cell if len(cell) <= size else cell[: size - 1] + _CUT
        for cell, size in zip(cells, widths, strict=True)
    ]
    return (" " * _GAP).join(cell.ljust(size) for cell, size in zip(cut, widths, strict=True)).rstrip()


def _plain(cell: str) -> str:
    """In one line, whatever somebody has called themselves."""
    return "".join(char if char.isprintable() else "?" for char in cell)


def wrapped(words: str, room: int) -> list[str]:
    """Lines of so many characters; a word that is longer has one to itself."""
    return textwrap.wrap(words, room, break_long_words=False, break_on_hyphens=False) or [""]


def show(lines: Iterable[Text | str]) -> None:
    out = console()
    for line in lines:
        out.print(line)


def show_json(objects: Iterable[Mapping[str, Any]]) -> None:
    sys.stdout.writelines(json.dumps(one) + "\n" for one in objects)
    sys.stdout.flush()
