"""`python -m tests.demo`: exit code 0 when everything was seen and nothing is left, 1 when not."""

import argparse
import asyncio
import math
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, NamedTuple

import msgspec

from tests.demo.bridge import API_KEY, ServiceProcess, running
from tests.demo.calls import (
    FAR_END_OUT,
    GIVEN_UP,
    REFUSED,
    WAY_IN,
    WAY_OUT,
    DemoRun,
    Script,
    a_room,
    all_the_way,
    bandwidth_fails,
    hangs_up_early,
    measure,
)
from tests.demo.checks import CheckFailed, ExpectedSteps, Timings, too_slow, unseen_steps, verdict
from tests.demo.operator_demo import (
    ASKED,
    HELD,
    MOVED,
    ON_ANSWER,
    PREPARED,
    TAKEN_OUT,
    TWO_LEGS,
    WHILE_IT_RINGS,
    answer_to_bridged,
    held_and_joined_again,
    moved,
    named_by_digits,
    on_answer,
    outlives_its_leg,
    while_it_rings,
)
from tests.demo.printing import Printer
from tests.operators import Operator
from tests.simulator.clock import monotonic
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator

DONE, FAILED, INTERRUPTED = 0, 1, 130
_GOAL: Final = 10.0
"""Milliseconds that the service may add to two trips."""
_CALLS: Final = 5
_GOES: Final = 3
"""Machines are noisy: so often so many calls are measured before the service is found too slow."""

_ABOUT = """\
Starts a Bandwidth on loopback (both HTTP APIs, phones, webhooks) and beside it the
real service with its embedded store, by its command. Then phones call, and every
message is shown with the step of the documented call flow that it belongs to.
Needs no network and no account, and leaves nothing behind."""
_MORE = """\
exit codes: 0 every step was seen and nothing is left (with --allowed-ms: and no caller waited longer);
1 something of this is not so: it is said what, with the end of the service's log; 130 interrupted."""


class Scene(NamedTuple):
    title: str
    script: Script
    tracks: Sequence[ExpectedSteps]
    unwanted: frozenset[str] = frozenset()
    flow: str = ""
    """Of a call that is shown step by step as well: inbound or outbound."""


SCENES: Final = (
    Scene("A call from start to end", all_the_way, [[*WAY_IN, *WAY_OUT]], flow="inbound"),
    Scene(
        "Two callers in one room: the session is the room's, and goes with the last of them",
        a_room,
        [[*WAY_IN, *WAY_IN[:2], "createParticipant", *WAY_IN[3:], *WAY_OUT], FAR_END_OUT],
    ),
    Scene(
        "A caller who hangs up before the bridge is made",
        hangs_up_early,
        [GIVEN_UP],
        frozenset({"BXML <Transfer>", "call bridged"}),
    ),
    Scene(
        "Bandwidth answers createSession with 500: the caller is told",
        bandwidth_fails,
        [REFUSED, ["createParticipant", "deleteParticipant"]],
        frozenset({"BXML <Transfer>", "addParticipantToSession", "deleteSession"}),
    ),
    Scene(
        "A number is called: session and participant when it answers (the order of the text)",
        on_answer,
        [ON_ANSWER, TAKEN_OUT],
        flow="outbound",
    ),
    Scene(
        "A number is called: session and participant while it rings (the order of the picture)",
        while_it_rings,
        [WHILE_IT_RINGS, PREPARED, TAKEN_OUT],
    ),
    Scene("Out of the room, on hold, and into another room", held_and_joined_again, [HELD, TAKEN_OUT]),
    Scene("From one room into another, with both legs up", moved, [MOVED], frozenset({"updateCall"})),
    Scene("A room that is named by digits, the first of them wrong", named_by_digits, [ASKED]),
    Scene("Two legs and a <Bridge>: the phone outlives its leg into WebRTC", outlives_its_leg, [TWO_LEGS]),
)


async def demo(out: Printer, latency_ms: float, allowed_ms: float | None) -> int:
    began = monotonic()
    _cancel_on_sigterm()
    simulator = Simulator(SimulatorSettings(latency=latency_ms / 1000))
    try:
        async with simulator:
            async with running(simulator, out.tell) as bridge, _operator(bridge) as operator:
                _introduce(out, simulator, bridge, latency_ms)
                await _calls(out, DemoRun(simulator, operator), allowed_ms)
            problems = verdict(simulator)
    except CheckFailed as failure:
        problems = list(dict.fromkeys([*str(failure).splitlines(), *verdict(simulator)]))
    if problems:
        out.failed(problems)
        return FAILED
    out.heading("Afterwards")
    out.tell(f"  the service ended on SIGTERM with exit code 0; all of this took {monotonic() - began:.1f} s")
    return DONE


def _operator(bridge: ServiceProcess) -> AbstractAsyncContextManager[Operator]:
    return Operator.at(bridge.url, API_KEY)


async def _calls(out: Printer, stage: DemoRun, allowed_ms: float | None) -> None:
    simulator = stage.simulator
    for scene in SCENES:
        out.heading(scene.title)
        try:
            await stage.play(scene.script, *scene.tracks, unwanted=scene.unwanted)
        finally:
            out.lines(stage.lines)
        if scene.flow:
            out.heading(f"The steps of the documented call flow, as that {scene.flow} call took them")
            out.steps(stage.lines)
            if problems := unseen_steps(stage.lines, outbound=scene.flow == "outbound"):
                raise CheckFailed("\n".join(problems))
    timings = Timings([], [], [])
    goal = _GOAL if allowed_ms is None else allowed_ms
    for _ in range(_GOES):
        await measure(simulator, timings, _CALLS)
        if not too_slow(timings, goal):
            break
    bridges = await answer_to_bridged(stage, _CALLS)
    _ledger(out, simulator)
    out.heading(
        f"From the webhook to its BXML, in milliseconds, at {simulator.latency * 1000:g} ms a request"
    )
    out.timings(timings, goal)
    out.heading("From the answer of a phone that was called to its bridge, likewise")
    out.rows(bridges)
    # A busy machine is no fault of the service: only who names a limit has it enforced.
    late = [] if allowed_ms is None else too_slow(timings, allowed_ms)
    if problems := [*verdict(simulator), *late]:
        raise CheckFailed("\n".join(problems))


def _ledger(out: Printer, simulator: Simulator) -> None:
    out.heading("What is left at Bandwidth")
    found = msgspec.structs.asdict(simulator.ledger.alive())
    found |= {"unreceived": simulator.ledger.unreceived, "complaints": simulator.complaints}
    for kind, left in found.items():
        out.tell(f"  {kind:<13} {len(left):>3}  {out.mark(not left)}")


def _introduce(out: Printer, simulator: Simulator, bridge: ServiceProcess, latency_ms: float) -> None:
    out.tell(f"Bandwidth, simulated  {simulator.url}, each request takes {latency_ms:g} ms")
    out.tell(f"the service           {bridge.url}, process {bridge.process.pid}, with its embedded store")


def _cancel_on_sigterm() -> None:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    try:
        return asyncio.run(demo(Printer(sys.stdout), options.latency_ms, options.allowed_ms))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("interrupted; the service has been ended\n")
        return INTERRUPTED
    except BrokenPipeError:  # `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _latency(text: str) -> float:
    return _between(0, 1000, text)


def _allowed(text: str) -> float:
    # Below 0 is what no service can meet, whatever the machine does to the two trips it is measured by.
    return _between(-1000, 1000, text)


def _between(least: float, most: float, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from {least:g} to {most:g}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.demo",
        description=_ABOUT,
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--latency-ms",
        type=_latency,
        default=40.0,
        help="how long Bandwidth takes for a request (default: %(default)g)",
    )
    parser.add_argument(
        "--allowed-ms",
        type=_allowed,
        help="fail when the service adds more to two such requests before a caller has their answer "
        f"(default: it is shown beside a goal of {_GOAL:g}, and nothing fails)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
