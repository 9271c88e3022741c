"""What was measured, as numbers: percentiles, ratios, and the table of them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

_COLUMNS: Final = ("what", "upstream", "in flight", "p50", "p99", "max", "a second", "beside it", "load")


class Row(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Times are milliseconds. What was not measured is None."""

    what: str
    upstream: float = 0
    in_flight: int = 1
    samples: int = 0
    p50: float | None = None
    p99: float | None = None
    max: float | None = None
    per_second: float | None = None
    ratios: dict[str, float] = {}
    """To what was measured in the same run, by its name."""
    load: float = 0
    """Share of the load's core that was busy."""
    refused: str = ""
    """Why no figure is given."""


def percentile(times: Sequence[float], share: float) -> float:
    """The smallest that so large a share of them does not exceed (nearest rank). Raises ValueError."""
    if not times:
        raise ValueError("nothing was measured")
    return sorted(times)[max(0, math.ceil(share * len(times)) - 1)]


def timed(what: str, seconds: Sequence[float], *, upstream: float = 0, in_flight: int = 1) -> Row:
    times = [1000 * one for one in seconds]
    return Row(
        what=what,
        upstream=upstream,
        in_flight=in_flight,
        samples=len(times),
        p50=percentile(times, 0.5),
        p99=percentile(times, 0.99),
        max=max(times),
    )


class Guard(NamedTuple):
    """What a figure must not exceed (or, with `least`, fall below) for the run to be a good one."""

    what: str
    found: float
    allowed: float
    least: bool = False

    @property
    def holds(self) -> bool:
        return self.found >= self.allowed if self.least else self.found <= self.allowed

    def __str__(self) -> str:
        kept = "ok  " if self.holds else "FAIL"
        bound = "at least" if self.least else "at most"
        return f"{kept} {self.what}: {self.found:.4g}, {bound} {self.allowed:g}"


def ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def table(rows: Sequence[Row]) -> list[str]:
    cells = [_COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_COLUMNS))]
    return [
        "  ".join(
            cell.ljust(width) if column in {0, 7} else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def _cells(row: Row) -> tuple[str, ...]:
    if row.refused:
        return (
            row.what,
            f"{row.upstream:g} ms",
            str(row.in_flight),
            "",
            "",
            "",
            "",
            row.refused,
            _share(row),
        )
    beside = ", ".join(f"{value:.3g} x {name}" for name, value in row.ratios.items())
    rate = "" if row.per_second is None else f"{row.per_second:,.0f}"
    times = [_ms(value) for value in (row.p50, row.p99, row.max)]
    return (row.what, f"{row.upstream:g} ms", str(row.in_flight), *times, rate, beside, _share(row))


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} ms"


def _share(row: Row) -> str:
    return f"{row.load:.0%}"


def listed(figures: Mapping[str, Any]) -> list[str]:
    wide = max(map(len, figures), default=0)
    return [f"{name.ljust(wide)}  {_plain(value)}" for name, value in figures.items()]


def _plain(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
