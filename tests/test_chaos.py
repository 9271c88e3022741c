"""The fault run in small, with a fixed seed: `make chaos` plays it at length."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.chaos.evidence import with_evidence
from tests.chaos.storm import storm
from tests.chaos.verdict import Alive, Report
from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Of a short name, since the store's socket is in it."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        yield Path(name)


@pytest.mark.parametrize("seed", [1])
async def test_nothing_is_lost_in_a_storm(folder: Path, seed: int) -> None:
    report = await storm(200, seed, folder, print)
    assert report.kills > 0, "no replica was killed"
    assert report.drops > 0, "no webhook was lost"
    # Printed, because what is in an assertion's message is cut off.
    print(report, (folder / "details.json").read_text())
    assert report.passed


def _as_from_a_terminal() -> None:
    """Whoever started the tests in the background has had Ctrl-C ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _started(folder: Path, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.chaos"],
        cwd=ROOT,
        env={"PATH": os.defpath, "TMPDIR": str(folder), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_as_from_a_terminal,  # noqa: PLW1509 - one call, which takes no lock
    )


def _left(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()] + _running(folder)


def _running(folder: Path) -> list[str]:
    """Processes with something in the folder open, or named in their command."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            names = [str(one.readlink()) for one in (process / "fd").iterdir()]
            names.append((process / "cmdline").read_text())
        except OSError:
            continue
        if any(str(folder) in name for name in names):
            found.append(process.name)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_storm_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    process = _started(folder, CHAOS_CALLS="5000", CHAOS_SEED="1")
    await wait_until(lambda: list(folder.glob("*/replica-b*.log")), seconds=30)
    assert _running(folder)
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (130, ""), errors
    assert "interrupted" in errors
    assert _left(folder) == []


@pytest.mark.parametrize("wrong", ["0", "-1", "many"])
def test_wrong_usage(folder: Path, wrong: str) -> None:
    process = _started(folder, CHAOS_CALLS=wrong)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (2, "")
    assert "wants a whole number" in errors
    assert _left(folder) == []


def test_what_was_found_comes_with_what_the_logs_say_of_it(tmp_path: Path) -> None:
    ref, other = "p03-" + "a" * 20, "p03-" + "b" * 20
    lines = [f'{{"timestamp":"{n}","ref":"{one}"}}' for n, one in enumerate([ref, other, ref, ref])]
    logs = [tmp_path / "a.log", tmp_path / "b.log"]
    logs[0].write_text("\n".join(lines[1:3]))
    logs[1].write_text("\n".join([lines[0], lines[3]]))
    [found] = with_evidence([{"kind": "owed", "what": f"call:{ref}"}], logs)
    assert found == {"kind": "owed", "what": f"call:{ref}", "log": [lines[0], lines[2], lines[3]]}


def _report(**found: Any) -> Report:
    """Of a storm after which all is well, but for this."""
    figures = dict.fromkeys(Report.__struct_fields__, 0)
    alive = dict.fromkeys(Alive.__struct_fields__, 0)
    return msgspec.convert({**figures, "alive": {**alive, **found.pop("alive", {})}, **found}, Report)


@pytest.mark.parametrize(
    "found",
    [
        *({"alive": {kind: 1}} for kind in Alive.__struct_fields__),
        {"creates_unreceived": 2, "creates_unreceived_bound": 1},
        {"calls_without_outcome": 1},
        {"webhooks_late": 1},
        {"webhooks_wrong": 1},
        {"owed": 1},
        {"dead_letters": 1},
        {"complaints": 1},
        {"errors": 1},
    ],
)
def test_what_fails_a_storm(found: dict[str, Any]) -> None:
    assert not _report(**found).passed


def test_what_does_not_fail_a_storm() -> None:
    apart = {"creates_unreceived": 1, "creates_unreceived_bound": 1}
    assert _report(kills=3, drops=1, webhooks_unanswered=1, calls_turned_away=1, **apart).passed
