"""`make chaos`: plays a storm and prints one line of JSON.

Exit 0: nothing is left, late or wrong. 1: something is. 2: it cannot start, or a setting is wrong. 3: the
storm itself broke off, with a traceback. 130: it was interrupted.
"""

import asyncio
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from tests.chaos.faults import FAULT_PROFILES
from tests.chaos.options import HELP, Options, options
from tests.chaos.plan import Turn, plan
from tests.chaos.report import StormReport
from tests.chaos.site import CannotStart
from tests.chaos.storm import storm
from tests.temporary import temporary_place

PASSED, FAILED, USAGE, BROKEN_OFF, INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: Sequence[str] = ()) -> int:
    if arguments:
        print(f"{__doc__}\n{HELP.format(weathers=','.join(FAULT_PROFILES))}", end="")
        return PASSED if {*arguments} <= {"-h", "--help"} else USAGE
    try:
        told = options(list(FAULT_PROFILES))
        left_out, in_part = _left_out(told)
        turns = _turns(told, [name for name in told.fault_profiles if name not in left_out])
        directory = Path(tempfile.mkdtemp(prefix="pstn-chaos-", dir=temporary_place()))
    except ValueError as error:
        _say(str(error))
        return USAGE
    except OSError as error:
        _say(str(CannotStart(error)))
        return USAGE
    names = ",".join(dict.fromkeys(turn.fault_profile for turn in turns))
    _say(f"CHAOS_WEATHER={names} CHAOS_SEED={told.seed} CHAOS_CALLS={told.calls}: {len(turns)} turns")
    try:
        report = asyncio.run(_played(told, turns, directory))
    except (KeyboardInterrupt, asyncio.CancelledError):
        _say("interrupted; all that ran has been ended")
        _keep_failures(directory)
        return INTERRUPTED
    except CannotStart as error:
        _say(str(error))
        _keep_failures(directory)
        return USAGE
    except BaseException:  # noqa: BLE001 - it is told, and has a code of its own
        traceback.print_exc()
        _say(f"it broke off; logs are in {directory}")
        return BROKEN_OFF
    print(msgspec.json.encode(replace(report, left_out=left_out | in_part)).decode())
    if not report.passed:
        if report.shows_nothing:
            _say("no phone came through in all of the storm: there was nothing to be seen")
        _say(f"failed; what was found, and the replicas' logs, are in {directory}")
        return FAILED
    if not told.keep:
        shutil.rmtree(directory)
    return PASSED


def _left_out(told: Options) -> tuple[dict[str, str], dict[str, str]]:
    """Why, by weather: those that cannot be played here, and those of which a part cannot."""
    left_out = {name: why for name in told.fault_profiles if (why := FAULT_PROFILES[name].cannot_run())}
    in_part = {name: why for name in told.fault_profiles if (why := FAULT_PROFILES[name].runs_in_part())}
    for name, why in left_out.items():
        _say(f"leaves out {name}: {why}")
    for name, why in in_part.items():
        _say(f"leaves out a part of {name}: {why}")
    return left_out, in_part


def _keep_failures(directory: Path) -> None:
    """Of turns before one that could not start, or was interrupted."""
    if list(directory.glob("*/details.json")):
        _say(f"what was found before is in {directory}")
    else:
        shutil.rmtree(directory)


def _turns(told: Options, weathers: Sequence[str]) -> list[Turn]:
    """Raises ValueError where no weather is left."""
    if not weathers:
        raise ValueError("the storm cannot start: no weather is left")
    if told.only or told.window:
        return [Turn(weathers[0], told.seed, told.calls, told.only, told.window)]
    return plan(told.calls, told.seed, weathers)


async def _played(told: Options, turns: Sequence[Turn], directory: Path) -> StormReport:
    playing = asyncio.current_task()
    assert playing is not None
    _end_at(playing, signal.SIGTERM, signal.SIGINT)
    return await storm(told.seed, turns, directory, _say, shrink_minutes=told.shrink, keep=told.keep)


def _end_at(playing: asyncio.Task[Any], *numbers: signal.Signals) -> None:
    """The first of them ends it; what comes after that would leave running what is being ended."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        for number in heeded:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        playing.cancel()

    heeded = [one for one in numbers if signal.getsignal(one) is not signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, end)


def _say(line: str) -> None:
    print(f"chaos: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
