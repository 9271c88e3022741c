"""`make soak`: half an hour of ordinary calls; exit 0 when nothing has grown and nothing is left."""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
from redis.asyncio import Redis

from service.store.redis.embedded import EmbeddedServer
from tests.harness import API_KEYS, FIRST, NUMBER, SECOND, point_at_two
from tests.processes import ReplicaProcess, environment, replica
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator
from tests.soak.calls import NUMBERS, SoakCalls
from tests.soak.measures import Growth, Look, growths, look
from tests.temporary import temporary_place
from tests.waiting import wait_until

LATENCY = 0.04
"""Seconds until the simulated Bandwidth answers."""
LOOKS = 30
"""Of a whole soak."""
QUIET = 90.0
"""Seconds after which connections that are idle have been closed."""
ABOUT = """\
Two replicas, one store and a simulated Bandwidth; calls come in and are placed at a steady rate. Memory,
descriptors and tasks of the replicas, and what the store holds apart from calls that are kept, must not
grow after a quarter of the time; nothing may be left at Bandwidth in the end, and no line in a log may be
an error.
"""


class Soak(NamedTuple):
    simulator: Simulator
    replicas: list[ReplicaProcess]
    redis: Redis
    calls: SoakCalls


def say(line: str) -> None:
    print(f"soak: {line}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make soak ARGS=...", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30, help="of calls (default %(default)s)")
    parser.add_argument("--rate", type=float, default=20, help="calls a second (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the dice (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where all looks go, as JSON")
    found = parser.parse_args()
    if found.minutes <= 0 or found.rate <= 0:
        parser.error("--minutes and --rate want numbers above 0")
    return found


@asynccontextmanager
async def soaking(folder: Path, seed: int) -> AsyncIterator[Soak]:
    """Whatever was started ends with it."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        simulator = await enter(Simulator(SimulatorSettings(latency=LATENCY, time_scale=0.2)))
        store = EmbeddedServer(folder / "store")
        url = await store.start()
        stack.push_async_callback(store.stop)
        settings = environment(
            simulator,
            REDIS_URL=url,
            BASE_CALLBACK_URL=FIRST,
            FALLBACK_CALLBACK_URL=SECOND,
            BW_VOICE_APPLICATION_ID=simulator.application_id,
            BW_NUMBER=NUMBER,
            OUTBOUND_PREFIXES="+1",
            API_KEYS=API_KEYS,
            CALLS_PER_HOUR="100000",
            ROOM_MAP=json.dumps(NUMBERS),
            PREPARED_PARTICIPANTS="1",
        )
        replicas = [await enter(replica(settings)) for _ in range(2)]
        urls = [one.url for one in replicas]
        # Both behind each address, as a load balancer would have it.
        point_at_two(simulator, urls, urls[::-1])
        redis = await enter(Redis.from_url(url))
        calls = SoakCalls(simulator, urls, seed)
        stack.push_async_callback(calls.close)
        yield Soak(simulator, replicas, redis, calls)


class Found(NamedTuple):
    before: Look
    looks: list[Look]
    after: Look
    wrong: list[str]
    """Apart from what has grown."""


async def soak(wanted: argparse.Namespace, folder: Path) -> Found:
    seconds = wanted.minutes * 60
    async with soaking(folder, wanted.seed) as found:
        looks: list[Look] = []
        begun = time.monotonic()
        before = await _look(found, begun)
        watching = asyncio.create_task(_watch(found, looks, begun, seconds / LOOKS))  # noqa: TID251 - a test's own
        await found.calls.play(wanted.rate, seconds)
        watching.cancel()
        say(f"{found.calls.ended} calls are over; {dict(found.calls.results)}")
        wrong = await _wrong(found)
        await asyncio.sleep(QUIET)
        return Found(before, looks, await _look(found, begun), wrong)


async def _watch(found: Soak, looks: list[Look], begun: float, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        looks.append(await _look(found, begun))


async def _look(found: Soak, begun: float) -> Look:
    pids = [one.process.pid for one in found.replicas]
    urls = [one.url for one in found.replicas]
    at = time.monotonic() - begun
    one = await look(at=at, calls=found.calls.ended, pids=pids, urls=urls, redis=found.redis)
    say(f"{at / 60:.1f} min, {one}")
    return one


async def _wrong(found: Soak) -> list[str]:
    wrong = []
    try:
        await wait_until(lambda: found.simulator.ledger.empty, seconds=60)
    except AssertionError:
        wrong.append(f"left at Bandwidth: {found.simulator.ledger.alive()}"[:500])
    if found.simulator.complaints:
        wrong.append(f"Bandwidth complains: {found.simulator.complaints[:5]}")
    for number, one in enumerate(found.replicas, 1):
        if bad := one.bad_lines():
            wrong.append(f"replica {number}: {len(bad)} lines of errors, the first: {bad[0]}"[:500])
    return wrong


def main() -> int:
    wanted = arguments()
    try:
        directory = tempfile.TemporaryDirectory(prefix="pstn-soak-", dir=temporary_place())
    except OSError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    with directory as folder:
        seen = asyncio.run(soak(wanted, Path(folder)))
    found: list[Growth] = growths(seen.looks, seen.before, seen.after)
    print("\n".join(map(str, [*found, *(f"FAIL {one}" for one in seen.wrong)])))
    if wanted.json:
        report = {**seen._asdict(), "growth": found}
        wanted.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    return 0 if not seen.wrong and all(one.holds for one in found) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
