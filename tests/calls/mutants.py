"""Every small change to the functional core has to fail a test: `make mutants`.

mutmut makes the changes, one at a time, in a copy of the tree below `mutants/`, and runs those of the tests
(which, says pyproject.toml) that come by the changed function. Mutants that no test has noticed are compared
with survivors.toml, where each has its reason; any other is an error, and so is a reason without a survivor.
mutmut leaves alone what is no function or has a decorator: tables, constants, fields and properties.
"""

import subprocess
import sys
import sysconfig
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from shutil import rmtree
from typing import Final, NamedTuple, Self

ROOT: Final = Path(__file__).parents[2]
SURVIVORS: Final = Path(__file__).parent / "survivors.toml"
MUTMUT: Final = Path(sysconfig.get_path("scripts")) / "mutmut"
NOTICED: Final = frozenset({"killed", "timeout"})
"""Words of mutmut for a mutant that made a test fail, or run for far longer than it does."""


class Change(NamedTuple):
    """What a mutant is, in words that outlive changes to the lines around it."""

    function: str
    was: str = ""
    now: str = ""

    @property
    def whole(self) -> Self:
        """Every mutant of its function."""
        return self._replace(was="", now="")


def explained() -> dict[Change, str]:
    """Why each of these survives."""
    listed = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))
    return {
        Change(function, one.get("was", ""), one.get("now", "")): one["why"]
        for function, ones in listed.items()
        for one in ones
    }


def statuses(results: str) -> dict[str, str]:
    """What became of each mutant, from what `mutmut results` prints."""
    return dict(line.strip().split(": ", 1) for line in results.splitlines() if ": " in line)


def change_of(mutant: str, shown: str) -> Change:
    """From what `mutmut show` prints: a line with name and status, then a unified diff of the function."""
    lines = [line for line in shown.splitlines() if not line.startswith(("---", "+++"))]
    was, now = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return Change(function_of(mutant), was, now)


def function_of(mutant: str) -> str:
    """`service.calls.refs.x_is_ref__mutmut_7` is of service.calls.refs.is_ref; methods are xǁClassǁname."""
    module, _, name = mutant.rpartition("__mutmut_")[0].rpartition(".")
    return f"{module}.{name[2:].replace('ǁ', '.')}"


def judge(survivors: Iterable[Change], reasons: Iterable[Change]) -> tuple[list[Change], list[Change]]:
    """Survivors without a reason, and reasons without a survivor."""
    survivors, reasons = set(survivors), set(reasons)
    unexplained = {one for one in survivors if not {one, one.whole} & reasons}
    return sorted(unexplained), sorted(reasons - survivors - {one.whole for one in survivors})


def _mutmut(*args: str) -> str:
    done = subprocess.run([MUTMUT, *args], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        # Its progress is one line that is written over and over.
        latest = "\n".join(line.rpartition("\r")[2] for line in done.stdout.splitlines())
        raise SystemExit(f"{latest}\n{done.stderr}mutants: mutmut {args[0]} has failed")
    return done.stdout


def report(found: Mapping[str, str], survivors: Mapping[str, Change], reasons: Iterable[Change]) -> int:
    """Say what has come of it. 0 where every mutant was noticed or has its reason, 1 otherwise."""
    unexplained, unused = judge(survivors.values(), reasons)
    for mutant, change in survivors.items():
        if change in unexplained:
            print(f"{found[mutant]}: {mutant}\n  - {change.was}\n  + {change.now}")
    for change in unused:
        print(f"explained, but it does not survive: {change.function}\n  - {change.was}\n  + {change.now}")
    figures = ", ".join(f"{count} {status}" for status, count in Counter(found.values()).most_common())
    known = sum(change not in unexplained for change in survivors.values())
    print(f"{len(found)} mutants: {figures} ({known} of these explained in {SURVIVORS.name})")
    return 1 if unexplained or unused or not found else 0


def main() -> int:
    # What mutmut remembers of an earlier run would keep a survivor that a new test notices.
    rmtree(ROOT / "mutants", ignore_errors=True)
    print("testing mutants of service/calls; on two cores this takes about ten minutes ...", flush=True)
    _mutmut("run")
    found = statuses(_mutmut("results", "--all", "true"))
    unnoticed = [mutant for mutant, status in found.items() if status not in NOTICED]
    survivors = {mutant: change_of(mutant, _mutmut("show", mutant)) for mutant in unnoticed}
    return report(found, survivors, explained())


if __name__ == "__main__":
    sys.exit(main())
