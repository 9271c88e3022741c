"""Aligned text; colour where somebody looks at it who has not asked for none."""

import os
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Final, TextIO

from tests.demo.checks import Timings
from tests.demo.output import OUTBOUND_ONLY, STEPS, OutputLine

_BOLD, _GREEN, _RED, _DIM = "1", "32", "31", "2"
_HEAD: Final = (
    f"  {'ms':>7}  {'step':>4}  {'who speaks':>9} -> {'to whom':<9}  {'what':<30} {'status':>6} {'took':>9}"
)


class Printer:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colour = stream.isatty() and not os.getenv("NO_COLOR")

    def tell(self, text: str = "") -> None:
        self._stream.write(text.rstrip() + "\n")
        self._stream.flush()

    def heading(self, text: str) -> None:
        self.tell()
        self.tell(self._paint(text, _BOLD))

    def lines(self, lines: Iterable[OutputLine]) -> None:
        """In order of time, counted from the first."""
        ordered = sorted(lines, key=lambda line: line.at_ms)
        self.tell(self._paint(_HEAD, _DIM))
        for line in ordered:
            self.tell(self._line(line, ordered[0].at_ms))

    def steps(self, lines: Iterable[OutputLine]) -> None:
        """The documented flow, each step with the moment at which it was first seen."""
        ordered = sorted(lines, key=lambda line: line.at_ms)
        for number, name in STEPS.items():
            seen = next((line for line in ordered if line.step == number and line.is_success), None)
            if number == OUTBOUND_ONLY and seen is None:
                when = "for outbound calls, see below"
            elif seen is None:
                when = self._paint("NOT SEEN", _RED)
            else:
                when = (
                    f"{self._paint('seen', _GREEN)} at {seen.at_ms - ordered[0].at_ms:6.1f} ms: {seen.what}"
                )
            self.tell(f"  step {number}  {name:<54} {when}")

    def timings(self, timings: Timings, allowed: float) -> None:
        self.tell(self._paint(f"  {'':<35} {'best':>6} {'ours':>6}      all", _DIM))
        trips = timings.trips
        self.tell(
            f"  {'two trips, by a bare client: median':<35} {median(trips):6.1f} {'':>6}      {_all(trips)}"
        )
        for name, totals in timings.rows().items():
            ours = timings.ours(totals)
            mark = self._paint("ok", _GREEN) if ours <= allowed else self._paint("over", _RED)
            self.tell(f"  {name:<35} {min(totals):6.1f} {ours:6.1f}  {mark}  {_all(totals)}")
        self.tell(f"  ours: the best less two trips; the goal is {allowed:g} ms at most")

    def rows(self, rows: Mapping[str, Sequence[float]]) -> None:
        self.tell(self._paint(f"  {'':<35} {'best':>6} {'median':>6}      all", _DIM))
        for name, took in rows.items():
            self.tell(f"  {name:<35} {min(took):6.1f} {median(took):6.1f}      {_all(took)}")

    def mark(self, good: bool) -> str:
        return self._paint("ok", _GREEN) if good else self._paint("FAILED", _RED)

    def failed(self, problems: Iterable[str]) -> None:
        self.heading(self._paint("FAILED", _RED))
        for problem in problems:
            self.tell(f"  {problem}")

    def _line(self, line: OutputLine, begin: float) -> str:
        step = self._paint(f"{line.step or '':>4}", _BOLD)
        status = self._paint(f"{line.status:>6}", _GREEN if line.is_success else _RED)
        took = "" if line.ms is None else f"{line.ms:6.1f} ms"
        ways = f"{line.who:>10} -> {line.whom:<9}"
        return (
            f"  {line.at_ms - begin:7.1f}  {step}  {ways}  {line.what:<30} {status} {took:>9}  {line.detail}"
        )

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


def _all(values: Iterable[float]) -> str:
    return " ".join(f"{value:.1f}" for value in values)
