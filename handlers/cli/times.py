"""Times and durations as people write and read them at a prompt."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"([0-9]{1,6})([smhd])")


def duration(text: str) -> float:
    """Seconds; raises BadParameter for what is none."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise typer.BadParameter("wants a number with s, m, h or d, such as 90s, 15m, 2h or 1d")
    return float(found[1]) * _UNITS[found[2]]


Since = Annotated[
    float | None,
    typer.Option("--since", parser=duration, metavar="15m", help="How far back to look: 90s, 15m, 2h, 1d."),
]


def span(seconds: float) -> str:
    """In at most six characters."""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 100:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours < 48 else f"{hours // 24}d"


def clock(at: float) -> str:
    """The time of day, UTC, with milliseconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.") + f"{round(at * 1000) % 1000:03}"


def moment(at: float) -> str:
    """Day and time, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
