"""A mutant: a patch of the service with a header that says what it breaks, and who is expected to see that.

The header stands above the patch, one `Name: text` after the other; lines that go on are indented:

    Breaks: what no longer holds
    Area: one of AREAS
    Layer: the layer that is expected to see it, and is tried first
    Weather: of the storm; calm where it is not given
    Calls: of the storm; as many as usual in that weather where it is not given
    Eye: the storm's eyes that are expected to see it, or what else does
    Allowance: those in spite of which it is seen, in that weather, with commas between them
    Equivalent: why nobody can see it, where nobody can
"""

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

PATCHES: Final = Path(__file__).parent / "patches"
AREAS: Final = ("join", "leaving", "orders", "owed work", "replies", "browsers")
CALLS: Final = 60
IN_CALM: Final = 40
"""Calls where nothing else goes wrong."""
_NAMES: Final = frozenset({"Breaks", "Area", "Layer", "Weather", "Calls", "Eye", "Allowance", "Equivalent"})


class BadPatch(ValueError):
    """A patch that does not fit the tree, or whose header cannot be read; the message names it."""


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    file: Path
    breaks: str
    area: str
    layer: str
    check: str
    fault_profile: str = "calm"
    calls: int = IN_CALM
    allowances: tuple[str, ...] = ()
    equivalent: str = ""
    """Why nobody can see it; empty for one that somebody has to see."""
    files: frozenset[str] = frozenset()
    """What it changes: paths from the root of the tree."""


def mutants(directory: Path = PATCHES) -> list[Mutant]:
    """All of them, by name. Raises BadPatch."""
    return [read(file) for file in sorted(directory.glob("*.patch"))]


def read(file: Path) -> Mutant:
    """Raises BadPatch."""
    header, _, _ = (text := file.read_text(encoding="utf-8")).partition("\n--- ")
    fields: dict[str, str] = {}
    latest = ""
    for line in header.splitlines():
        name, colon, value = line.partition(": ")
        if line.startswith("  ") and latest:
            fields[latest] += " " + line.strip()
        elif colon and name in _NAMES:
            fields[latest := name] = value
        elif line:
            raise BadPatch(f"{file.stem}: its header has a line that says nothing known: {line!r}")
    if missing := {"Breaks", "Area", "Layer", "Eye"} - fields.keys():
        raise BadPatch(f"{file.stem}: its header lacks {', '.join(sorted(missing))}")
    weather = fields.get("Weather", "calm")
    try:
        return Mutant(
            name=file.stem,
            file=file,
            breaks=fields["Breaks"],
            area=fields["Area"],
            layer=fields["Layer"],
            check=fields["Eye"],
            fault_profile=weather,
            calls=int(fields.get("Calls", IN_CALM if weather == "calm" else CALLS)),
            allowances=tuple(one.strip() for one in fields.get("Allowance", "").split(",") if one.strip()),
            equivalent=fields.get("Equivalent", ""),
            files=frozenset(line[6:] for line in text.splitlines() if line.startswith("+++ b/")),
        )
    except ValueError as error:
        raise BadPatch(f"{file.stem}: {error}") from error


def listed(known: Sequence[Mutant]) -> str:
    """A line for each."""
    width = max(len(one.name) for one in known)
    return "\n".join(f"  {one.name:{width}}  {one.breaks}" for one in known)


def named(names: Iterable[str], known: list[Mutant]) -> list[Mutant]:
    """Those with these names, all for none. Raises ValueError with a list of those that there are."""
    wanted = list(names)
    unknown = sorted({*wanted} - {one.name for one in known})
    if unknown:
        raise ValueError(f"there is no mutant {', '.join(unknown)}; there are:\n{listed(known)}")
    return [one for one in known if not wanted or one.name in wanted]


def apply(mutant: Mutant, tree: Path, *, check: bool = False) -> None:
    """With `check` nothing is changed. Raises BadPatch where the tree is not as the patch has it."""
    command = ["git", "apply", *(["--check"] if check else []), str(mutant.file.resolve())]
    # Git looks no further up: where the tree is below another repository, it would leave out the whole patch.
    path = os.environ["PATH"]  # noqa: TID251 - a child needs it
    environment = {"PATH": path, "GIT_CEILING_DIRECTORIES": str(tree.resolve().parent)}
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError as error:
        raise BadPatch("git is not installed, which applies the patches") from error
    if done.returncode:
        raise BadPatch(f"{mutant.name} does not apply: {' '.join(done.stderr.split())}")
