"""`make mutants-storm`: plants faults in copies of the service; the storm or a property test has to see each.

    make mutants-storm                          all mutants, three seeds each
    make mutants-storm ONLY=order-lost SEEDS=1  some of them, with commas between their names
    make mutants-storm ONLY=list                says which there are

Beside these there are JOBS (how many are played at the same time; without it two on each core, since a turn
mostly waits) and FIRST_SEED (without it 1). Each mutant is a file in tests/chaos/mutants/patches: a patch of
the service, and above it what it breaks, which layer is expected to see it, and the weather of its storm.
Layers are tried one after the other, that one first, until one sees it:

{layers}

Before that the unchanged tree goes through what is expected to see them, and afterwards through what else has
seen one, with the first seed: if something is found there, the table means nothing.

Exit 0: every mutant was seen with every seed, but for those whose header says why nobody can see them.
1: one was not. 2: a patch does not apply, the unchanged tree fails, or a setting is wrong.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.faults import FAULT_PROFILES
from tests.chaos.mutants.layers import LAYERS, Layer, order
from tests.chaos.mutants.mutant import PATCHES, BadPatch, Mutant, apply, listed, mutants, named
from tests.chaos.mutants.runs import ROOT, RunFailed, Runs
from tests.chaos.mutants.table import Run, survivors, table
from tests.simulator.clock import monotonic
from tests.temporary import temporary_place

SEEN, SURVIVED, TROUBLE = 0, 1, 2
LIST = "list"


def main(arguments: Sequence[str], patches: Path = PATCHES) -> int:
    if arguments:
        layers = "\n".join(f"    {one.name:10}{one.what}" for one in LAYERS)
        print((__doc__ or "").format(layers=layers))
        return SEEN if {*arguments} <= {"-h", "--help"} else TROUBLE
    try:
        known = mutants(patches)
        if _text("ONLY") == LIST:
            print(listed(known))
            return SEEN
        chosen = named([one.strip() for one in _text("ONLY").split(",") if one.strip()], known)
        count, jobs = _number("SEEDS", 3), _number("JOBS", 2 * (os.cpu_count() or 1))
        first = _number("FIRST_SEED", 1)
        for one in chosen:
            apply(one, ROOT, check=True)
    except ValueError as error:
        _say(str(error))
        return TROUBLE
    playable = [
        one for one in chosen if one.layer != "storm" or not FAULT_PROFILES[one.fault_profile].cannot_run()
    ]
    for one in chosen:
        if one not in playable:
            _say(f"{one.name} is left out: {FAULT_PROFILES[one.fault_profile].cannot_run()}")
    try:
        return asyncio.run(_play(playable, range(first, first + count), jobs))
    except (BadPatch, RunFailed, OSError) as error:
        _say(str(error))
        return TROUBLE


async def _play(chosen: Sequence[Mutant], seeds: Sequence[int], jobs: int) -> int:
    begun = monotonic()
    _say(
        f"{len(chosen)} mutants, seeds {seeds[0]} to {seeds[-1]}, {jobs} at a time; the unchanged tree first"
    )
    with tempfile.TemporaryDirectory(prefix="pstn-mutants-", dir=temporary_place()) as name:
        playing = Runs(Path(name), seeds=seeds, jobs=jobs, say=_say)
        runs = await playing.control((order(one)[0], one) for one in chosen)
        if failed := [run for run in runs if run.found]:
            return _failed(failed)
        found = await playing.of(chosen)
        # What another layer has seen than the one that was expected to counts only if it passes without that.
        late = await playing.control(_seeing(chosen, found))
        if failed := [run for run in late if run.found]:
            return _failed(failed)
        runs += late + found
    print(table(chosen, runs, [layer.name for layer in LAYERS], seeds))
    left = survivors(chosen, runs, seeds)
    equivalent = sum(bool(one.equivalent) for one in chosen)
    print(
        f"{len(chosen)} mutants ({equivalent} equivalent), {len(seeds)} seeds: {len(left)} survived, "
        f"in {(monotonic() - begun) / 60:.1f} minutes"
    )
    return SURVIVED if left else SEEN


def _seeing(chosen: Sequence[Mutant], runs: Sequence[Run]) -> list[tuple[Layer, Mutant]]:
    """The layers that have seen each."""
    seen = {(run.mutant, run.layer) for run in runs if run.found}
    return [(layer, one) for one in chosen for layer in order(one) if (one.name, layer.name) in seen]


def _failed(failed: Sequence[Run]) -> int:
    for run in failed:
        _say(
            f"the unchanged tree does not pass {run.layer} with seed {run.seed}: the table would mean nothing"
        )
    return TROUBLE


def _number(name: str, default: int) -> int:
    text = _text(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name} is {text!r}; wants a whole number from 1 on")
    return int(text)


def _text(name: str) -> str:
    return os.environ.get(name, "").strip()  # noqa: TID251 - these are ours, not the service's


def _say(line: str) -> None:
    print(f"mutants-storm: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
