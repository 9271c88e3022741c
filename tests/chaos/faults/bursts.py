"""Weather that comes in spells, in which requests to Bandwidth fare badly."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from tests.chaos.faults.base import FaultProfile
from tests.simulator.clock import monotonic
from tests.simulator.faults import Fault, no_fault

if TYPE_CHECKING:
    from tests.chaos.site import Site


class FaultBursts(FaultProfile, ABC):
    """`fault_for` is asked about each request while a spell lasts. Lengths and pauses are in seconds."""

    kind: ClassVar[str]
    """As of a trouble."""
    lengths: ClassVar[tuple[float, float]] = (2.0, 15.0)
    pauses: ClassVar[tuple[float, float]] = (0.5, 4.0)

    async def inject(self, site: "Site") -> None:
        faults = site.simulator.faults
        while await self.wait(self.dice.uniform(*self.pauses)):
            trouble = site.troubles.begin(self.kind, monotonic(), detail=self.begin_burst())
            faults.fault_for = self._counted_fault
            await self.wait(self.dice.uniform(*self.lengths))
            faults.fault_for = no_fault
            trouble.over = monotonic()

    def begin_burst(self) -> str:
        """Of a spell. Gives what it is about, in few words."""
        return ""

    @abstractmethod
    def fault_for(self, operation: str) -> Fault | None:
        """What becomes of a request of this operation. None: it is served as usual."""

    def _counted_fault(self, operation: str) -> Fault | None:
        fault = self.fault_for(operation)
        self.counts.faults += fault is not None
        return fault
