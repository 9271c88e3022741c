"""Running checks: each fails, or cannot be run, or says in a few words what it has seen."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
_LIMIT: Final = 600.0
"""Seconds for one command; the longest installs packages."""


class Failed(Exception):
    """Something is wrong with what was checked; the message is for whoever mends it."""


class Unavailable(Exception):
    """The check cannot be run here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    run: Callable[[], str]
    """Gives a remark; raises Failed or Unavailable."""


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    state: Literal["ok", "FAILED", "not run"]
    remark: str
    seconds: float


def perform(check: Check) -> Result:
    began = time.monotonic()
    try:
        state, remark = "ok", check.run()
    except (Failed, subprocess.TimeoutExpired) as error:
        state, remark = "FAILED", str(error)
    except Unavailable as error:
        state, remark = "not run", str(error)
    return Result(check.name, state, remark, time.monotonic() - began)  # type: ignore[arg-type] # the three above


def command(
    *words: str | Path,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    fails: bool = False,
) -> str:
    """What it prints, on both streams. Raises Failed where it fails, or with `fails` where it does not."""
    done = subprocess.run(  # noqa: S603 - the words are those of the checks
        [str(word) for word in words],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_LIMIT,
        check=False,
    )
    if (done.returncode != 0) is not fails:
        said = f"{Path(words[0]).name} {' '.join(map(str, words[1:]))}"
        raise Failed(f"{said}: exit code {done.returncode}\n{done.stdout.strip()}")
    return done.stdout


def tell(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def report(results: Sequence[Result], beyond: Mapping[str, str], *, complete: bool) -> int:
    """Says what ran and what did not; the exit code. `complete`: also what did not run is a failure."""
    failed = [result for result in results if result.state == "FAILED"]
    missing = [result for result in results if result.state == "not run"]
    tell("\nran:")
    for result in results:
        if result.state == "ok":
            tell(f"  {result.name} ({result.seconds:.1f} s): {result.remark}")
    if missing:
        tell("\ncould not be run here:")
        for result in missing:
            tell(f"  {result.name}: {result.remark}")
    tell("\nnot part of this check:")
    for what, why in beyond.items():
        tell(f"  {what}: {why}")
    for result in failed:
        tell(f"\nFAILED {result.name}: {result.remark}")
    tell(f"\n{len(results) - len(failed) - len(missing)} ran, {len(missing)} could not, {len(failed)} failed")
    return 1 if failed or (complete and missing) else 0
