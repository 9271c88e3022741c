"""The demo shows what it says it shows, and does not say so when it has not."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.demo.calls import REFUSED, WAY_IN, WAY_OUT, DemoRun, all_the_way
from tests.demo.checks import (
    CheckFailed,
    Timings,
    left_over,
    missing_steps,
    too_slow,
    unseen_steps,
    unwanted_steps,
    verdict,
)
from tests.demo.output import STEPS, CallNames, OutputLine, output_lines
from tests.simulator.journal import PhoneChanged, Request, RequestAnswered
from tests.simulator.simulator import Simulator

ROOT = Path(__file__).parent.parent
Start = Callable[..., subprocess.Popen[str]]
WHOLE = [
    "call ringing",
    "webhook initiate",
    "createParticipant",
    "createSession",
    "addParticipantToSession",
    "BXML <Transfer>",
    "webhook transferAnswer",
    "BXML <Tag>",
    "call bridged",
    "webhook disconnect",
    "call ended",
    "webhook transferDisconnect",
    "removeParticipantFromSession",
    "deleteParticipant",
    "deleteSession",
]


def seen(*whats: str, **statuses: str) -> list[OutputLine]:
    return [OutputLine(at, "", "", what, status=statuses.get(what, "")) for at, what in enumerate(whats)]


def test_a_whole_call_has_everything() -> None:
    lines = seen(*WHOLE)
    assert missing_steps(lines, [*WAY_IN, *WAY_OUT]) == []
    assert missing_steps(reversed(lines), [*WAY_IN, *WAY_OUT]) == []
    assert unseen_steps(lines) == []


@pytest.mark.parametrize("what", WHOLE)
def test_whatever_is_missing_is_named(what: str) -> None:
    (problem,) = missing_steps(seen(*(one for one in WHOLE if one != what)), [*WAY_IN, *WAY_OUT])
    assert problem.startswith(what)
    assert problem.endswith("was not seen")


@pytest.mark.parametrize(
    ("step", "whats"),
    [
        (1, {"createSession"}),
        (3, {"addParticipantToSession"}),
        (7, {"removeParticipantFromSession", "deleteParticipant"}),
        (8, {"call ended", "webhook disconnect"}),
        (9, {"deleteSession"}),
    ],
)
def test_a_step_that_nothing_belonged_to_is_named(step: int, whats: set[str]) -> None:
    lines = seen(*(what for what in WHOLE if what not in whats))
    assert unseen_steps(lines) == [f"step {step} ({STEPS[step]}) was not seen"]


def test_the_order_counts() -> None:
    early = [what for what in WHOLE if what != "deleteSession"]
    early.insert(5, "deleteSession")
    assert missing_steps(seen(*early), [*WAY_IN, *WAY_OUT]) == [
        "deleteSession (step 9) was seen, but too early"
    ]


def test_what_was_refused_was_not_seen() -> None:
    lines = seen(*WHOLE, createSession="500", deleteSession="204")
    assert missing_steps(lines, [*WAY_IN, *WAY_OUT]) == ["createSession (step 1) was not seen"]
    assert unseen_steps(lines) == ["step 1 (createSession) was not seen"]


def test_what_must_not_be_is_named() -> None:
    assert unwanted_steps(seen(*WHOLE), {"BXML <Transfer>", "updateCall"}) == [
        "BXML <Transfer> (step 6) was seen, and must not be"
    ]


def test_the_best_call_has_to_be_fast_enough() -> None:
    timings = Timings(trips=[95.0, 88.0, 86.0], firsts=[140.0, 98.0], joiners=[120.0, 98.5])
    assert too_slow(timings, 10) == [
        "joins a room that has one: two trips and 10.5 ms at best, not two trips and 10 ms"
    ]
    assert too_slow(timings, 11) == []


async def test_whatever_is_left_is_named(simulator: Simulator) -> None:
    assert verdict(simulator) == []
    session = simulator.sessions.create_session(None)
    assert (
        verdict(simulator) == left_over(simulator.ledger.alive()) == [f"session {session.id} is still alive"]
    )


async def test_a_call_that_nobody_answers_is_a_failure(simulator: Simulator) -> None:
    simulator.application.initiate_url = "http://127.0.0.1:1/callbacks/voice"
    stage = DemoRun(simulator)
    with pytest.raises(CheckFailed) as failure:
        await stage.play(all_the_way, [*WAY_IN, *WAY_OUT])
    problems = str(failure.value).splitlines()
    assert "ended before bridged" in problems[0]
    for number in (1, 2, 3, 6, 7, 9):
        assert (
            f"{STEPS[number].replace('transferToWebRTC', 'BXML <Transfer>')} (step {number}) was not seen"
            in problems
        )
    assert stage.lines[0].what == "call ringing"


async def test_a_call_that_goes_on_is_a_failure(simulator: Simulator) -> None:
    simulator.application.initiate_url = "http://127.0.0.1:1/callbacks/voice"
    simulator.gates.hold("webhook:initiate")
    stage = DemoRun(simulator)

    async def dials(stage: DemoRun) -> None:
        await stage.simulator.dial()
        raise AssertionError("given up")

    with pytest.raises(CheckFailed, match=r"^given up\ncall c-.* is still alive\n"):
        await stage.play(dials, REFUSED)


def test_requests_and_phones_as_lines() -> None:
    made: dict[str, Any] = {"method": "POST", "path": "", "ids": {}, "at": 3.01, "scheme": None, "body": None}
    request = Request(operation="createSession", status=200, ms=40.0, received=True, **made)
    names = CallNames()
    assert [
        line._replace(at_ms=round(line.at_ms))
        for line in output_lines(RequestAnswered(50.0, request), names, 3.0)
    ] == [OutputLine(10, "bridge", "Bandwidth", "createSession", status="200", ms=40.0)]
    lost = Request(operation="createSession", status=None, ms=40.0, received=False, **made)
    assert not next(output_lines(RequestAnswered(50.0, lost), names)).is_success
    assert list(output_lines(PhoneChanged(7.0, "c-1", None, "ended", "hangup"), names)) == [
        OutputLine(7.0, "phone", "Bandwidth", "call ended", "caller 1, hangup")
    ]
    assert list(output_lines(PhoneChanged(7.0, "c-2", "c-1", "ended", "hangup"), names)) == []


@pytest.fixture
def folder() -> Iterator[Path]:
    """For the demo's files: of a short name, since the store's socket is in it."""
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        yield Path(name)


def _as_from_a_terminal() -> None:
    """Whoever started the tests in the background has had Ctrl-C ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts a demo whose temporary files are in `folder`; what is still there at the end is ended."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "tests.demo", *arguments],
            cwd=ROOT,
            env={"PATH": os.defpath, "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_as_from_a_terminal,  # noqa: PLW1509 - one call, which takes no lock
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=30)


def test_the_demo(start: Start, folder: Path) -> None:
    # Other tests run beside it: how fast the service is, `make demo` itself says.
    process = start("--allowed-ms", "1000")
    output, errors = process.communicate(timeout=90)
    assert (process.returncode, errors) == (0, ""), output

    table = re.findall(r"^  step (\d)  (.*?)  +(seen at|for outbound calls)", output, re.MULTILINE)
    # Once for a call that came in, once for one that was placed.
    assert [(int(number), name) for number, name, _ in table] == 2 * list(STEPS.items())
    assert [seen for _, _, seen in table].count("for outbound calls") == 1
    first_call = output.split("\nA call from start to end\n")[1].split("\n\n")[0]
    steps = re.findall(r"^ +[\d.]+ +(\d)? +\w+ -> \w+ ", first_call, re.MULTILINE)
    places = {number: steps.index(number) for number in "12356789"}
    assert places["5"] < min(places["1"], places["2"])
    assert max(places["1"], places["2"]) < places["3"] < places["6"] < places["8"] < places["7"] < places["9"]
    assert "they hear each other" in output
    assert "We are sorry" in output
    assert {"the phone is still up", "both legs have stayed up", "the phone has outlived its leg"} <= set(
        re.findall(r"-> \w+ +((?:the|both) [a-z ]+?)  ", output)
    )
    rows = re.findall(r"^  (transfer|bridge), prepared on (answer|dial) +([\d.]+)", output, re.MULTILINE)
    assert len({(way, order) for way, order, _ in rows}) == 4
    assert "FAILED" not in output
    assert "\x1b" not in output
    assert list(folder.iterdir()) == []


def test_a_demo_that_fails(start: Start, folder: Path) -> None:
    process = start("--latency-ms", "0", "--allowed-ms=-1000")
    output, errors = process.communicate(timeout=90)
    assert (process.returncode, errors) == (1, "")
    assert re.search(r"^FAILED\n  first caller: .* not two trips and -1000 ms$", output, re.MULTILINE)
    told = re.search(r"The last 20 lines of the service's log, all of it in (\S+):\n((  {.*}\n){20})", output)
    assert told
    assert list(folder.iterdir()) == [Path(told[1])]
    assert told[2].count('"timestamp"') == 20


def test_a_service_that_dies_is_a_failure(start: Start, folder: Path) -> None:
    process = start()
    assert process.stdout is not None
    found = None
    while not found:
        found = re.search(r"the service .* process (\d+)", process.stdout.readline())
        assert process.poll() is None
    os.kill(int(found[1]), signal.SIGKILL)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert re.search(r"^  deleteSession \(step 9\) was not seen$", output, re.MULTILINE)
    assert [path.suffix for path in folder.iterdir()] == [".log"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing(start: Start, folder: Path, number: signal.Signals) -> None:
    # Slow enough that it cannot be over before it is interrupted, however busy the machine.
    process = start("--latency-ms", "400")
    assert process.stdout is not None
    while "createSession" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "interrupted; the service has been ended\n")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("wrong", ["-1", "1001", "fast", "nan"])
def test_wrong_usage(start: Start, wrong: str) -> None:
    process = start(f"--latency-ms={wrong}")
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (2, "")
    assert "is no number from 0 to 1000" in errors


def test_help(start: Start) -> None:
    output, _ = start("--help").communicate(timeout=30)
    assert {"--latency-ms", "--allowed-ms", "exit codes:"} <= set(
        re.findall(r"--[a-z-]+|exit codes:", output)
    )
