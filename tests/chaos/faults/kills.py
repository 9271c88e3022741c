"""Replicas and the store are killed and restarted, while webhooks get lost and requests to Bandwidth fail."""

import asyncio
from itertools import count
from typing import TYPE_CHECKING

from tests.chaos.faults.base import FaultProfile
from tests.chaos.operations import CREATE_CALL, CREATES, OTHERS
from tests.simulator.faults import Fault
from tests.simulator.webhooks import DeliveryFault

if TYPE_CHECKING:
    from tests.chaos.site import Site

LOST = 0.02
LATE = 0.12
TWICE = 0.06


class Kills(FaultProfile):
    async def inject(self, site: "Site") -> None:
        self._site = site
        self._hanging: list[Fault] = []
        site.simulator.webhooks.delivery_fault = self._fate
        async with asyncio.TaskGroup() as group:
            group.create_task(self._trouble_bandwidth())
            group.create_task(self._trouble_replicas())
            group.create_task(self._trouble_store())

    def _fate(self, _event_type: str, _url: str) -> DeliveryFault:
        dice, counts = self.dice, self.counts
        lost, late, twice = dice.random() < LOST, dice.random() < LATE, dice.random() < TWICE
        counts.drops += lost
        counts.delays += late and not lost
        counts.duplicates += twice and not lost
        delay = dice.choice([0.02, 0.1, 0.3, 1.0]) if late else 0.0
        return DeliveryFault(lost=lost, delay=delay, copies=2 if twice and not lost else 1)

    async def _trouble_bandwidth(self) -> None:
        dice, simulator = self.dice, self._site.simulator
        while await self.wait(dice.uniform(0.02, 0.15)):
            simulator.latency = dice.choice([0, 0, 0.005, 0.03, 0.1])
            kind = dice.random()
            if kind < 0.5:
                self._fail(dice.choice([*CREATES, *OTHERS, CREATE_CALL]))
            elif kind < 0.54 and simulator.sessions.sessions:
                self.counts.expiries += 1
                simulator.expire_session(dice.choice(list(simulator.sessions.sessions)))
            for fault in [one for one in self._hanging if dice.random() < 0.1]:
                self._hanging.remove(fault)
                fault.release()

    def _fail(self, operation: str) -> None:
        """A create of something that has no name of ours is not carried out unless it is answered.

        What is created and not told to anybody can be found by nobody; calls can.
        """
        dice, faults = self.dice, self._site.simulator.faults
        if not self.may_add_fault(self._site, operation):
            return
        self.counts.faults += 1
        may_be_done = operation not in CREATES and dice.random() < 0.5
        kind = dice.random()
        if kind < 0.45:
            faults.add(operation, status=dice.choice([500, 502, 503]), executed=may_be_done)
        elif kind < 0.65:
            retry_after = dice.choice([None, "1", "2"])
            faults.add(operation, status=429, retry_after=retry_after)
        elif kind < 0.85:
            faults.add(operation, reset=True, executed=may_be_done)
        elif kind < 0.95:
            faults.add(operation, delay=dice.uniform(0.5, 3))
        else:
            # It is answered after a while, and whoever asked may have left.
            self._hanging.append(faults.add(operation, hang=True, executed=may_be_done))

    async def _trouble_replicas(self) -> None:
        dice = self.dice
        for number in count():
            if not await self.wait(dice.uniform(1, 3)):
                return
            address = dice.choice(self._site.fleet.addresses)
            # Every fourth, so that short storms have of both.
            if number % 4 == 1:
                await self._site.fleet.restart(address, away=dice.uniform(0, 1))
            else:
                await self._site.fleet.kill(address, away=dice.uniform(0, 1.5))

    async def _trouble_store(self) -> None:
        dice = self.dice
        while await self.wait(dice.uniform(9, 16)):
            await self._site.fleet.restart_store(away=dice.uniform(0, 1.5))


class RestlessReplicas(Kills):
    """Replicas come and go, and webhooks get lost; the store and Bandwidth are well."""

    async def inject(self, site: "Site") -> None:
        self._site = site
        site.simulator.webhooks.delivery_fault = self._fate
        await self._trouble_replicas()
