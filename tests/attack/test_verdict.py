"""An attack under which something did not hold says so, and so does one that never came."""

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from tests.attack.callers import WEBHOOKS
from tests.attack.hostile import KINDS
from tests.attack.pace import CONNECTIONS, REQUESTS
from tests.attack.report import report
from tests.attack.verdict import Figures, Phase, verdict

CALM = Phase(
    p99={"comes in": 140.0, "is bridged": 8.0, "hangs up": 9.0},
    bridged=1000,
    pause=6,
    own=2,
    load=0.3,
    service=0.4,
    replica=0.25,
    store_cpu=0.1,
    resident=100_000_000,
    store=2_000_000,
)
GOOD = Figures(
    before=CALM,
    hostile=replace(CALM, p99={"comes in": 419.0, "is bridged": 57.0, "hangs up": 58.0}, pause=49),
    after=CALM,
    wrong=[],
    errors=[],
    answers={kind.name: Counter(dict.fromkeys(kind.expected, 9)) for kind in KINDS},
    requests=REQUESTS,
    connections=CONNECTIONS,
)
STREAMS = "streams that are listened to"
KEYS = "wrong keys"


def broken(figures: Figures) -> list[str]:
    return [guard.what for guard in verdict(figures) if not guard.holds]


def in_hostile(**changes: Any) -> Figures:
    return replace(GOOD, hostile=replace(GOOD.hostile, **changes))


def in_after(**changes: Any) -> Figures:
    return replace(GOOD, after=replace(GOOD.after, **changes))


def answered(kind: str, *labels: str) -> Figures:
    return replace(GOOD, answers={**GOOD.answers, kind: Counter(labels)})


def test_all_of_it_holds() -> None:
    assert broken(GOOD) == []
    assert broken(answered(STREAMS, "200", "503 overloaded")) == []


@pytest.mark.parametrize(
    ("figures", "what"),
    [
        (in_hostile(p99={**CALM.p99, "comes in": 421.0}), "hostile: p99 of `comes in`, ms"),
        (in_hostile(p99={**CALM.p99, "is bridged": 58.1}), "hostile: p99 of `is bridged`, ms"),
        (in_hostile(p99={**CALM.p99, "hangs up": 59.1}), "hostile: p99 of `hangs up`, ms"),
        (in_after(p99={**CALM.p99, "hangs up": 59.1}), "calm after: p99 of `hangs up`, ms"),
        (in_hostile(pause=50.1), "hostile: longest pause of the loop, ms, of which it computed 2.0"),
        (in_after(pause=50.1), "calm after: longest pause of the loop, ms, of which it computed 2.0"),
        (replace(GOOD, wrong=["NotBridged"]), "callers who were not let in or not answered"),
        (in_hostile(bridged=799), "calls of the hostile phase"),
        (replace(GOOD, errors=["{}"]), "lines of errors in the log"),
        (in_after(resident=110_000_001), "memory of the replica, to the calm before"),
        (in_after(store=2_200_001), "memory of the store, to the calm before"),
        (replace(GOOD, requests=REQUESTS * 0.89), "hostile requests a second"),
        (replace(GOOD, requests=REQUESTS * 1.03), "hostile requests a second"),
        (replace(GOOD, connections=CONNECTIONS * 0.89), "new hostile connections a second"),
        (replace(GOOD, connections=CONNECTIONS * 1.03), "new hostile connections a second"),
        (in_hostile(load=0.91), "hostile: share of the load's core"),
        (in_after(service=0.86), "calm after: share of the service's core that others took"),
    ],
)
def test_what_does_not_hold_is_named(figures: Figures, what: str) -> None:
    assert broken(figures) == [what]


@pytest.mark.parametrize("label", ["500", "502", "503", "504"])
def test_nobody_may_be_told_that_something_has_failed(label: str) -> None:
    found = broken(answered(STREAMS, "200", label))
    assert found[0] == "answers of 500 and more, `overloaded` apart"
    assert found[1].endswith(f"({label})")


def test_a_kind_that_was_never_answered_has_shown_nothing() -> None:
    for kind in KINDS:
        missing = ", ".join(f"no {label}" for label in kind.expected)
        assert broken(answered(kind.name)) == [
            f"{kind.name}: answers missing, or such as must not come ({missing})"
        ]
    without = {name: one for name, one in GOOD.answers.items() if name != KEYS}
    assert broken(replace(GOOD, answers=without)) == [
        f"{KEYS}: answers missing, or such as must not come (no 401)"
    ]


def test_one_that_got_further_than_it_may_is_named() -> None:
    assert broken(answered(KEYS, "401", "200")) == [
        f"{KEYS}: answers missing, or such as must not come (200)"
    ]


def test_callers_of_whom_nothing_is_known_do_not_count_as_fast() -> None:
    assert len(broken(in_hostile(p99={}))) == len(WEBHOOKS)
    assert len(broken(in_after(p99={}))) == len(WEBHOOKS)


def test_a_slow_calm_afterwards_excuses_nothing_that_went_before() -> None:
    slow = {webhook: 10 * time for webhook, time in CALM.p99.items()}
    assert "calm after: p99 of `comes in`, ms" in broken(in_after(p99=slow))


def test_the_report_shows_each_phase_and_each_kind() -> None:
    lines = "\n".join(report(GOOD))
    for word in ("calm before", "hostile", "calm after", "419.0 ms", "49.0 (2.0) ms", "9 x 401"):
        assert word in lines
    for kind in KINDS:
        assert kind.name in lines
