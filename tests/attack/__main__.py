"""`make attack`: a calm minute, a hostile one, and a calm one; exit 0 when callers have noticed nothing."""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Final

import msgspec
import uvloop
from redis.asyncio import Redis

from service import logs
from tests.attack import hostile
from tests.attack.callers import IS_BRIDGED, WEBHOOKS, OrdinaryCallers
from tests.attack.client import AnswerCounts
from tests.attack.listening import crowd
from tests.attack.pace import CONNECTIONS, REQUESTS
from tests.attack.replica import longest
from tests.attack.report import is_harmless, report
from tests.attack.verdict import Figures, Phase, verdict
from tests.bench import machine
from tests.bench.figures import listed, percentile
from tests.bench.processes import BenchProcesses, Process, bench_processes, webhooks
from tests.soak.measures import look

UPSTREAM: Final = 40.0
"""Milliseconds until Bandwidth answers."""
WARM: Final = 25.0
"""Seconds before the first phase, or that of a phase: rooms, pools and caches fill, listeners come and go."""
FILES: Final = 4096
"""That may be open: a connection is one, and there are a thousand."""
SHOWN: Final = 5
"""Of the callers who were not let in, and of the lines of errors."""
ABOUT = f"""\
Callers call, are let in, talk for some seconds, hang up and call again. After a calm phase hostile clients
come, {REQUESTS} requests and {CONNECTIONS} new connections a second together, and go again:

{{kinds}}

The service and its store run on one core; the callers, the hostile clients and a stub of Bandwidth, which
takes {UPSTREAM:g} ms for an answer, on another. Callers must not wait much longer, nor anybody be told that
something has failed; the event loop must not stand still, and memory must be as it was when it is calm again.
Each kind of hostile client has to be answered as it should be, or the attack has shown nothing. Rate limits
are off: they would keep most of it from what it is aimed at.

Exit code 0: all of it held; 1: a line that begins with FAIL says what did not.
"""


def arguments() -> argparse.Namespace:
    kinds = "\n".join(f"  {one.name:<36} {one.requests:>3} a second" for one in hostile.KINDS)
    parser = argparse.ArgumentParser(
        prog="make attack ARGS=...",
        description=ABOUT.format(kinds=kinds),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seconds", type=float, default=60, help="of each phase (default %(default)s); a first look takes 15"
    )
    parser.add_argument("--callers", type=int, default=200, help="at once (default %(default)s)")
    parser.add_argument("--only", metavar="WORD", default="", help="the kinds whose names contain it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where all figures go, as JSON")
    found = parser.parse_args()
    found.kinds = [one for one in hostile.KINDS if found.only in one.name]
    if not found.kinds:
        parser.error(f"no kind's name contains {found.only}")
    if found.seconds < 10 or found.callers < 1:
        parser.error("--seconds wants 10 or more (slow clients take 7 for one answer), --callers 1 or more")
    return found


def say(line: str) -> None:
    sys.stderr.write(f"attack: {line}\n")
    sys.stderr.flush()


class Attack:
    """One replica, who calls it, and what is found out meanwhile."""

    def __init__(
        self,
        found: BenchProcesses,
        replica: Process,
        store_pid: int,
        redis: Redis,
        callers: OrdinaryCallers,
        watch: Path,
    ) -> None:
        self._cores = found.cores
        self._replica = replica
        self._store_pid = store_pid
        self._redis = redis
        self._callers = callers
        self._watch = watch

    async def phase(self, name: str, meanwhile: Awaitable[None]) -> Phase:
        say(name)
        pids = (self._replica.pid, self._store_pid)
        computed = [machine.processor_seconds(pid) for pid in pids]
        begun = time.monotonic()
        with machine.watching(self._cores.load) as load, machine.watching(self._cores.service) as service:
            await meanwhile
        ended = time.monotonic()
        taken = [
            (machine.processor_seconds(pid) - before) / (ended - begun)
            for pid, before in zip(pids, computed, strict=True)
        ]
        # Outside of the phase: to look at every key costs the store some time.
        seen = await look(
            at=ended - begun,
            calls=len(self._callers.samples),
            pids=[self._replica.pid],
            urls=[f"http://127.0.0.1:{self._replica.port}"],
            redis=self._redis,
        )
        pause = longest(self._watch, begun, ended)
        phase = Phase(
            p99={
                webhook: 1000 * percentile(found, 0.99)
                for webhook in WEBHOOKS
                if (found := self._callers.seconds(webhook, begun, ended))
            },
            bridged=len(self._callers.seconds(IS_BRIDGED, begun, ended)),
            pause=1000 * pause.seconds,
            own=1000 * pause.own,
            load=load.share,
            service=service.share,
            replica=taken[0],
            store_cpu=taken[1],
            resident=seen.resident[0],
            store=seen.store_rest,
        )
        say(f"{name}: {phase}")
        return phase


async def attack(wanted: argparse.Namespace, folder: Path) -> Figures:
    hostile.prepare()
    seconds, watch, tally = wanted.seconds, folder / "pauses", AnswerCounts()
    async with bench_processes(folder) as found:
        if not found.cores.apart:
            say("there is one core only: callers and service are in each other's way")
        stub, store = await found.stub(), await found.store(core=found.cores.service)
        replica = await found.replica(
            store, stub, started_as=("tests.attack.replica", str(watch)), more_keys=hostile.KEYS
        )
        await stub.set_latency(UPSTREAM)
        callers = OrdinaryCallers(webhooks(replica), wanted.callers)
        async with Redis.from_url(store.url) as redis, asyncio.TaskGroup() as group:
            calling = group.create_task(callers.play())
            store_pid = int((await redis.info("server"))["process_id"])
            one = Attack(found, replica, store_pid, redis, callers, watch)
            await one.phase("warming up", crowd(replica.port, min(WARM, seconds)))
            before = await one.phase("calm before", asyncio.sleep(seconds))
            during = await one.phase("hostile", hostile.play(wanted.kinds, replica.port, seconds, tally))
            after = await one.phase("calm after", asyncio.sleep(seconds))
            callers.end()
            await calling
        return Figures(
            before=before,
            hostile=during,
            after=after,
            wrong=callers.wrong,
            errors=[line for line in replica.log.read_text().splitlines() if not is_harmless(line)],
            answers=tally.answers,
            requests=tally.requests / seconds,
            connections=tally.connections / seconds,
        )


def main() -> int:
    wanted = arguments()
    logs.configure(format="console", level="error", stream=sys.stderr)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))
    with tempfile.TemporaryDirectory(prefix="pstn-attack-") as folder:
        figures = uvloop.run(attack(wanted, Path(folder)))
    guards = verdict(figures, wanted.kinds)
    sys.stdout.write(
        "\n".join([*listed(machine.conditions()), "", *report(figures), "", *map(str, guards)]) + "\n"
    )
    for line in [*figures.wrong[:SHOWN], *figures.errors[:SHOWN]]:
        sys.stdout.write(f"     {line[:500]}\n")
    if wanted.json:
        wanted.json.write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
    return 0 if all(one.holds for one in guards) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
