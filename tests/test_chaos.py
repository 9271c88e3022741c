"""The storm in small, with a fixed seed: `make chaos` plays it at length."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import fields

from tests.chaos.allowances import ALLOWANCES
from tests.chaos.checks import CHECKS
from tests.chaos.evidence import Evidence
from tests.chaos.faults import FAULT_PROFILES
from tests.chaos.finding import Finding
from tests.chaos.finding_timeline import IDS, print_timelines
from tests.chaos.mutants.mutant import mutants
from tests.chaos.options import options
from tests.chaos.plan import Turn, plan
from tests.chaos.report import StormReport
from tests.chaos.shrink import shrink
from tests.chaos.storm import LINES, storm
from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Of a short name, since the store's socket is in it."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        yield Path(name)


async def test_nothing_is_lost_in_a_storm(folder: Path) -> None:
    report = await storm(1, plan(60, 1, ["kills"]), folder, print)
    assert report.troubles["killed"] > 0, "no replica was killed"
    assert report.drops > 0, "no webhook was lost"
    assert report.bridged > 5, "hardly anybody came through"
    # Printed, because what is in an assertion's message is cut off.
    print(report)
    assert report.passed


async def test_what_is_found_is_told_as_a_story(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Across phone, Bandwidth, service, store and weather, with a command that plays it again."""

    def blames_the_first(evidence: Evidence) -> Iterator[Finding]:
        [phone, *_] = evidence.simulator.phones
        yield Finding(what="made up", ids=(phone.call_id,), at=evidence.over)

    def holds_back(evidence: Evidence) -> Iterator[Finding]:
        yield Finding(what="made up", excuse="unanswered")
        yield Finding(what="made up", excuse="it was Monday")

    monkeypatch.setattr("tests.chaos.checks.CHECKS", {"first": blames_the_first, "excused": holds_back})
    said: list[str] = []
    turn = Turn("calm", seed=3, calls=2)
    report = await storm(3, [turn], folder, said.append, shrink_minutes=0)
    assert not report.passed
    assert (report.found, report.excused) == ({"first": 1, "excused": 1}, {"unanswered": 1})
    assert report.smaller == [turn.replay]
    assert f"play it again: {turn.replay}" in said

    told, other = json.loads((folder / "1" / "details.json").read_text())
    assert other["what"] == "made up ('it was Monday' is no allowance)"
    story = told["story"]
    assert story == sorted(story, key=lambda line: float(line.split()[0]))
    legs = [line.split() for line in story if " phone       leg " in line]
    stages = [words[5] for words in legs if words[4] == legs[0][4]]
    assert stages[:2] == ["ringing", "answered"], "also where both were within a millisecond"
    assert story[-1] == f"{told['at']:+9.3f} s  found       made up"
    printed = said[said.index(f"first: made up, at {told['at']:+.3f} s") + 1 :]
    assert (
        printed[0]
        == "  eyes/first.py: The storm in small, with a fixed seed: `make chaos` plays it at length."
    )
    times = [line.split()[0] for line in story[-LINES:]]
    assert [line.split()[0] for line in printed[1 : 1 + len(times)]] == times
    assert not any(IDS.search(line) for line in printed[: 1 + len(times)])
    for sign in [
        "phone       call c-",
        "bandwidth   webhook initiate to https://a.test/callbacks/voice: 200 in ",
        "bandwidth   request createParticipant of ",
        "is in session ",
        "replica ",
        "call.changed",
        "store       initiate",
    ]:
        assert any(sign in line for line in story), (sign, story)


def test_what_is_printed_lies_around_the_finding() -> None:
    """Most of it before."""
    story = [f"{at:+9.3f} s  phone       hears: nothing" for at in range(200)]
    lines = [
        *print_timelines([{"eye": "leaks", "what": "it", "at": 100.0, "story": story}], 40, {"leaks": "All."})
    ]
    assert lines[:2] == ["leaks: it, at +100.000 s", "  eyes/leaks.py: All."]
    times = [float(line.split()[0]) for line in lines[2:]]
    assert (times[0], times[-1], len(times)) == (71, 110, 40)


def test_what_is_printed_has_short_ids() -> None:
    ids = ["c-0a4da2ff-52489c6e-4f60-41f3-98ac-f28de9229902", "067c4ba2-6f20-44d4-a8c0-1ea89342e1a9"]
    story = [f"   +1.000 s  phone       call {ids[0]} bridged to {ids[1]}"]
    *_, line = print_timelines(
        [{"eye": "leaks", "what": "it", "at": None, "story": story}], 40, {"leaks": "All."}
    )
    assert line == "     +1.000 s  phone       call c-0a4da2ff… bridged to 067c4ba2-6…"


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
    await wait_until(lambda: list(folder.glob("*/*/replica-b*.log")), seconds=30)
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


def test_every_weather_gets_a_turn() -> None:
    turns = plan(7700, 7, ["calm", "kills", "freeze"])
    assert [turn.fault_profile for turn in turns] == ["calm", "kills", "freeze"] * 3 + ["calm", "kills"]
    assert {turn.calls for turn in turns} == {700}
    assert sum(turn.calls for turn in turns) == 7700
    assert len({turn.seed for turn in turns}) == len(turns)


def test_few_calls_are_few_turns() -> None:
    assert [(turn.fault_profile, turn.calls) for turn in plan(2, 7, ["calm", "kills", "freeze"])] == [
        ("calm", 1),
        ("kills", 1),
    ]


def test_a_turn_is_played_again_by_what_it_says() -> None:
    """Its seed is that of a storm of one turn."""
    for turn in plan(900, 7, ["calm", "kills"]):
        words = dict(word.split("=") for word in turn.replay.split()[:3])
        assert plan(int(words["CHAOS_CALLS"]), int(words["CHAOS_SEED"]), [words["CHAOS_WEATHER"]]) == [turn]


def test_part_of_a_turn_is_played_again() -> None:
    turn = Turn("kills", 5, 80, only=(3, 17), window=(2.5, 4.0))
    assert turn.replay == (
        "CHAOS_WEATHER=kills CHAOS_SEED=5 CHAOS_CALLS=80 CHAOS_ONLY=3,17 CHAOS_WINDOW=2.5-4 make chaos"
    )
    environ = dict(word.split("=") for word in turn.replay.split()[:5])
    told = options(["calm", "kills"], environ)
    assert (told.only, told.window) == (turn.only, turn.window)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"CHAOS_WEATHER": "fog, calm"}, "there is no weather fog; there are: calm, kills"),
        ({"CHAOS_ONLY": "1"}, "set CHAOS_WEATHER too"),
        ({"CHAOS_WEATHER": "calm", "CHAOS_ONLY": "a"}, "wants numbers of calls"),
        ({"CHAOS_WEATHER": "calm", "CHAOS_WINDOW": "8-4"}, "wants two numbers of seconds"),
        ({"CHAOS_WEATHER": "calm", "CHAOS_CALLS": "4", "CHAOS_ONLY": "1,4"}, "the last one is 3"),
        ({"CHAOS_WEATHR": "calm"}, "there is no setting CHAOS_WEATHR; there are: CHAOS_CALLS, "),
        ({"CHAOS_SEED": "x"}, "wants a whole number"),
        ({"CHAOS_SHRINK": "nan"}, "wants minutes"),
    ],
)
def test_wrong_settings(given: dict[str, str], expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        options(["calm", "kills"], given)


async def _shrunk(turn: Turn, seconds: float, fails: Callable[[Turn], bool], tries: int = 100) -> Turn:
    played: list[Turn] = []

    async def plays(one: Turn) -> bool:
        played.append(one)
        return fails(one)

    return await shrink(turn, seconds, plays, lambda: len(played) < tries)


async def test_a_smaller_case_is_found_by_halving() -> None:
    """What a trouble at 13 s does to call 50."""

    def fails(turn: Turn) -> bool:
        begin, end = turn.window or (0.0, 20.0)
        return begin <= 13 < end and 50 in turn.numbers

    smallest = await _shrunk(Turn("kills", 1, 80), 20, fails)
    assert smallest.only == (50,)
    assert smallest.window == (12.5, 15.0)


async def test_what_needs_two_calls_keeps_both() -> None:
    smallest = await _shrunk(Turn("kills", 1, 80), 3, lambda turn: {10, 70} <= {*turn.numbers})
    assert (smallest.only, smallest.window) == ((), None)


async def test_looking_for_a_smaller_case_ends_in_time() -> None:
    smallest = await _shrunk(Turn("kills", 1, 80), 3, lambda _turn: True, tries=3)
    assert len(smallest.numbers) == 10


def test_the_documentation_names_every_weather_eye_and_allowance() -> None:
    text = (ROOT / "docs" / "chaos.md").read_text()
    assert re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE) == [
        *FAULT_PROFILES,
        *CHECKS,
        *ALLOWANCES,
    ]
    for one in mutants():
        for name in one.allowances:
            assert re.search(rf"^\| `{name}` \|.*`{one.name}`", text, re.MULTILINE), one.name


def test_the_documentation_names_every_figure() -> None:
    text = (ROOT / "docs" / "chaos.md").read_text()
    section = text.split("## The line of JSON")[1].split("\n## ")[0]
    named = re.findall("`([a-z0-9_]+)`", "".join(re.findall(r"^- (.+?): ", section, re.MULTILINE)))
    assert {*named} == {one.name for one in fields(StormReport)}


def _report(**found: int) -> StormReport:
    """Of a storm after which all is well, but for this."""
    kinds = {str: "", int: 0, float: 0.0}
    figures = {one.name: kinds[one.type] for one in fields(StormReport) if one.type in kinds}
    return msgspec.convert(
        {**figures, "turns": {}, "troubles": {}, "excused": {}, "found": found}, StormReport
    )


@pytest.mark.parametrize("eye", CHECKS)
def test_what_fails_a_storm(eye: str) -> None:
    assert not _report(**{**dict.fromkeys(CHECKS, 0), eye: 1}).passed


@pytest.mark.parametrize(("calls", "bridged", "passed"), [(1, 0, True), (20, 1, True), (20, 0, False)])
def test_what_does_not_fail_a_storm(calls: int, bridged: int, *, passed: bool) -> None:
    """But one of some calls in which nobody came through: a service that answers nothing has no faults."""
    report = _report(**dict.fromkeys(CHECKS, 0))
    assert msgspec.structs.replace(report, calls=calls, bridged=bridged).passed is passed
