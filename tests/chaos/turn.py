"""Plays one turn from start to end, and judges it."""

import asyncio
import json
import random  # noqa: TID251 - seeded, so that a storm can be had again
from collections.abc import Callable
from pathlib import Path

from tests.chaos.checks import run_checks
from tests.chaos.evidence import gather
from tests.chaos.faults import FAULT_PROFILES
from tests.chaos.faults.base import FaultProfile
from tests.chaos.finding_timeline import finding_timelines
from tests.chaos.plan import Turn
from tests.chaos.repeats import repeat_some
from tests.chaos.report import TurnReport, report_on
from tests.chaos.scenarios.runner import ScenarioRunner
from tests.chaos.settling import settle
from tests.chaos.site import CannotStart, Site, site_of
from tests.simulator.clock import monotonic

PROGRESS_SECONDS = 5.0
"""Seconds between two lines of progress."""
SETTLE_SECONDS = 10.0
"""Seconds at most in which what is owed is done, before those who stay are hung up."""
MakeFaultProfile = Callable[[random.Random], FaultProfile]
Say = Callable[[str], None]


async def play(
    turn: Turn,
    directory: Path,
    say: Say,
    *,
    make_weather: MakeFaultProfile | None = None,
) -> TurnReport:
    """What was found also goes to `details.json` in the directory, beside the replicas' logs.

    Raises CannotStart.
    """
    begun = monotonic()
    weather = (make_weather or FAULT_PROFILES[turn.fault_profile])(random.Random(f"{turn.seed} weather"))
    async with site_of(turn, weather, directory) as site:
        await _run_scenarios(site, weather, say)
        gathering = monotonic()
        evidence = await gather(site)
        looking = monotonic()
    found = await asyncio.to_thread(run_checks, evidence)
    say(
        f"{turn.fault_profile}: it took {gathering - begun:.0f} s to play, "
        f"{looking - gathering:.0f} s to gather, {monotonic() - looking:.0f} s to end and to judge"
    )
    report = report_on(evidence, found, weather.counts, monotonic() - begun)
    if report.wrong:
        (directory / "details.json").write_text(json.dumps(finding_timelines(evidence, found), indent=1))
    return report


async def _run_scenarios(site: Site, weather: FaultProfile, say: Say) -> None:
    lives = ScenarioRunner(
        site.simulator,
        site.api,
        site.turn,
        rate=weather.rate_of(site.turn),
        at_once=weather.max_concurrent,
        mix=weather.mix,
        records=site.records,
        heartbeat_fate=weather.heartbeat_fault,
    )
    try:
        await lives.prepare()
    except AssertionError as error:
        raise CannotStart(error) from error
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        telling = group.create_task(_report_progress(site, lives, say))
        blowing = group.create_task(_inject_faults(site, weather))
        repeating = group.create_task(repeat_some(site, weather.repeat_share, enough))
        group.create_task(site.snapshots.watch())
        group.create_task(site.marks.watch())
        group.create_task(site.live_call_counts.watch())
        begun = monotonic()
        try:
            await lives.play(weather.may_begin_call)
            over = monotonic()
            weather.stop(site)
            enough.set()
            await asyncio.gather(blowing, repeating)
            # Those who stay are judged by what is to be seen when nothing is owed any more.
            await site.snapshots.wait_until_nothing_owed(SETTLE_SECONDS)
            await lives.end_browsers()
            await settle(site)
            await lives.end_listeners()
        finally:
            # Also where one of them has failed: the client of the store may swallow that a task is cancelled.
            weather.stop(site)
            enough.set()
            telling.cancel()
            site.snapshots.stop()
            site.marks.stop()
            site.live_call_counts.stop()
        say(
            f"{site.turn.fault_profile}: lives took {over - begun:.0f} s, "
            f"and {monotonic() - over:.0f} s to settle"
        )


async def _inject_faults(site: Site, weather: FaultProfile) -> None:
    """All the time, or in the window of the turn alone."""
    if site.turn.window is None:
        await weather.inject(site)
        return
    begin, end = site.turn.window
    if await weather.wait(begin):
        async with asyncio.TaskGroup() as group:
            blowing = group.create_task(weather.inject(site))
            await weather.wait(end - begin)
            weather.stop(site)
            await blowing


async def _report_progress(site: Site, lives: ScenarioRunner, say: Say) -> None:
    turn = site.turn
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        alive = site.simulator.ledger.alive()
        say(
            f"{turn.fault_profile}: {lives.ended} of {len(turn.numbers)} calls over, "
            f"{len(site.troubles.all)} troubles; alive: {len(alive.calls)} calls, "
            f"{len(alive.legs)} legs, {len(alive.participants)} participants, {len(alive.sessions)} sessions"
        )
