"""A soak that has seen something grow says so."""

import pytest
from msgspec.structs import replace

from tests.soak import __main__ as soak
from tests.soak.measures import Look, growths

FLAT = Look(
    at=0,
    calls=0,
    resident=[90_000_000, 90_000_000],
    descriptors=[25, 25],
    tasks=[12, 12],
    processor=[1, 1],
    store_used=10_000_000,
    store_kept=1_000_000,
    store_tables=500_000,
    store_feed=2_000_000,
    store_other=70_000,
    keys={},
)


def grown(looks: list[Look], after: Look = FLAT) -> list[str]:
    return [one.what for one in growths(looks, FLAT, after) if not one.holds]


def test_nothing_grows() -> None:
    kept = [
        replace(FLAT, store_used=10_000_000 + n, store_kept=1_000_000 + n) for n in range(0, 10**9, 10**8)
    ]
    assert grown(kept) == []


def test_warming_up_is_no_growth() -> None:
    cold = replace(FLAT, resident=[70_000_000, 70_000_000], descriptors=[5, 5])
    assert grown([cold, cold, *[FLAT] * 6]) == []


@pytest.mark.parametrize(
    ("after", "what"),
    [
        (replace(FLAT, resident=[90_000_000, 94_000_000]), "replica 2, resident bytes"),
        (replace(FLAT, tasks=[24, 12]), "replica 1, tasks"),
        (replace(FLAT, store_other=130_000), "other keys than those of calls, bytes"),
        (replace(FLAT, store_used=12_000_000), "store without calls that are kept and feed, bytes"),
    ],
)
def test_what_grows_is_named(after: Look, what: str) -> None:
    assert grown([*[FLAT] * 6, *[after] * 2]) == [what]


def test_too_short_a_soak_says_nothing() -> None:
    with pytest.raises(ValueError, match="four looks"):
        growths([FLAT] * 3, FLAT, FLAT)


def test_what_is_left_in_the_quiet_is_named() -> None:
    left = replace(FLAT, descriptors=[25, 41], tasks=[18, 12])
    assert grown([FLAT] * 8, left) == ["replica 1, tasks in the quiet", "replica 2, descriptors in the quiet"]


def test_nowhere_to_write(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TMPDIR", "/proc/missing")
    monkeypatch.setattr("sys.argv", ["soak"])
    assert soak.main() == 2
    assert "/proc/missing" in capsys.readouterr().err
