"""The command as an operator runs it: a process, its environment, what it prints and its exit code."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service import __version__

HERE = Path(__file__).parents[1]
GOOD: Mapping[str, str] = {
    "BW_ACCOUNT_ID": "5500000",
    "BW_CLIENT_ID": "client",
    "BW_CLIENT_SECRET": "client-secret",
    "BASE_CALLBACK_URL": "https://bridge.example.com/pstn",
    "CALLBACK_USERNAME": "bandwidth",
    "CALLBACK_PASSWORD": "9f2c-d07b-61ae-48f3",
}
# An application in place of ours: how the command treats what happens to one is the same for any.
SERVER = """
import contextlib, socket, sys
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from handlers.cli.server import run
from service import logs
from service.settings import load
from service.store.errors import StoreUnavailable

@contextlib.asynccontextmanager
async def lifespan(app):
    match sys.argv[1]:
        case "no-store":
            raise StoreUnavailable("connection refused")
        case "grouped":
            raise ExceptionGroup("several", [ValueError("x"), StoreUnavailable("connection refused")])
        case "broken":
            raise ValueError("broken at start")
        case "bad-end":
            yield
            raise ValueError("broken at the end")
        case _:
            yield

app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"))], lifespan=lifespan)
settings = load()
logs.configure(format="json", level="info")
with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    sys.exit(run(app, settings, listener))
"""


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": os.defpath, "PYTHONPATH": str(HERE), "DRAIN_DELAY": "0", **variables}


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "handlers.cli", *arguments],
        env=environment(variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@contextmanager
def serving(fate: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", SERVER, fate],
        env=environment({**GOOD, **variables}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def bridge(**variables: str) -> Iterator[subprocess.Popen[str]]:
    """The whole service on a free port; Bandwidth's addresses lead nowhere."""
    nowhere = dict.fromkeys(("BW_VOICE_URL", "BW_WEBRTC_URL", "BW_TOKEN_URL"), "http://127.0.0.1:1")
    process = subprocess.Popen(
        [sys.executable, "-m", "handlers.cli", "serve", "--port", "0"],
        env=environment({**GOOD, **nowhere, **variables}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()  # and not kill: the embedded server goes with it
        process.communicate(timeout=30)


def started(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


def test_version() -> None:
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, f"pstn-bridge {__version__}\n")


@pytest.mark.parametrize("arguments", [("--help",), ("serve", "--help")])
def test_help_teaches(arguments: tuple[str, ...]) -> None:
    done = command(*arguments)
    assert done.returncode == 0
    for name in (*GOOD, "REDIS_URL", "exit codes:", "store unreachable"):
        assert name in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [(), ("dance",), ("serve", "--port", "http"), ("serve", "--port", "65536"), ("serve", "--colour")],
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    done = command(*arguments, **GOOD)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: pstn-bridge")


@pytest.mark.parametrize("arguments", [("serve",), ("serve", "--check-config")])
def test_every_problem_of_the_configuration_is_told(arguments: tuple[str, ...]) -> None:
    done = command(*arguments, BASE_CALLBACK_URL="http://bridge.example.com", UUI_LIMIT="9")
    assert (done.returncode, done.stdout) == (3, "")
    lines = done.stderr.splitlines()
    assert [line.split()[2] for line in lines] == [
        "BW_ACCOUNT_ID",
        "BW_CLIENT_ID",
        "BW_CLIENT_SECRET",
        "BASE_CALLBACK_URL",
        "CALLBACK_USERNAME",
        "CALLBACK_PASSWORD",
        "UUI_LIMIT",
    ]
    assert all(line.startswith("pstn-bridge: error: ") and "; wants " in line for line in lines)


def test_a_right_configuration() -> None:
    done = command("serve", "--check-config", **GOOD)
    assert (done.returncode, done.stdout, done.stderr) == (0, "configuration ok\n", "")


def test_a_right_configuration_with_warnings() -> None:
    done = command("serve", "--check-config", **{**GOOD, "BW_NUMBR": "+15550100100"})
    assert (done.returncode, done.stdout) == (0, "configuration ok, with 1 warning\n")
    assert done.stderr.startswith("pstn-bridge: warning: BW_NUMBR is not a setting")
    more = {**GOOD, "BW_NUMBR": "+15550100100", "BW_ACCOUNT_ID": "abc"}
    assert command("serve", "--check-config", **more).stdout == "configuration ok, with 2 warnings\n"


@pytest.mark.parametrize("check", [["--check-config"], []], ids=["checked", "served"])
def test_warnings_are_errors_where_somebody_wants_them_to_be(check: list[str]) -> None:
    done = command("serve", *check, "--strict", **{**GOOD, "BW_NUMBR": "+15550100100"})
    assert (done.returncode, done.stdout) == (3, "")
    said = done.stderr.splitlines()
    assert said[0].startswith("pstn-bridge: error: BW_NUMBR is not a setting")
    assert said[1] == "pstn-bridge: 1 warning, which --strict takes for errors"


def test_a_configuration_without_warnings_is_right_with_strict_too() -> None:
    done = command("serve", "--check-config", "--strict", **GOOD)
    assert (done.returncode, done.stdout, done.stderr) == (0, "configuration ok\n", "")


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = command("serve", "--port", port, **GOOD)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in done.stderr
    assert "--port" in done.stderr.splitlines()[-1]


def test_a_host_that_is_not_ours() -> None:
    done = command("serve", "--host", "192.0.2.1", **GOOD)
    assert (done.returncode, "cannot listen on 192.0.2.1" in done.stderr) == (1, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal(number: signal.Signals) -> None:
    with serving("well") as process:
        line = started(process)
        assert line["event"] == "service.started"
        assert line["callback_url"] == "https://bridge.example.com/pstn/callbacks/voice"
        assert "9f2c-d07b-61ae-48f3" not in str(line)
        with urllib.request.urlopen(line["address"]) as answer:  # noqa: S310 - an address of ours
            assert (answer.read(), answer.headers["server"]) == (b"here", None)
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    events = [json.loads(line)["event"] for line in output.splitlines()]
    assert events == ["service.stopping", "service.stopped"]


@pytest.mark.parametrize("fate", ["no-store", "grouped"])
def test_the_store_cannot_be_reached(fate: str) -> None:
    with serving(fate, REDIS_URL="redis://:hunter2@127.0.0.1:1") as process:
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 4
    assert errors.splitlines() == [
        "pstn-bridge: error: the store cannot be used: connection refused",
        "pstn-bridge: check that the server REDIS_URL names is running and can be reached from here",
    ]
    assert "hunter2" not in output
    assert "store.unavailable" in output


@pytest.mark.parametrize(("fate", "cause"), [("broken", "broken at start"), ("bad-end", "broken at the end")])
def test_a_failure_of_another_kind(fate: str, cause: str) -> None:
    with serving(fate) as process:
        if fate == "bad-end":
            assert started(process)["event"] == "service.started"
            process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert cause in errors
    failed = [line for line in map(json.loads, output.splitlines()) if line["event"] == "service.failed"]
    assert len(failed) == output.count("Traceback") == 1
    assert failed[0]["exception"].endswith(f"ValueError: {cause}")


def test_the_service_serves_with_the_embedded_server(tmp_path: Path) -> None:
    with bridge(XDG_STATE_HOME=str(tmp_path)) as process:
        line = started(process)
        with urllib.request.urlopen(f"{line['address']}/livez") as answer:  # noqa: S310 - an address of ours
            assert answer.status == 200
        assert (tmp_path / "pstn-bridge" / "appendonlydir").is_dir()
        process.terminate()
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert json.loads(output.splitlines()[-1])["event"] == "service.stopped"
    assert "ready to exit" in (tmp_path / "pstn-bridge" / "server.log").read_text()


@pytest.mark.parametrize(
    ("variables", "cause"),
    [
        ({"REDIS_URL": "redis://127.0.0.1:1"}, "check that the server REDIS_URL names is running"),
        ({"XDG_STATE_HOME": "/dev/null"}, "set XDG_STATE_HOME to a directory that can be written"),
    ],
)
def test_the_service_without_its_store(variables: dict[str, str], cause: str) -> None:
    with bridge(**variables) as process:
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 4
    assert "the store cannot be used: " in errors
    assert cause in errors
