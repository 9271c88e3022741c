"""Two releases at one store: rolled from this one to the one before and back, one replica after the other.

Replicas are ended by SIGTERM and not killed: the release before has faults at its kill that this one has not.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import httpx
import msgspec

from service.calls.model import Status
from tests.chaos import previous_release
from tests.chaos.api import OperatorRequest
from tests.chaos.faults.base import FaultProfile
from tests.chaos.fleet import TREE, ReplicaAddress
from tests.chaos.times import NEVER
from tests.harness import API_KEY
from tests.operators import NO_TLS
from tests.simulator.clock import monotonic

if TYPE_CHECKING:
    from tests.chaos.site import Site

DWELL = (0.5, 2.0)
"""Seconds for which calls go on between two restarts, from and to."""
LOOKS = 0.1
"""Seconds between two looks at calls."""
LATEST = 40
"""Calls that are looked at: those that began last."""
STATES = {str(status) for status in Status}


class Phase(msgspec.Struct, frozen=True):
    """From one restart to the next."""

    older: int
    """Replicas that run the release before."""
    phones: int
    """How many there had been by the end of it."""


class CallCheck(msgspec.Struct, frozen=True):
    """At a call, through the API of a replica."""

    release: str
    call_id: str
    status: int
    state: str
    over: float
    """When it was answered (monotonic seconds)."""

    @property
    def is_right(self) -> bool:
        return self.status == 200 and self.state in STATES


class TwoReleases(FaultProfile):
    """Begins and ends with this release at both addresses. Calls are looked at through both meanwhile."""

    calls_per_second: ClassVar[float] = 7.0

    @classmethod
    def cannot_run(cls) -> str:
        return previous_release.missing()

    async def prepare(self, site: "Site") -> None:
        self.looks: list[CallCheck] = []
        self.phases: list[Phase] = []
        self._tree = site.directory / previous_release.VERSION
        await asyncio.to_thread(previous_release.extract, self._tree)
        # The release before knows the old path only.
        site.api.hold_order = "remove"

    async def inject(self, site: "Site") -> None:
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(self._look_on(site))
            while self.rolls_on():
                for tree in (self._tree, TREE):
                    await self._roll(site, tree)
                await self._stay(site)
            looking.cancel()
        site.api.bad_answers += wrong_looks(self.looks, site.api.requests)

    def rolls_on(self) -> bool:
        """Whether it is to go forth and back once more."""
        return not self._over.is_set()

    async def _roll(self, site: "Site", tree: Path) -> None:
        addresses = list(site.fleet.addresses)
        self.dice.shuffle(addresses)
        for address in addresses:
            await self._stay(site)
            address.tree = tree
            await site.fleet.restart(address, away=0, detail=f"then release {self.release(tree)}")

    async def _stay(self, site: "Site") -> None:
        await self.wait(self.dice.uniform(*DWELL))
        older = sum(one.tree == self._tree for one in site.fleet.addresses)
        self.phases.append(Phase(older, len(site.simulator.phones)))

    def release(self, tree: Path) -> str:
        return previous_release.VERSION if tree == self._tree else "this"

    async def _look_on(self, site: "Site") -> None:
        """At the latest calls that have been answered, through both replicas, over and over."""
        headers = {"authorization": f"Bearer {API_KEY}"}
        async with httpx.AsyncClient(headers=headers, timeout=15, verify=NO_TLS) as client:
            while True:
                answered = {
                    one.call_id for one in site.simulator.deliveries if one.synchronous and one.status == 200
                }
                for phone in [one for one in site.simulator.phones if one.call_id in answered][-LATEST:]:
                    for address in site.fleet.addresses:
                        await self._look(site, client, address, phone.call_id)
                await asyncio.sleep(LOOKS)

    async def _look(
        self, site: "Site", client: httpx.AsyncClient, address: ReplicaAddress, call_id: str
    ) -> None:
        if not address.up:
            return
        release = self.release(address.tree)
        # A replica that ends may cut it off; a client would ask again.
        with suppress(httpx.TransportError):
            answer = await client.get(f"{address.url}/api/v1/calls/{call_id}")
            state = answer.json()["state"] if answer.is_success else ""
            self.looks.append(CallCheck(release, call_id, answer.status_code, state, monotonic()))


def wrong_looks(looks: Iterable[CallCheck], asked: Iterable[OperatorRequest]) -> list[str]:
    """A call is not found only once an operator has asked to erase it."""
    erased: dict[str, float] = {}
    for one in asked:
        if one.method == "DELETE" and one.status in {204, None}:
            erased.setdefault(one.path.removeprefix("/calls/"), one.sent_at)
    return [
        f"GET {one.call_id} from the {one.release} release: {one.status} {one.state}"
        for one in looks
        if not one.is_right and not (one.status == 404 and erased.get(one.call_id, NEVER) <= one.over)
    ]
