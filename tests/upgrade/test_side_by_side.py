"""Two releases at one store, forth and back under load: the last one and this one."""

import asyncio
import random  # noqa: TID251 - handed on
import subprocess
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from shutil import which
from typing import Any

import httpx
import msgspec
import pytest

from service import __version__
from service.calls.model import Status
from tests.chaos.fleet import TREE, Address, Fleet
from tests.chaos.storm import storm
from tests.chaos.weather import Weather
from tests.harness import API_KEY
from tests.simulator.simulator import Simulator
from tests.upgrade.test_from_previous import RECORDING

MOST = 2000
"""Calls; they end when both replicas are back."""
AT_ONCE = 25
DWELL = 1.5
"""Seconds for which calls go on between two restarts."""
STATES = {str(status) for status in Status}


class Look(msgspec.Struct, frozen=True):
    """At a call, through the API of a replica."""

    release: str
    call_id: str
    status: int
    state: str


class Rolling(Weather):
    """From this release to the one before it and back, one replica after the other, looked at meanwhile."""

    def __init__(self, simulator: Simulator, fleet: Fleet, dice: random.Random, previous: Path) -> None:
        super().__init__(simulator, fleet, dice)
        self.looks: list[Look] = []
        self.phases: list[tuple[str, int]] = []
        """What ran side by side, and how many phones there had been by the end of it."""
        self.logs: dict[str, list[Path]] = {"this": [], "previous": []}
        self._previous = previous
        self._rolled = asyncio.Event()

    async def blow(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_on())
            for tree in (self._previous, TREE):
                for address in self._fleet.addresses:
                    await self._stay()
                    address.tree = tree
                    await self._fleet.restart(address, away=0)
            await self._stay()
            self._rolled.set()
        for address in self._fleet.addresses:
            first, other, last = address.logs
            self.logs["this"] += [first, last]
            self.logs["previous"].append(other)

    def goes_on(self) -> bool:
        return not self._rolled.is_set()

    async def _stay(self) -> None:
        await asyncio.sleep(DWELL)
        releases = "+".join(self._release(address) for address in self._fleet.addresses)
        self.phases.append((releases, len(self._simulator.phones)))

    def _release(self, address: Address) -> str:
        return "previous" if address.tree == self._previous else "this"

    async def _look_on(self) -> None:
        """At the latest calls that have been answered, through both, over and over."""
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {API_KEY}"}, timeout=15) as client:
            while not self._rolled.is_set():
                answered = {
                    one.call_id for one in self._simulator.deliveries if one.synchronous and one.status == 200
                }
                for phone in [one for one in self._simulator.phones if one.call_id in answered][-40:]:
                    for address in self._fleet.addresses:
                        await self._look(client, address, phone.call_id)
                await asyncio.sleep(0.1)

    async def _look(self, client: httpx.AsyncClient, address: Address, call_id: str) -> None:
        if not address.up:
            return
        release = self._release(address)
        # Whoever ends may cut it off, and whoever asks tries again.
        with suppress(httpx.TransportError):
            answer = await client.get(f"{address.url}/api/v1/calls/{call_id}")
            state = answer.json()["state"] if answer.is_success else ""
            self.looks.append(Look(release, call_id, answer.status_code, state))


@pytest.fixture
def previous() -> Iterator[Path]:
    """The tree of the release whose state was recorded."""
    git = which("git")
    if git is None:
        pytest.skip("git is not here")
    archived = subprocess.run(  # noqa: S603 - our own words
        [git, "archive", RECORDING.release, "service", "handlers", "tests"],
        cwd=TREE,
        capture_output=True,
        check=False,
    )
    if archived.returncode:
        pytest.skip(f"the history with {RECORDING.release} is not here: {archived.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory(prefix="previous-") as name:
        with tarfile.open(fileobj=BytesIO(archived.stdout)) as archive:
            archive.extractall(name, filter="data")
        with Path(name, "service", "__init__.py").open("a") as file:
            file.write('__version__ = "previous"\n')
        yield Path(name)


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


async def test_forth_and_back_under_load(folder: Path, previous: Path) -> None:
    rolls: list[Rolling] = []

    def rolling(simulator: Simulator, fleet: Fleet, dice: random.Random) -> Rolling:
        rolls.append(Rolling(simulator, fleet, dice, previous))
        return rolls[0]

    report = await storm(MOST, 1, folder, print, at_once=AT_ONCE, make_weather=rolling)
    [roll] = rolls
    print(report, (folder / "details.json").read_text())
    print(roll.phases, Counter((one.release, one.status, one.state) for one in roll.looks))
    assert report.passed
    assert report.terms == 4

    releases, phones = zip(*roll.phases, strict=True)
    assert releases == ("this+this", "previous+this", "previous+previous", "this+previous", "this+this")
    assert all(later > earlier for earlier, later in pairwise(phones)), "calls went on"

    for release, logs in roll.logs.items():
        looks = [one for one in roll.looks if one.release == release]
        assert {one.status for one in looks} == {200}, release
        assert {one.state for one in looks} <= STATES, release
        assert len(looks) > 30, release
        said = lines(logs)
        versions = {one["version"] for one in said if one["event"] == "service.started"}
        assert versions == {"previous" if release == "previous" else __version__}
        assert [one for one in said if one["level"] == "error"] == [], release
        # It would look again every 30 s; what it does not know is not written.
        assert [one["effect"] for one in said if one["event"] == "effect.not_known"] == [], release
