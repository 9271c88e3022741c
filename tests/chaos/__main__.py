"""`make chaos`: play a storm, print one line of JSON; exit 0 when nothing is left, late or wrong."""

import asyncio
import os
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import msgspec

from tests.chaos.storm import storm
from tests.chaos.verdict import Report

CALLS = 2000
PASSED, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main() -> int:
    try:
        calls, seed = _number("CHAOS_CALLS", CALLS), _number("CHAOS_SEED", secrets.randbelow(10**6) + 1)
    except ValueError as error:
        _say(str(error))
        return USAGE
    replay = f"CHAOS_SEED={seed} CHAOS_CALLS={calls}"
    _say(replay)
    directory = Path(tempfile.mkdtemp(prefix="pstn-chaos-"))
    try:
        report = asyncio.run(_played(calls, seed, directory))
    except (KeyboardInterrupt, asyncio.CancelledError):
        shutil.rmtree(directory)
        _say("interrupted; all that ran has been ended")
        return INTERRUPTED
    except BaseException:
        _say(f"it broke off; replay it with {replay}, logs are in {directory}")
        raise
    print(msgspec.json.encode(report).decode())
    if report.passed:
        shutil.rmtree(directory)
        return PASSED
    _say(f"failed; replay it with {replay}")
    _say(f"what was found: {directory}/details.json, beside it the replicas' logs")
    return FAILED


async def _played(calls: int, seed: int, directory: Path) -> Report:
    playing = asyncio.current_task()
    assert playing is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
    return await storm(calls, seed, directory, _say)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "").strip() or str(default)  # noqa: TID251 - these are ours, not the service's
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name} is {text!r}; wants a whole number from 1 on")
    return int(text)


def _say(line: str) -> None:
    print(f"chaos: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
