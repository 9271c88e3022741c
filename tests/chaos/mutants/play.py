"""Plays one turn: `python -m tests.chaos.mutants.play WEATHER SEED CALLS`. Prints what was found and excused.

Exit 0: nothing is wrong. 10: something is, also where nobody came through. 2: it cannot start. Python ends
with 1 where the storm itself fails, which is no finding.
"""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.chaos.plan import Turn
from tests.chaos.site import CannotStart
from tests.chaos.turn import play
from tests.temporary import temporary_place

FOUND = 10


def main(arguments: Sequence[str]) -> int:
    weather, seed, calls = arguments
    with tempfile.TemporaryDirectory(prefix="pstn-mutant-", dir=temporary_place()) as name:
        turn = Turn(weather, int(seed), int(calls))
        try:
            report = asyncio.run(play(turn, Path(name) / "t", _say))
        except CannotStart as error:
            _say(str(error))
            return 2
        details = Path(name) / "t" / "details.json"
        if details.exists():
            for one in msgspec.json.decode(details.read_bytes()):
                _say(f"{one['eye']}: {one['what']}")
    found = {eye: count for eye, count in report.found.items() if count}
    said = {"bridged": report.bridged, "found": found, "excused": report.excused}
    print(msgspec.json.encode(said).decode())
    return FOUND if report.wrong or not report.bridged else 0


def _say(line: str) -> None:
    print(line[:500], file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
