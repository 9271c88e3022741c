"""A sequence diagram in plain ASCII: a line for each moment, the time and how long after the one before."""

from collections.abc import Sequence
from typing import Final

from rich.text import Text

from handlers.cli.printing import STYLES, wrapped
from handlers.cli.timeline_view import Actor, Message, Step
from handlers.cli.times import clock

_TIME: Final = 14
"""Column at which the time that has passed begins."""
_PHONE: Final = 23
_PHONE_TO_BANDWIDTH: Final = 12
_OPERATOR: Final = 13
"""From the service's column to that of operators."""
_NARROWEST: Final = 72
_WIDEST: Final = 100
_NAMES: Final = {
    Actor.PHONE: "Phone",
    Actor.BANDWIDTH: "Bandwidth",
    Actor.SERVICE: "Service",
    Actor.OPERATOR: "Operator",
}
_MARK: Final = "!"


def draw(steps: Sequence[Step], width: int) -> list[Text]:
    """What went wrong is marked with ! at the left."""
    lanes = _columns(steps, min(max(width, _NARROWEST), _WIDEST))
    lines = [Text(_names(lanes), STYLES["title"])]
    before: float | None = None
    for step in steps:
        line, *more = _lines(lanes, step, _head(step, before))
        style = STYLES["fail"] if step.bad else ""
        lines += [Text("".join(one).rstrip(), style) for one in (line, *more)]
        before = step.at
    return lines


def _lines(columns: dict[Actor, int], step: Step, head: str) -> list[list[str]]:
    """More than one where a note does not fit into it."""
    notes = wrapped(step.note, _note_width(columns)) if step.note else [""]
    lines = [_empty(columns, "" if n else head) for n in range(len(notes))]
    for n, (line, note) in enumerate(zip(lines, notes, strict=True)):
        if note:
            _put(line, columns[Actor.BANDWIDTH] + 2, f"{' ' if n else '*'} {note}")
    for message in step.messages:
        _arrow(lines[0], columns, message)
    return lines


def _columns(steps: Sequence[Step], width: int) -> dict[Actor, int]:
    """The column of each; operators have one where they said something."""
    ordered = any(Actor.OPERATOR in one for step in steps for one in step.messages)
    last = width - 2
    service = last - _OPERATOR if ordered else last
    lanes = {
        Actor.PHONE: _PHONE,
        Actor.BANDWIDTH: _PHONE + _PHONE_TO_BANDWIDTH,
        Actor.SERVICE: service,
    }
    return {**lanes, Actor.OPERATOR: last} if ordered else lanes


def _note_width(columns: dict[Actor, int]) -> int:
    """For the words of a note."""
    return columns[Actor.SERVICE] - columns[Actor.BANDWIDTH] - 5


def _names(columns: dict[Actor, int]) -> str:
    end = max(columns.values()) + 2
    line = list("  time (UTC)    after".ljust(end))
    for lane, column in columns.items():
        name = _NAMES[lane]
        begin = column if lane is Actor.PHONE else min(column - len(name) // 2, end - len(name))
        _put(line, begin, name)
    return "".join(line).rstrip()


def _head(step: Step, before: float | None) -> str:
    passed = "" if before is None else _passed(step.at - before)
    return f"{_MARK if step.bad else ' '} {clock(step.at)}".ljust(_TIME) + passed.rjust(8)


def _empty(columns: dict[Actor, int], head: str) -> list[str]:
    line = list(head.ljust(max(columns.values()) + 2))
    for column in columns.values():
        line[column] = "|"
    return line


def _passed(seconds: float) -> str:
    if seconds < 10:
        return f"+{seconds * 1000:.0f}ms"
    return f"+{seconds:.1f}s" if seconds < 1000 else f"+{seconds / 60:.0f}min"


def _arrow(line: list[str], columns: dict[Actor, int], message: Message) -> None:
    ends = sorted((columns[message.sender], columns[message.receiver]))
    size = ends[1] - ends[0] - 1
    words = message.words[: size - 2]
    if message.sender < message.receiver:
        drawn = f"-{words}".ljust(size - 1, "-") + ">"
    else:
        drawn = f"<{words}".ljust(size, "-")
    _put(line, ends[0] + 1, drawn)


def _put(line: list[str], column: int, words: str) -> None:
    line[column : column + len(words)] = list(words)
