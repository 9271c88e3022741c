"""Where a turn is played: the simulator, the store, two replicas, and an operator, all of them new."""

import json
import random  # noqa: TID251 - handed on
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.clock import SystemClock
from service.store.errors import StoreError
from tests.chaos.api import OperatorApi
from tests.chaos.faults.base import FaultProfile
from tests.chaos.fleet import Fleet
from tests.chaos.live_call_counts import LiveCallCounts
from tests.chaos.marks import Marks
from tests.chaos.plan import Turn
from tests.chaos.records import Records
from tests.chaos.scenarios.rooms import NUMBERS, PIN_NUMBER
from tests.chaos.snapshots import Snapshots
from tests.chaos.stores import SiteStore
from tests.chaos.troubles import Troubles
from tests.harness import API_KEYS, FIRST, NUMBER, SECOND, point_at_two
from tests.processes import environment
from tests.simulator.clock import monotonic
from tests.simulator.journal import Happening
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator

BUDGET = 4.0
"""Seconds in which the replicas have to answer a webhook."""
CALLBACK_TIMEOUT = BUDGET + 2
GRACE = 10
"""Seconds that a replica which is asked to end gives what is under way."""
PROBE = "chaos:probe"
"""A key that is written before the replicas start."""
TIME_SCALE = 0.2
"""Of speech, pauses and ringing: whoever is asked to hold comes back when the store may be there again."""


class CannotStart(Exception):
    """One line: what did not start, and why."""

    def __init__(self, why: Exception) -> None:
        super().__init__(f"the storm cannot start: {' '.join(str(why).split()) or repr(why)}")


class Site:
    def __init__(
        self,
        turn: Turn,
        directory: Path,
        simulator: Simulator,
        store: SiteStore,
        fleet: Fleet,
        api: OperatorApi,
        redis: Redis,
        troubles: Troubles,
    ) -> None:
        self.turn = turn
        self.directory = directory
        self.simulator = simulator
        self.store = store
        self.fleet = fleet
        self.api = api
        self.redis = redis
        self.snapshots = Snapshots(redis, store.named)
        self.marks = Marks(redis)
        self.live_call_counts = LiveCallCounts(fleet, self.snapshots.query)
        self.troubles = troubles
        self.begun, self.begun_wall = monotonic(), SystemClock().now()
        self.happenings: list[Happening] = []
        self.records = Records()
        simulator.observe(self.happenings.append)


@asynccontextmanager
async def site_of(turn: Turn, weather: FaultProfile, directory: Path) -> AsyncIterator[Site]:
    """Everything runs; at the end everything is stopped. Raises CannotStart."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        try:
            directory.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - a moment on a local disk
            simulator = await enter(
                Simulator(SimulatorSettings(callback_timeout=CALLBACK_TIMEOUT, time_scale=TIME_SCALE))
            )
            store = weather.make_store(directory / "store")
            stack.push_async_callback(store.stop)
            await store.start()
            stack.push_async_callback(weather.close)
            redis = await enter(store.client())
            # A store that is full would only show in what the calls meet.
            await redis.set(PROBE, "")
            await redis.delete(PROBE)
            troubles = Troubles()
            fleet = Fleet(directory, store, _settings(simulator, store, weather), troubles)
            stack.push_async_callback(fleet.close)
            api = OperatorApi(fleet, random.Random(turn.seed))
            stack.push_async_callback(api.close)
            site = Site(turn, directory, simulator, store, fleet, api, redis, troubles)
            await weather.prepare(site)
            await fleet.start()
        except (OSError, AssertionError, RuntimeError, RedisError, StoreError) as error:
            raise CannotStart(error) from error
        point_at_two(simulator, *([address.url] for address in fleet.addresses))
        yield site


def _settings(simulator: Simulator, store: SiteStore, weather: FaultProfile) -> dict[str, str]:
    return environment(
        simulator,
        **{
            "REDIS_URL": store.url,
            "BASE_CALLBACK_URL": FIRST,
            "FALLBACK_CALLBACK_URL": SECOND,
            "BW_VOICE_APPLICATION_ID": simulator.application_id,
            "BW_NUMBER": NUMBER,
            "OUTBOUND_PREFIXES": "+1",
            "API_KEYS": API_KEYS,
            "CALLS_PER_HOUR": "100000",
            "ROOM_MAP": json.dumps(NUMBERS),
            "PIN_NUMBERS": PIN_NUMBER,
            "PREPARED_PARTICIPANTS": "1",
            "ANNOUNCEMENT": "Welcome.",
            "WEBHOOK_BUDGET": str(BUDGET),
            "SHUTDOWN_GRACE": str(GRACE),
            **weather.settings,
        },
    )
