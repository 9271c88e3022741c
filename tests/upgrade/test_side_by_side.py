"""Two releases at one store, forth and back under load: the last one and this one."""

import random  # noqa: TID251 - handed on
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service import __version__
from tests.chaos import previous_release
from tests.chaos.faults.two_releases import STATES, TwoReleases
from tests.chaos.plan import Turn
from tests.chaos.site import Site
from tests.chaos.turn import play

MOST = 2000
"""Calls; no more begin when both replicas are back."""
FORTH_AND_BACK = [0, 1, 2, 1, 0]
"""How many replicas run the release before."""


class Rolling(TwoReleases):
    """Forth and back once, with calls that go on until it is over."""

    calls_per_second = 12.0
    max_concurrent = 25

    def may_begin_call(self) -> bool:
        return len(self.phases) < len(FORTH_AND_BACK)

    def rolls_on(self) -> bool:
        return not self.phases

    async def inject(self, site: Site) -> None:
        self.site = site
        await super().inject(site)

    def logs(self) -> Iterator[tuple[str, Path]]:
        """Of all processes, with the release of each."""
        for address in self.site.fleet.addresses:
            for log, tree in zip(address.logs, address.trees, strict=True):
                yield self.release(tree), log


@pytest.fixture
def folder() -> Iterator[Path]:
    """Of a short name, since the store's socket is in it."""
    with tempfile.TemporaryDirectory(prefix="rolling-") as name:
        yield Path(name)


def lines(logs: list[Path]) -> list[dict[str, Any]]:
    return [
        msgspec.json.decode(line)
        for log in logs
        for line in log.read_bytes().splitlines()
        if line.startswith(b"{")
    ]


@pytest.mark.skipif(bool(previous_release.missing()), reason=previous_release.missing())
async def test_forth_and_back_under_load(folder: Path) -> None:
    rolls: list[Rolling] = []

    def rolling(dice: random.Random) -> Rolling:
        rolls.append(Rolling(dice))
        return rolls[0]

    report = await play(Turn("two-releases", 1, MOST), folder, print, make_weather=rolling)
    [roll] = rolls
    details = folder / "details.json"
    print(report, details.read_text() if details.exists() else "")
    print(roll.phases, Counter((one.release, one.status, one.state) for one in roll.looks))
    assert report.wrong == 0
    assert report.troubles["ended"] == 4

    assert [one.older for one in roll.phases] == FORTH_AND_BACK
    assert all(later.phones > earlier.phones for earlier, later in pairwise(roll.phases)), "calls went on"

    for release in ("this", previous_release.VERSION):
        looks = [one for one in roll.looks if one.release == release]
        # A call that an operator has erased is not found; the turn finds any other that is not.
        assert {one.status for one in looks} <= {200, 404}, release
        assert {one.state for one in looks if one.status == 200} <= STATES, release
        assert len(looks) > 30, release
        said = lines([log for of, log in roll.logs() if of == release])
        versions = {one["version"] for one in said if one["event"] == "service.started"}
        assert versions == {previous_release.VERSION if release == previous_release.VERSION else __version__}
        assert [one for one in said if one["level"] == "error"] == [], release
        # It would look again every 30 s; what it does not know is not written.
        assert [one["effect"] for one in said if one["event"] == "effect.not_known"] == [], release
