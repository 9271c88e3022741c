"""`make chaos`: plays a storm and prints one line of JSON.

Exit 0: nothing is left, late or wrong. 1: something is. 2: it cannot start, or a setting is wrong.
"""

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from tests.chaos.options import HELP, Options, options
from tests.chaos.plan import Turn, plan
from tests.chaos.report import Report
from tests.chaos.site import CannotStart
from tests.chaos.storm import storm
from tests.chaos.weathers import WEATHERS

PASSED, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str]) -> int:
    if arguments:
        print(f"{__doc__}\n{HELP.format(weathers=','.join(WEATHERS))}", end="")
        return PASSED if {*arguments} <= {"-h", "--help"} else USAGE
    try:
        told = options(list(WEATHERS))
    except ValueError as error:
        _say(str(error))
        return USAGE
    left_out = {name: why for name in told.weathers if (why := WEATHERS[name].missing())}
    for name, why in left_out.items():
        _say(f"leaves out {name}: {why}")
    told = replace(told, weathers=[name for name in told.weathers if name not in left_out])
    if not told.weathers:
        _say("the storm cannot start: no weather is left")
        return USAGE
    turns = _turns(told)
    names = ",".join(told.weathers)
    _say(f"CHAOS_WEATHER={names} CHAOS_SEED={told.seed} CHAOS_CALLS={told.calls}: {len(turns)} turns")
    try:
        directory = Path(tempfile.mkdtemp(prefix="pstn-chaos-"))
    except OSError as error:
        _say(str(CannotStart(error)))
        return USAGE
    try:
        report = asyncio.run(_played(told, turns, directory))
    except (KeyboardInterrupt, asyncio.CancelledError):
        shutil.rmtree(directory)
        _say("interrupted; all that ran has been ended")
        return INTERRUPTED
    except CannotStart as error:
        _say(str(error))
        failed = list(directory.glob("*/details.json"))
        if failed:
            _say(f"what was found before is in {directory}")
        else:
            shutil.rmtree(directory)
        return USAGE
    except BaseException:
        _say(f"it broke off; logs are in {directory}")
        raise
    report = replace(report, left_out=left_out)
    print(msgspec.json.encode(report).decode())
    if report.passed:
        if not told.keep:
            shutil.rmtree(directory)
        return PASSED
    _say(f"failed; what was found, and the replicas' logs, are in {directory}")
    return FAILED


def _turns(told: Options) -> list[Turn]:
    if told.only or told.window:
        return [replace(Turn(told.weathers[0], told.seed, told.calls), only=told.only, window=told.window)]
    return plan(told.calls, told.seed, told.weathers)


async def _played(told: Options, turns: Sequence[Turn], directory: Path) -> Report:
    playing = asyncio.current_task()
    assert playing is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
    return await storm(told.seed, turns, directory, _say, shrink_minutes=told.shrink, keep=told.keep)


def _say(line: str) -> None:
    print(f"chaos: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
