"""Every command finds the embedded store of a service that runs, and none of them starts one."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from handlers.cli import COMMANDS
from service.store.redis.embedded import EmbeddedError, EmbeddedServer
from tests.harness import PASSWORD, USERNAME

LOOKING: Final = {
    "calls": ["calls", "--json"],
    "call": ["call", "p07-nobody"],
    "rooms": ["rooms"],
    "owed": ["owed", "list"],
    "owed replay": ["owed", "replay", "--all"],
    "owed drop": ["owed", "drop", "--all"],
    "pause": ["pause"],
    "resume": ["resume"],
    "doctor": ["doctor", "--json"],
    "sweep": ["sweep"],
}
WITHOUT_STORE: Final = {"serve", "key", "logs"}
"""The service, which does start one, and those that need none."""
NOWHERE: Final = "http://127.0.0.1:1"
EACH: Final = """
import contextlib, io, json, sys
from handlers.cli import main

for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""
"""One process for all, since starting it takes longer than they do."""


async def each(state: Path) -> dict[str, tuple[int, str, str]]:
    """Exit code and both streams by command."""
    env = {
        "BW_ACCOUNT_ID": "5500000",
        "BW_CLIENT_ID": "client",
        "BW_CLIENT_SECRET": "client-secret",
        "BW_VOICE_URL": NOWHERE,
        "BW_WEBRTC_URL": NOWHERE,
        "BW_TOKEN_URL": NOWHERE,
        "BASE_CALLBACK_URL": NOWHERE,
        "CALLBACK_USERNAME": USERNAME,
        "CALLBACK_PASSWORD": PASSWORD,
        "XDG_STATE_HOME": str(state),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", EACH, json.dumps(list(LOOKING.values()))),
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    return {
        name: tuple(json.loads(line)) for name, line in zip(LOOKING, out.decode().splitlines(), strict=True)
    }


def contents(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def store_of(doctor: str) -> dict[str, Any]:
    found = [json.loads(line) for line in doctor.splitlines()]
    return next(one for one in found if one["check"] == "store")


def test_these_are_all_commands() -> None:
    assert {words[0] for words in LOOKING.values()} | WITHOUT_STORE == set(COMMANDS)


@pytest.mark.parametrize("before", [False, True], ids=["never ran", "ran"])
async def test_no_service_runs(tmp_path: Path, before: bool) -> None:
    if before:
        server = EmbeddedServer(tmp_path / "pstn-bridge")
        await server.start()
        await server.stop()
    files = contents(tmp_path)
    found = await each(tmp_path)
    _, doctor, _ = found.pop("doctor")
    for name, (code, out, err) in found.items():
        assert (code, out, err.count("\n")) == (4, "", 1), (name, out, err)
        assert err.startswith("pstn-bridge: error: the store cannot be used: embedded in ")
        assert "no embedded server lives in" in err
        assert err.endswith(
            "start the service (restart it, if it runs), "
            "or set REDIS_URL or XDG_STATE_HOME as the service has them\n"
        )
    store = store_of(doctor)
    assert (store["result"], "no embedded server lives in" in store["found"]) == ("fail", True)
    assert "while a service runs here" in store["do"]
    assert store["do"].endswith("restart the service")
    assert contents(tmp_path) == files, "none is started, and nothing is written"


async def test_a_service_runs(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "pstn-bridge")
    await server.start()
    try:
        found = await each(tmp_path)
        codes = {name: code for name, (code, _, _) in found.items()}
        # There is no such call, and nobody at Bandwidth's addresses.
        assert codes == {**dict.fromkeys(LOOKING, 0), "call": 1, "doctor": 1}, found
        assert store_of(found["doctor"][1])["result"] == "ok"
        assert EmbeddedServer(server.directory).url_of_running(), "and it was left running"
    finally:
        await server.stop()


def test_a_directory_that_may_not_be_looked_into(tmp_path: Path) -> None:
    """Root may look into everything, so that it is a lock which cannot be opened."""
    (tmp_path / "alive.lock").mkdir()
    with pytest.raises(EmbeddedError, match="run this as the user that the service runs as"):
        EmbeddedServer(tmp_path).url_of_running()
