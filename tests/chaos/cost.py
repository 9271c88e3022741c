"""`python -m tests.chaos.cost`: what a look of the judge costs, eye by eye, on evidence that is made up.

Everything that an eye does has to cost as much as there are calls. `work_of` counts that, for a test.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, get_origin, get_type_hints

import msgspec

from tests.chaos.checks import CHECKS
from tests.chaos.evidence import Evidence, ReplicaLogLine, StoredKey
from tests.chaos.finding import Check
from tests.chaos.fleet import Downtime, Fleet, Kill
from tests.chaos.plan import Turn
from tests.chaos.records import Records
from tests.chaos.snapshots import Snapshot
from tests.chaos.synthetic_call import CALLS_A_SECOND, SyntheticCall, call_of
from tests.chaos.troubles import Trouble, Troubles
from tests.simulator.ledger import Alive
from tests.simulator.simulator import Simulator
from tests.stores import RestartableStore

SIZES = (500, 2_000, 10_000)
CALLS_A_KILL = 40
CALLS_AN_OUTAGE = 150
CALLS_A_LEAK = 200


class CheckCost(msgspec.Struct, frozen=True):
    """`steps`: lines of code that ran, among them one for each id that was compared or looked up."""

    steps: int
    findings: int


class Id(str):
    """Compares and hashes in steps that are counted: a scan of a list of ids is as many as there are."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True

    def __hash__(self) -> int:
        return str.__hash__(self)


def evidence_of(calls: int, directory: Path, id_of: Callable[[str], str] = str) -> Evidence:
    """Of a turn that never was: as many webhooks, requests, lines and kills to a call as in real ones."""
    simulator = Simulator()
    fleet = _fleet(calls, directory)
    made = [
        call_of(number, simulator, [one.host for one in fleet.addresses], id_of) for number in range(calls)
    ]
    # In the order in which they were answered, as a simulator writes them down.
    simulator.requests.extend(
        sorted((r for one in made for r in one.requests), key=lambda r: r.at + r.ms / 1000)
    )
    simulator.deliveries.extend(
        sorted((d for one in made for d in one.deliveries), key=lambda d: d.sent_at + d.ms / 1000)
    )
    known = {
        "turn": Turn("calm", 1, calls),
        "over": calls / CALLS_A_SECOND + 30,
        "simulator": simulator,
        "alive": _alive(made),
        "happenings": sorted((h for one in made for h in one.happenings), key=lambda h: h.at_ms),
        "fleet": fleet,
        "troubles": fleet.troubles,
        "operator_requests": [asked for one in made for asked in one.asked],
        "logs": sorted((line for one in made for line in _lines(one)), key=lambda line: line.timestamp),
        "store_steps": [step for one in made for step in one.written],
        "snapshots": [Snapshot(at, at + 0.01, frozenset()) for at in range(0, calls // CALLS_A_SECOND, 5)],
        "keys": [
            StoredKey(f"pstn:{{{one.ref}}}:{kind}", 60_000) for one in made for kind in ("call", "events")
        ],
        "calls": {one.call_id: one.shown for one in made},
    }
    return Evidence(**{name: _empty(hint) for name, hint in get_type_hints(Evidence).items()} | known)


def work_of(calls: int, eyes: Mapping[str, Check] = CHECKS) -> dict[str, CheckCost]:
    """By eye."""
    with tempfile.TemporaryDirectory() as directory:
        evidence = evidence_of(calls, Path(directory), Id)
        return {name: _counted(eye, evidence) for name, eye in eyes.items()}


def _counted(eye: Check, evidence: Evidence) -> CheckCost:
    steps = 0

    def traced(_frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        steps += event == "line"
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        findings = len(list(eye(evidence)))
    finally:
        sys.settrace(before)
    return CheckCost(steps, findings)


def _fleet(calls: int, directory: Path) -> Fleet:
    fleet = Fleet(
        directory, RestartableStore(directory), {"BW_TOKEN_URL": "http://127.0.0.1/token"}, Troubles()
    )
    for number in range(calls // CALLS_A_KILL):
        at = (number + 1) * CALLS_A_KILL / CALLS_A_SECOND
        address = fleet.addresses[number % 2]
        begun = fleet.kills[-2].reaped_at if number > 1 else 0.0
        fleet.kills.append(Kill(at, address.host, begun, at + 0.01))
        address.downs.append(Downtime(at, at + 1))
        fleet.troubles.all.append(Trouble("killed", at, at + 1, address.host))
    for number in range(calls // CALLS_AN_OUTAGE):
        at = (number + 1) * CALLS_AN_OUTAGE / CALLS_A_SECOND
        fleet.outages.append(Downtime(at, at + 0.5))
        fleet.troubles.all.append(Trouble("store-away", at, at + 0.5))
    return fleet


def _alive(made: list[SyntheticCall]) -> Alive:
    left = made[::CALLS_A_LEAK]
    return Alive(
        calls=[],
        legs=[],
        sessions=[one.session for one in left],
        participants=[one.participant for one in left],
    )


def _lines(made: SyntheticCall) -> list[ReplicaLogLine]:
    return [ReplicaLogLine(made.host, "replica-a0.log", json.dumps(fields), fields) for fields in made.lines]


def _empty(hint: Any) -> Any:
    """For a field that no eye needs to be filled."""
    kind = get_origin(hint) or hint
    return kind() if kind in {list, dict, float, int, str, Records} else None


def main() -> int:
    print(f"{'seconds of processor':24}", *(f"{calls:>10,}" for calls in SIZES), " calls")
    seconds: dict[str, list[float]] = {name: [] for name in CHECKS}
    for calls in SIZES:
        with tempfile.TemporaryDirectory() as directory:
            evidence = evidence_of(calls, Path(directory))
            for name, eye in CHECKS.items():
                begun = time.process_time()
                for _ in eye(evidence):
                    pass
                seconds[name].append(time.process_time() - begun)
    for name, figures in seconds.items():
        print(f"{name:24}", *(f"{one:>10.3f}" for one in figures))
    print(f"{'all':24}", *(f"{sum(one):>10.3f}" for one in zip(*seconds.values(), strict=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
