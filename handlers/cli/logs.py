"""`pstn-bridge logs`: what the replicas have written, of one call or of all, in order of time."""

import heapq
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, TextIO

import typer
from rich.console import Console
from rich.text import Text

from handlers.api.views import time_view
from handlers.cli import runtime
from handlers.cli.options import AsJson, application
from handlers.cli.printing import STYLES, console
from handlers.cli.times import Since
from service.calls.refs import is_ref, ref_of_call
from service.clock import SystemClock

_HELP: Final = """\
Show log lines about one call, of all replicas together, in order of time.

Reads the JSON lines of LOG_FORMAT=json from files, or from standard input as
they come. The lines about a call are those that name it, its leg, its
participant or its own room, also those of work that a room does for it. Needs
no settings and no store, so it works wherever the files are.

\b
Examples:
  pstn-bridge logs --call p07-ycvam76w replica-*.log
  kubectl logs -l app=pstn-bridge --tail=-1 | pstn-bridge logs --call c-5b1f
  pstn-bridge logs --level warning --since 15m service.log
  pstn-bridge logs --call p07-ycvam76w --json *.log | jq .event
"""
STANDARD_INPUT: Final = "standard input"
_LONGEST: Final = 1_000_000
"""Characters."""
_LEVELS: Final = ("debug", "info", "warning", "error")
_HEAD: Final = ("timestamp", "level", "event")
_IDS: Final = ("ref", "call_id", "leg_id")
_RELATED: Final = (*_IDS, "participant_id", "room")
_STYLES: Final = {"warning": STYLES["warn"], "error": STYLES["fail"], "debug": STYLES["faint"]}

app = application()

Level = Literal["debug", "info", "warning", "error"]


class LogLine(NamedTuple):
    at: str
    """As it is written; what is no line of ours has that of the one before it."""
    text: str
    fields: dict[str, Any]
    """Empty for what is no JSON object."""
    file: str = ""
    number: int = 0


@app.command(help=_HELP)
def logs(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE...", help="Logs of replicas; default: standard input."),
    ] = None,
    *,
    call: Annotated[str, typer.Option(metavar="CALL", help="Our id, Bandwidth's, or its beginning.")] = "",
    since: Since = None,
    level: Annotated[Level, typer.Option(help="The lowest level to show.")] = "debug",
    json_: AsJson = False,
) -> None:
    with ExitStack() as stack:
        lines = read_logs(files or [Path("-")], stack)
        earliest = "" if since is None else time_view(max(0.0, SystemClock().now() - since)) or ""
        wanted = (line for line in lines if line.at >= earliest and _is_from(line, level))
        found = _show(_lines_about(call, wanted) if call else wanted, as_json=json_)
    if call and not found:
        runtime.fail(f"no line is about call {call}")


def read_logs(paths: Sequence[Path], stack: ExitStack) -> Iterator[LogLine]:
    """The lines of all in order of time; `-` is standard input. Ends the command where one cannot be read.

    `stack`: has them open.
    """
    try:
        streams = [
            _standard_input() if str(path) == "-" else stack.enter_context(path.open(errors="replace"))
            for path in paths
        ]
    except OSError as error:
        runtime.fail(f"cannot read {error.filename}: {error.strerror}")
    names = (STANDARD_INPUT if str(path) == "-" else str(path) for path in paths)
    return heapq.merge(*map(_lines, streams, names), key=lambda line: line.at)


def _standard_input() -> TextIO:
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    return sys.stdin


def _lines(stream: TextIO, file: str) -> Iterator[LogLine]:
    """As they come. What is longer than any line of ours is taken for several, with one number."""
    at, number = "", 1
    for raw in iter(partial(stream.readline, _LONGEST), ""):
        text = raw.rstrip("\n")
        fields = _fields(text)
        at = _text(fields.get("timestamp")) or at
        yield LogLine(at, text, fields, file, number)
        number += raw.endswith("\n")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _fields(text: str) -> dict[str, Any]:
    """Lines of other programs may stand before ours in the same line."""
    begin = text.find("{")
    if begin < 0:
        return {}
    try:
        found = json.loads(text[begin:])
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_from(line: LogLine, level: str) -> bool:
    found = line.fields.get("level")
    return level == "debug" or (found in _LEVELS and _LEVELS.index(found) >= _LEVELS.index(level))


def _lines_about(name: str, lines: Iterable[LogLine]) -> Iterator[LogLine]:
    """One after the other: what is learned of the call from a line is known for those after it."""
    known = {name}
    if name.startswith("c-"):
        known.add(ref_of_call(name))
    if is_ref(name):
        known.add(f"call-{name}")
    others: set[str] = set()
    found = False
    for line in lines:
        if known.isdisjoint(_values(line, _RELATED)):
            beginning = {value for value in _values(line, _IDS) if value.startswith(name)}
            if found:
                others |= beginning
            if found or not beginning:
                continue
        found = True
        _learn(known, line)
        yield line
    if others:
        runtime.write_stderr(f"warning: {name} may be another call as well: {', '.join(sorted(others)[:5])}")


def _learn(known: set[str], line: LogLine) -> None:
    """The room only where it is the call's own; others share it."""
    ref = line.fields.get("ref")
    known.update(_values(line, (*_IDS, "participant_id")))
    if isinstance(ref, str):
        known.add(f"call-{ref}")


def _values(line: LogLine, names: Iterable[str]) -> set[str]:
    return {value for name in names if isinstance(value := line.fields.get(name), str)}


def _show(lines: Iterable[LogLine], *, as_json: bool) -> int:
    """How many there were."""
    count, out = 0, console()
    for line in lines:
        count += 1
        if as_json:
            if line.fields:
                sys.stdout.write(json.dumps(line.fields) + "\n")
                sys.stdout.flush()
        else:
            _print(out, line)
    return count


def _print(out: Console, line: LogLine) -> None:
    fields = line.fields
    if not fields:
        out.print(Text(line.text))
        return
    level = str(fields.get("level", ""))
    rest = "  ".join(
        f"{key}={value}"
        for key, value in fields.items()
        if key not in {*_HEAD, "exception"} and value is not None
    )
    head = f"{line.at[11:23]} {level:<7} {fields.get('event', '')}"
    out.print(Text(f"{head}  {rest}".rstrip(), _STYLES.get(level, "")))
    if trace := fields.get("exception"):
        out.print(Text("\n".join(f"    {one}" for one in str(trace).splitlines())))
