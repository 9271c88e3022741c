"""Plays one turn from start to end, and judges it."""

import asyncio
import json
import random  # noqa: TID251 - seeded, so that a storm can be had again
from collections.abc import Callable
from pathlib import Path

from tests.chaos.evidence import gather
from tests.chaos.eyes import look
from tests.chaos.plan import Turn
from tests.chaos.repeats import repeat_some
from tests.chaos.report import TurnReport, report_on
from tests.chaos.scenarios.lives import Lives
from tests.chaos.settling import settle
from tests.chaos.site import CannotStart, Site, site_of
from tests.chaos.story import told
from tests.chaos.weathers import WEATHERS
from tests.chaos.weathers.base import Weather
from tests.simulator.clock import monotonic

EVERY = 5.0
"""Seconds between two lines of progress."""
RESTING = 10.0
"""Seconds at most in which what is owed is done, before those who stay are hung up."""
MakeWeather = Callable[[random.Random], Weather]
Say = Callable[[str], None]


async def play(
    turn: Turn,
    directory: Path,
    say: Say,
    *,
    make_weather: MakeWeather | None = None,
) -> TurnReport:
    """What was found also goes to `details.json` in the directory, beside the replicas' logs.

    Raises CannotStart.
    """
    begun = monotonic()
    weather = (make_weather or WEATHERS[turn.weather])(random.Random(f"{turn.seed} weather"))
    async with site_of(turn, weather, directory) as site:
        await _live_through(site, weather, say)
        gathering = monotonic()
        evidence = await gather(site)
        looking = monotonic()
    found = await asyncio.to_thread(look, evidence)
    say(
        f"{turn.weather}: it took {gathering - begun:.0f} s to play, {looking - gathering:.0f} s to gather, "
        f"{monotonic() - looking:.0f} s to end and to judge"
    )
    report = report_on(evidence, found, weather.counts, monotonic() - begun)
    if report.wrong:
        (directory / "details.json").write_text(json.dumps(told(evidence, found), indent=1))
    return report


async def _live_through(site: Site, weather: Weather, say: Say) -> None:
    lives = Lives(
        site.simulator,
        site.api,
        site.turn,
        rate=weather.rate_of(site.turn),
        at_once=weather.at_once,
        mix=weather.mix,
        records=site.records,
        heartbeat_fate=weather.heartbeat_fate,
    )
    try:
        await lives.prepare()
    except AssertionError as error:
        raise CannotStart(error) from error
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        telling = group.create_task(_tell(site, lives, say))
        blowing = group.create_task(_blow(site, weather))
        repeating = group.create_task(repeat_some(site, weather.repeats, enough))
        group.create_task(site.stills.watch())
        group.create_task(site.marks.watch())
        group.create_task(site.gauges.watch())
        begun = monotonic()
        try:
            await lives.play(weather.goes_on)
            over = monotonic()
            weather.calm(site)
            enough.set()
            await asyncio.gather(blowing, repeating)
            # Those who stay are judged by what is to be seen when nothing is owed any more.
            await site.stills.rest(RESTING)
            await lives.part()
            await settle(site)
            await lives.end()
        finally:
            # Also where one of them has failed: the client of the store may swallow that a task is cancelled.
            weather.calm(site)
            enough.set()
            telling.cancel()
            site.stills.stop()
            site.marks.stop()
            site.gauges.stop()
        say(f"{site.turn.weather}: lives took {over - begun:.0f} s, and {monotonic() - over:.0f} s to settle")


async def _blow(site: Site, weather: Weather) -> None:
    """All the time, or in the window of the turn alone."""
    if site.turn.window is None:
        await weather.blow(site)
        return
    begin, end = site.turn.window
    if await weather.lasts(begin):
        async with asyncio.TaskGroup() as group:
            blowing = group.create_task(weather.blow(site))
            await weather.lasts(end - begin)
            weather.calm(site)
            await blowing


async def _tell(site: Site, lives: Lives, say: Say) -> None:
    turn = site.turn
    while True:
        await asyncio.sleep(EVERY)
        alive = site.simulator.ledger.alive()
        say(
            f"{turn.weather}: {lives.ended} of {len(turn.numbers)} calls over, "
            f"{len(site.troubles.all)} troubles; alive: {len(alive.calls)} calls, "
            f"{len(alive.legs)} legs, {len(alive.participants)} participants, {len(alive.sessions)} sessions"
        )
