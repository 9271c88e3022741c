"""One storm from start to end."""

import asyncio
import json
import random  # noqa: TID251 - seeded, so that a storm can be had again
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from redis.asyncio import Redis

from tests.chaos.evidence import with_evidence
from tests.chaos.fleet import Fleet
from tests.chaos.lives import NUMBERS, PIN_NUMBER, Api, Lives
from tests.chaos.verdict import BUDGET, Judge, Report
from tests.chaos.weather import Weather
from tests.harness import API_KEYS, FIRST, NUMBER, SECOND, point_at_two
from tests.processes import environment
from tests.simulator.clock import monotonic
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator
from tests.stores import Store

CALLBACK_TIMEOUT = BUDGET + 2
TIME_SCALE = 0.2
"""Of speech, pauses and ringing: whoever is asked to hold comes back when the store may be there again."""
AT_ONCE = 50
"""Calls that are up at the same time."""
EVERY = 5.0
"""Seconds between two lines of progress."""

Say = Callable[[str], None]


async def storm(
    calls: int,
    seed: int,
    directory: Path,
    say: Say,
    *,
    at_once: int = AT_ONCE,
    make_weather: Callable[[Simulator, Fleet, random.Random], Weather] = Weather,
) -> Report:
    """Play it; what was found goes to `details.json` in the directory, beside the replicas' logs."""
    begun = monotonic()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        simulator = await enter(
            Simulator(SimulatorSettings(callback_timeout=CALLBACK_TIMEOUT, time_scale=TIME_SCALE))
        )
        store = Store(directory / "store")
        stack.push_async_callback(store.stop)
        await store.start()
        fleet = Fleet(directory, store, _settings(simulator, store))
        stack.push_async_callback(fleet.close)
        await fleet.start()
        point_at_two(simulator, *([address.url] for address in fleet.addresses))
        api = Api(fleet, random.Random(seed))
        stack.push_async_callback(api.close)
        redis = await enter(Redis.from_url(store.url))

        lives = Lives(simulator, api, seed, at_once)
        await lives.prepare()
        weather = make_weather(simulator, fleet, random.Random(seed))
        judge = Judge(simulator, fleet, api, redis)
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(_tell(simulator, fleet, lives, calls, say))
            blowing = group.create_task(weather.blow())
            await asyncio.gather(*(lives.live(number, weather.goes_on) for number in range(calls)))
            weather.calm()
            await blowing
            say("the storm is over")
            for phone in simulator.phones:
                phone.pick_up()
                if not phone.call.ended:
                    await phone.hang_up()
            await judge.settle()
            telling.cancel()
        report = await judge.report(seed, monotonic() - begun, calls, weather.counts)
        found = with_evidence(judge.details, [log for address in fleet.addresses for log in address.logs])
        (directory / "details.json").write_text(json.dumps(found, indent=1))
        return report


def _settings(simulator: Simulator, store: Store) -> dict[str, str]:
    return environment(
        simulator,
        REDIS_URL=store.url,
        BASE_CALLBACK_URL=FIRST,
        FALLBACK_CALLBACK_URL=SECOND,
        BW_VOICE_APPLICATION_ID=simulator.application_id,
        BW_NUMBER=NUMBER,
        OUTBOUND_PREFIXES="+1",
        API_KEYS=API_KEYS,
        CALLS_PER_HOUR="100000",
        ROOM_MAP=json.dumps(NUMBERS),
        PIN_NUMBERS=PIN_NUMBER,
        PREPARED_PARTICIPANTS="1",
        ANNOUNCEMENT="Welcome.",
        WEBHOOK_BUDGET=str(BUDGET),
        SHUTDOWN_GRACE="10",
    )


async def _tell(simulator: Simulator, fleet: Fleet, lives: Lives, calls: int, say: Say) -> None:
    while True:
        await asyncio.sleep(EVERY)
        alive = simulator.ledger.alive()
        say(
            f"{lives.ended} of {calls} over, {len(fleet.kills)} kills; alive: {len(alive.calls)} calls, "
            f"{len(alive.legs)} legs, {len(alive.participants)} participants, {len(alive.sessions)} sessions"
        )
