"""Plays the turns of a storm one after the other, and tells of each that fails."""

import random  # noqa: TID251 - no decision is made
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.chaos.checks import check_descriptions
from tests.chaos.faults import FAULT_PROFILES
from tests.chaos.finding_timeline import print_timelines
from tests.chaos.plan import Turn
from tests.chaos.report import StormReport, TurnReport, sum_of
from tests.chaos.shrink import shrink
from tests.chaos.turn import Say, play
from tests.simulator.clock import monotonic

LINES = 60
"""Of a story that are printed; the file has all."""


async def storm(
    seed: int,
    turns: Sequence[Turn],
    directory: Path,
    say: Say,
    *,
    shrink_minutes: float = 0.0,
    keep: bool = False,
) -> StormReport:
    """Raises CannotStart. Logs of a turn that failed are kept in a folder of its number."""
    reports: list[TurnReport] = []
    smaller: list[str] = []
    for number, turn in enumerate(turns, 1):
        say(f"turn {number} of {len(turns)}: {turn.fault_profile}, {len(turn.numbers)} calls")
        place = directory / f"{number}"
        report = await play(turn, place, say)
        reports.append(report)
        if not report.bridged:
            say(f"{turn.fault_profile}: no phone came through, so that this turn shows little")
        if report.wrong:
            _tell(turn, report, place, say)
            smaller.append(await _shrink_turn(turn, report, directory, say, shrink_minutes))
        elif not keep:
            shutil.rmtree(place)
    return sum_of(seed, reports, smaller)


def _tell(turn: Turn, report: TurnReport, place: Path, say: Say) -> None:
    for line in print_timelines(
        msgspec.json.decode((place / "details.json").read_bytes()), LINES, check_descriptions()
    ):
        say(line)
    say(f"found: { {eye: count for eye, count in report.found.items() if count} } in {place}/details.json")
    say(f"play it again: {turn.replay}")


async def _shrink_turn(turn: Turn, report: TurnReport, directory: Path, say: Say, minutes: float) -> str:
    """The command that plays the smallest turn found that shows the same."""
    eyes = {eye for eye, count in report.found.items() if count}
    ends = monotonic() + 60 * minutes
    place = directory / "smaller"

    async def fails(one: Turn) -> bool:
        again = await play(one, place, _nothing)
        shutil.rmtree(place)
        same = any(again.found[eye] for eye in eyes)
        say(f"{'shows it too' if same else 'does not show it'}: {one.replay}")
        return same

    if minutes:
        say(f"looking for a smaller case for {minutes:g} minutes")
        seconds = turn.calls / FAULT_PROFILES[turn.fault_profile](random.Random()).rate_of(turn)
        turn = await shrink(turn, seconds, fails, lambda: monotonic() < ends)
        say(f"the smallest found: {turn.replay}")
    return turn.replay


def _nothing(_line: str) -> None: ...
