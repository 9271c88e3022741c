"""What has come of all runs: a table of mutants and layers, and whether that is good enough."""

from collections.abc import Iterable, Sequence

import msgspec

from tests.chaos.mutants.mutant import Mutant

CONTROL = "(unchanged)"
"""In place of a mutant's name."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    mutant: str
    layer: str
    seed: int
    found: bool
    """Whether the layer has found something wrong."""
    seconds: float


def seen(runs: Iterable[Run], mutant: str) -> set[int]:
    """The seeds for which some layer has seen it."""
    return {run.seed for run in runs if run.mutant == mutant and run.found}


def survivors(mutants: Iterable[Mutant], runs: Sequence[Run], seeds: Sequence[int]) -> list[Mutant]:
    """Those that a layer should have seen for every seed, and has not."""
    return [one for one in mutants if not one.equivalent and seen(runs, one.name) != {*seeds}]


def table(mutants: Sequence[Mutant], runs: Sequence[Run], layers: Sequence[str], seeds: Sequence[int]) -> str:
    """A line for each mutant: in how many of the seeds each layer has seen it, and what that says."""
    width = max(len(name) for name in (CONTROL, *(one.name for one in mutants))) + 2
    head = f"{'mutant':{width}}{'area':11}" + "".join(f"{layer:>10}" for layer in layers)
    lines = [head, _row(CONTROL, "", width, runs, layers) + "  the tree as it is"]
    for one in mutants:
        times = len(seen(runs, one.name))
        said = f"survived {len(seeds) - times} of {len(seeds)}; expected eye: {one.check}"
        if one.equivalent:
            said = "equivalent, and yet seen: mend its header" if times else f"equivalent: {one.equivalent}"
        elif times == len(seeds):
            said = "seen"
        lines.append(f"{_row(one.name, one.area, width, runs, layers)}  {said}")
    return "\n".join(lines)


def _row(name: str, area: str, width: int, runs: Sequence[Run], layers: Sequence[str]) -> str:
    row = f"{name:{width}}{area:11}"
    for layer in layers:
        here = [run for run in runs if (run.mutant, run.layer) == (name, layer)]
        text = f"{sum(run.found for run in here)} of {len(here)}" if here else "-"
        row += f"{text:>10}"
    return row
