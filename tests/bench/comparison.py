"""Compares this checkout with another one: what a join and a whole call cost, in turns within one run.

The machine's speed drifts from minute to minute. Figures of two runs therefore say little about two builds.
The ratio of two turns that follow each other says more, and the spread of many such ratios says how much. The
place in memory that a process happens to get makes it faster or slower by several percent for as long as it
lives, the store too, which does the same for both builds: so all processes are new after every few pairs.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from tests.bench import machine
from tests.bench.callers import BenchCall
from tests.bench.processes import ROOMS, BenchProcesses, room_number
from tests.bench.runs import Benchmark, run_workload

JOIN: Final = "a join"
WHOLE: Final = "a whole call"
_JOINS: Final = 14 * ROOMS
"""A room takes twenty, and has one already."""
_WHOLE: Final = 1000
_WARM: Final = 1
_OF_ONE_START: Final = 4
"""Pairs that are played with the same processes."""


class PairedRun(NamedTuple):
    """Milliseconds of processor time of one turn, for one of what was played."""

    service: float
    store: float


class PairedRuns:
    """Ratios of this build to the other, one for each pair of turns, by what was played."""

    def __init__(self, python: Path, say: Callable[[str], None]) -> None:
        """`python`: of the other build's environment."""
        self._python = python
        self._say = say
        self.turns: dict[str, list[tuple[PairedRun, PairedRun]]] = {JOIN: [], WHOLE: []}

    async def play(
        self, pairs: int, new_stage: Callable[[], AbstractAsyncContextManager[BenchProcesses]]
    ) -> None:
        for first in range(0, pairs, _OF_ONE_START):
            self._say("two builds are starting, and warming up")
            async with new_stage() as stage:
                this, other = await Benchmark.ready(stage), await Benchmark.ready(stage, python=self._python)
                for number in range(first - _WARM, min(first + _OF_ONE_START, pairs)):
                    await self._pair(this, other, number, counts=number >= first)
                    if number >= first:
                        self._say(f"pair {number + 1} of {pairs}: {self._last(JOIN)}, {self._last(WHOLE)}")

    async def _pair(self, this: Benchmark, other: Benchmark, number: int, *, counts: bool) -> None:
        """The build that begins changes with each pair. The first pair of a start is not counted."""
        for what, turn in ((JOIN, _joins), (WHOLE, _whole)):
            order = (this, other) if number % 2 else (other, this)
            found = {build: await turn(build) for build in order}
            if counts:
                self.turns[what].append((found[this], found[other]))

    def _last(self, what: str) -> str:
        this, other = self.turns[what][-1]
        return f"{what} {this.service:.3f} beside {other.service:.3f} ms"

    def figures(self) -> dict[str, str | float]:
        found: dict[str, str | float] = {}
        for what, turns in self.turns.items():
            for side in ("service", "store"):
                ours, theirs = ([getattr(turn[one], side) for turn in turns] for one in (0, 1))
                ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
                found |= {
                    f"{what}, {side}: ms of processor": median(ours),
                    f"{what}, {side}: ms of the other build": median(theirs),
                    f"{what}, {side}: ratio in {len(turns)} pairs": spread(ratios),
                    f"{what}, {side}: ratio of the sums": sum(ours) / sum(theirs),
                }
        return found


def python_of(checkout: Path) -> Path:
    """Raises FileNotFoundError where the checkout has no environment of its own."""
    python = checkout.resolve() / ".venv" / "bin" / "python"
    if not python.exists():
        raise FileNotFoundError(f"{python} is missing: run `make setup` in {checkout}")
    return python


def spread(ratios: list[float]) -> str:
    """Median, quartiles and extremes: one number would hide how sure it is."""
    ordered = sorted(ratios)
    low, high = ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]
    return (
        f"median {median(ordered):.3f}, quartiles {low:.3f} to {high:.3f}, "
        f"all {ordered[0]:.3f} to {ordered[-1]:.3f}"
    )


async def _joins(build: Benchmark) -> PairedRun:
    """By the webhooks alone; the leaving is played after the clock has stopped."""
    calls: list[BenchCall] = []

    async def comes_in(_slot: int) -> float:
        call = BenchCall(build.webhooks, room_number(len(calls) % ROOMS))
        calls.append(call)
        return await call.comes_in()

    async def hangs_up(_slot: int) -> float:
        return await calls.pop().hangs_up()

    begun = await _used(build)
    await run_workload(comes_in, _JOINS, ROOMS)
    ended = await _used(build)
    await run_workload(hangs_up, len(calls), 32)
    await build.settled()
    return _each(begun, ended, _JOINS)


async def _whole(build: Benchmark) -> PairedRun:
    """From the first webhook until everything is taken down."""
    begun = await _used(build)
    await run_workload(build.workload("whole call"), _WHOLE, ROOMS)
    await build.settled()
    return _each(begun, await _used(build), _WHOLE)


async def _used(build: Benchmark) -> tuple[float, float]:
    return machine.processor_seconds(build.service.pid), await build.store.processor_seconds()


def _each(begun: tuple[float, float], ended: tuple[float, float], count: int) -> PairedRun:
    return PairedRun(*(1000 * (then - now) / count for now, then in zip(begun, ended, strict=True)))
