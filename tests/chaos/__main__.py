"""`make chaos`: plays a storm and prints one line of JSON.

Exit 0: nothing is left, late or wrong. 1: something is. 2: it cannot start, or a setting is wrong.
"""

import asyncio
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.chaos.plan import Turn, plan, weathers_named
from tests.chaos.report import Report, TurnReport, sum_of
from tests.chaos.site import CannotStart
from tests.chaos.turn import play
from tests.chaos.weathers import WEATHERS

CALLS = 2000
PASSED, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main() -> int:
    try:
        calls, seed = _number("CHAOS_CALLS", CALLS), _number("CHAOS_SEED", secrets.randbelow(10**6) + 1)
        weathers = weathers_named(_text("CHAOS_WEATHER"), list(WEATHERS))
        only = [int(one) for one in _text("CHAOS_ONLY").split(",") if one.strip()]
    except ValueError as error:
        _say(str(error))
        return USAGE
    turns = plan(calls, seed, weathers, only)
    _say(f"CHAOS_SEED={seed} CHAOS_CALLS={calls} CHAOS_WEATHER={','.join(weathers)}: {len(turns)} turns")
    directory = Path(tempfile.mkdtemp(prefix="pstn-chaos-"))
    try:
        report = asyncio.run(_played(seed, turns, directory))
    except (KeyboardInterrupt, asyncio.CancelledError):
        shutil.rmtree(directory)
        _say("interrupted; all that ran has been ended")
        return INTERRUPTED
    except CannotStart as error:
        _say(str(error))
        return USAGE
    except BaseException:
        _say(f"it broke off; logs are in {directory}")
        raise
    print(msgspec.json.encode(report).decode())
    if report.passed:
        shutil.rmtree(directory)
        return PASSED
    _say(f"failed; what was found is in {directory}, in details.json beside the replicas' logs of each turn")
    return FAILED


async def _played(seed: int, turns: Sequence[Turn], directory: Path) -> Report:
    playing = asyncio.current_task()
    assert playing is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
    reports: list[TurnReport] = []
    for number, turn in enumerate(turns, 1):
        _say(f"turn {number} of {len(turns)}: {turn.weather}, {turn.calls} calls")
        place = directory / f"{number}"
        report = await play(turn, place, _say)
        reports.append(report)
        if report.wrong:
            _say(f"wrong: {report.found}; play it again with {turn.replay}")
        else:
            shutil.rmtree(place)
    return sum_of(seed, reports)


def _number(name: str, default: int) -> int:
    text = _text(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name} is {text!r}; wants a whole number from 1 on")
    return int(text)


def _text(name: str) -> str:
    return os.environ.get(name, "").strip()  # noqa: TID251 - these are ours, not the service's


def _say(line: str) -> None:
    print(f"chaos: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
