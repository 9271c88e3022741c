"""`make bench`: how long callers hear nothing, and what a call costs, on this machine."""

import argparse
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from service import logs
from tests.bench import machine
from tests.bench.comparison import PairedRuns, python_of
from tests.bench.figures import listed, table
from tests.bench.processes import ROOMS, bench_processes
from tests.bench.runs import SCENARIOS, Benchmark

PARTS = ("air", "throughput", "kept", "replicas", "start", "quiet", "listeners", "memory", "held")
ABOUT = """\
Starts a store, the service and a stub of Bandwidth that answers after a given time, and plays calls.

  air         silence before a caller is in the room: webhook to BXML, by upstream latency and calls in flight
  throughput  joins and whole calls a second, and the cost of each: processor, store, requests, connections
  kept        memory of calls that have ended, in the store, by STORE_FORMAT
  replicas    two replicas on one store beside one: what a call costs; with three cores, calls a second
  listeners   memory of those who listen to live events
  memory      of calls that are up, in the service and in the store
  quiet       connections that a call costs half a minute after the last one
  held        silence beside thousands of calls that are up, as a ratio to none
  start       from the start of the process until it is ready

The service runs on one core; the load, the stub and the store on another. A row whose load needed more than
nine tenths of its core gives no figure. Compare ratios, and only within one run: machines are noisy.
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=...", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="PART,...", default=",".join(PARTS), help="some of the parts above")
    parser.add_argument(
        "--latency", metavar="MS,...", default="0,40,150", help="upstream (default %(default)s)"
    )
    parser.add_argument("--calls", type=int, default=100, help="samples of a row with one in flight")
    parser.add_argument(
        "--held", metavar="N,...", default="0,10000,100000", help="for `held` (default %(default)s)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="air, throughput and kept at 40 ms in under a minute; fails by ratios",
    )
    parser.add_argument(
        "--beside", type=Path, metavar="CHECKOUT", help="nothing else: this build and that one, in turns"
    )
    parser.add_argument("--pairs", type=int, default=20, help="of turns, with --beside (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where all figures go, as JSON")
    parser.set_defaults(in_flight=[1, ROOMS])
    parser.add_argument(
        "--profile", type=Path, metavar="FILE", help="cProfile's data of the service go there"
    )
    found = parser.parse_args()
    if found.quick:
        found.only, found.latency, found.calls, found.in_flight = "air,throughput,kept", "40", 20, [1]
    if unknown := set(found.only.split(",")) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return found


def say(line: str) -> None:
    sys.stderr.write(f"bench: {line}\n")


async def beside(python: Path, count: int) -> dict[str, str | float]:
    pairs = PairedRuns(python, say)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        await pairs.play(count, lambda: bench_processes(Path(tempfile.mkdtemp(dir=folder))))
    return pairs.figures()


async def run(wanted: argparse.Namespace) -> Benchmark:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with bench_processes(Path(folder), wanted.profile) as found:
            if not found.cores.apart:
                say("there is one core only: figures are of both sides together")
            say("starting, and warming up")
            bench = await Benchmark.ready(found)
            await bench.bare(wanted.calls)
            parts: dict[str, Callable[[], Awaitable[None]]] = {
                "air": lambda: _air(bench, wanted),
                "throughput": lambda: bench.throughput(40 * wanted.calls),
                "kept": lambda: bench.kept(50 * wanted.calls),
                "replicas": bench.replicas,
                "start": bench.starts,
                "quiet": bench.quiet,
                "listeners": lambda: bench.listeners(2 * wanted.calls),
                "memory": lambda: bench.held(20 * wanted.calls),
                "held": lambda: bench.beside_held([int(one) for one in wanted.held.split(",")], say),
            }
            for part, measure in parts.items():
                if part in wanted.only.split(","):
                    say(part)
                    await measure()
            return bench


async def _air(bench: Benchmark, wanted: argparse.Namespace) -> None:
    for latency in map(float, wanted.latency.split(",")):
        await bench.upstream(latency)
        for scenario in SCENARIOS:
            for in_flight in wanted.in_flight:
                say(f"{scenario}, {latency:g} ms upstream, {in_flight} in flight")
                await bench.dead_air(scenario, wanted.calls * min(in_flight, 10), in_flight)
    await bench.upstream(0)


def main() -> int:
    wanted = arguments()
    logs.configure(format="console", level="error", stream=sys.stderr)
    found: dict[str, Any] = {"conditions": machine.conditions()}
    if wanted.beside:
        try:
            found["figures"] = uvloop.run(beside(python_of(wanted.beside), wanted.pairs))
        except FileNotFoundError as error:
            say(str(error))
            return 2
        sys.stdout.write("\n".join([*listed(found["conditions"]), "", *listed(found["figures"])]) + "\n")
        if wanted.json:
            wanted.json.write_text(json.dumps(found, indent=1) + "\n")
        return 0
    bench = uvloop.run(run(wanted))
    lines = [*listed(found["conditions"]), "", *table(bench.rows), "", *listed(bench.figures)]
    sys.stdout.write("\n".join(lines) + "\n")
    if wanted.json:
        found |= {"rows": msgspec.to_builtins(bench.rows), "figures": bench.figures}
        wanted.json.write_text(json.dumps(found, indent=1) + "\n")
    guards = bench.guards() if wanted.quick else []
    sys.stdout.write("".join(f"{guard}\n" for guard in guards))
    return 0 if all(guard.holds for guard in guards) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
