"""Plays mutants: each in a copy of the tree, layer after layer until one has seen it, for each seed."""

import asyncio
import os
import shutil
import signal
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from tests.chaos import previous_release
from tests.chaos.mutants.layers import Layer, order
from tests.chaos.mutants.mutant import Mutant, apply
from tests.chaos.mutants.table import CONTROL, Run
from tests.simulator.clock import monotonic

ROOT: Final = Path(__file__).parents[3]
COPIED: Final = ("service", "handlers", "tests", "pyproject.toml")
NOTHING: Final = 0
LINE: Final = 300
"""Characters of what a layer has said that are told."""
TRIES: Final = 3
"""Of a layer that cannot start: where much else runs, a replica may take too long for it."""
GRACE: Final = 10.0
"""Seconds in which a layer that is ended may take down what it has started."""
Say = Callable[[str], None]


class RunFailed(Exception):
    """A layer has neither passed nor found anything: it could not run."""


class Runs:
    """`jobs`: mutants that are played at the same time."""

    def __init__(self, directory: Path, *, seeds: Sequence[int], jobs: int, say: Say) -> None:
        self._directory = directory
        self._seeds = seeds
        self._places = asyncio.Semaphore(jobs)
        self._say = say
        self._controlled: set[tuple[str | int, ...]] = set()

    async def control(self, plays: Iterable[tuple[Layer, Mutant]]) -> list[Run]:
        """The unchanged tree, through what these go through, if it has not been before.

        With the first seed: what it finds with another it would find in storms too. Raises Trouble.
        """
        tree = self._directory / "control"
        if not tree.exists():
            await asyncio.to_thread(_copied, tree)
        new: list[tuple[Layer, Mutant]] = []
        for layer, one in plays:
            # Each kind of storm is one; other layers are the same for all mutants.
            key = (layer.name, *((one.fault_profile, one.calls) if layer.name == "storm" else ()))
            if key not in self._controlled:
                self._controlled.add(key)
                new.append((layer, replace(one, name=CONTROL)))
        return await self._all(self.play_one(tree, layer, one, self._seeds[0]) for layer, one in new)

    async def of(self, mutants: Iterable[Mutant]) -> list[Run]:
        """Raises BadPatch, Trouble."""
        return await self._all(self._mutant(one) for one in mutants)

    async def _all(self, work: Iterable[Coroutine[Any, Any, list[Run]]]) -> list[Run]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._placed(one)) for one in work]
        except* (RunFailed, ValueError) as group_of:
            raise group_of.exceptions[0] from None
        return [run for task in tasks for run in task.result()]

    async def _placed(self, work: Coroutine[Any, Any, list[Run]]) -> list[Run]:
        try:
            async with self._places:
                return await work
        finally:
            work.close()

    async def _mutant(self, mutant: Mutant) -> list[Run]:
        tree = await asyncio.to_thread(_copied, self._directory / mutant.name)
        apply(mutant, tree)
        runs: list[Run] = []
        for seed in self._seeds:
            for layer in order(mutant):
                runs += await self.play_one(tree, layer, mutant, seed)
                if runs[-1].found:
                    break
        await asyncio.to_thread(shutil.rmtree, tree)
        return runs

    async def play_one(self, tree: Path, layer: Layer, mutant: Mutant, seed: int) -> list[Run]:
        """In a tree that has the mutant, or none. Raises Trouble."""
        begun = monotonic()
        for _ in range(TRIES):
            code, said = await _ended(layer.command(mutant, seed), tree, seed, layer.longest)
            if code in {NOTHING, layer.found, None}:
                break
        else:
            raise RunFailed(f"{mutant.name}: layer {layer.name} with seed {seed} ended with {code}: {said}")
        run = Run(
            mutant=mutant.name,
            layer=layer.name,
            seed=seed,
            found=code != NOTHING,
            seconds=monotonic() - begun,
        )
        where = f"{layer.name} in {mutant.fault_profile}" if layer.name == "storm" else layer.name
        self._say(
            f"{mutant.name}, seed {seed}: {where} {'has seen it' if run.found else 'sees nothing'} "
            f"in {run.seconds:.0f} s{f': {said}' if run.found else ''}"
        )
        return [run]


def _copied(tree: Path) -> Path:
    """What runs of the tree. The environment and the page's packages are not copied."""
    tree.mkdir(parents=True)
    leave = shutil.ignore_patterns("__pycache__", "node_modules")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=leave)
        else:
            shutil.copy(ROOT / name, tree / name)
    return tree


async def _ended(command: Sequence[str], tree: Path, seed: int, longest: float) -> tuple[int | None, str]:
    """Its exit code, None where it did not end in time; and what it has found."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=tree,
        env={
            **os.environ,  # noqa: TID251 - a child needs it
            "PYTHONPATH": str(tree),
            "PROPERTY_SEED": str(seed),
            # The copy has no history of its own, out of which the release before is taken.
            "GIT_DIR": previous_release.history(),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(longest):
            output, _ = await process.communicate()
    except TimeoutError:
        return None, f"it did not end within {longest:g} s"
    finally:
        await _end(process)
    return process.returncode, _told(output.decode(errors="replace"))


async def _end(process: asyncio.subprocess.Process) -> None:
    """As from a terminal at first, so that the stores that it has started are taken down too."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await process.wait()
                return


def _told(output: str) -> str:
    """The lines that say most: the last one, and pytest's of an error or the one before."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E ") or "Error" in line] or lines[-2:-1]
    return " | ".join([*lines[-1:], *errors[:1]])[:LINE]
