"""What has to see a mutant: three kinds of property tests, and the storm. Example tests do not count."""

import sys
from collections.abc import Callable
from typing import Final

import msgspec

from tests.chaos.mutants.mutant import Mutant
from tests.chaos.mutants.play import FOUND

Command = Callable[[Mutant, int], list[str]]
"""What plays it for a mutant and a seed. It ends with 0 where all is well."""


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    what: str
    command: Command
    under: tuple[str, ...]
    """Folders of which it runs something: a change elsewhere cannot come before it."""
    found: int = 1
    """How it ends where something is found; pytest's code, unless another is given."""
    longest: float
    """Seconds after which it is ended, and counts as having found something: nothing goes on any more."""

    def can_see(self, mutant: Mutant) -> bool:
        return any(file.startswith(self.under) for file in mutant.files)


def _tests(path: str) -> Command:
    options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:schemathesis", "--tb=line"]
    return lambda _mutant, seed: [
        sys.executable,
        "-m",
        "pytest",
        *options,
        f"--hypothesis-seed={seed}",
        path,
    ]


def _storm(mutant: Mutant, seed: int) -> list[str]:
    return [
        sys.executable,
        "-m",
        "tests.chaos.mutants.play",
        mutant.fault_profile,
        str(seed),
        str(mutant.calls),
    ]


LAYERS: Final = (
    Layer(
        name="core",
        what="a call in any order of events: tests/calls/test_properties.py",
        command=_tests("tests/calls/test_properties.py"),
        under=("service/calls/",),
        longest=120,
    ),
    Layer(
        name="rooms",
        what="rooms and what they owe, in any order: tests/store/test_room_random.py",
        command=_tests("tests/store/test_room_random.py"),
        under=("service/store/",),
        longest=120,
    ),
    Layer(
        name="storm",
        what="one turn of the storm, in the weather that the patch names: tests/chaos",
        command=_storm,
        found=FOUND,
        under=("service/", "handlers/"),
        # A turn of `store-minutes` takes more than two minutes where nothing else runs.
        longest=360,
    ),
    Layer(
        name="stateful",
        what="callers, operators and faults against a model: tests/test_stateful.py",
        command=_tests("tests/test_stateful.py"),
        under=("service/", "handlers/"),
        longest=240,
    ),
)


def order(mutant: Mutant) -> list[Layer]:
    """Those that can see it, the one first that is expected to."""
    return sorted(
        (one for one in LAYERS if one.can_see(mutant)), key=lambda layer: layer.name != mutant.layer
    )
