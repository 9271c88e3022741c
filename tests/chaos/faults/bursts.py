"""Weather that comes in spells, in which requests to Bandwidth fare badly."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from tests.chaos.faults.base import Weather
from tests.simulator.clock import monotonic
from tests.simulator.faults import Fault, no_fate

if TYPE_CHECKING:
    from tests.chaos.site import Site


class Spells(Weather, ABC):
    """`strike` is asked about each request while a spell lasts. Lengths and pauses are in seconds."""

    kind: ClassVar[str]
    """As of a trouble."""
    lengths: ClassVar[tuple[float, float]] = (2.0, 15.0)
    pauses: ClassVar[tuple[float, float]] = (0.5, 4.0)

    async def blow(self, site: "Site") -> None:
        faults = site.simulator.faults
        while await self.lasts(self.dice.uniform(*self.pauses)):
            trouble = site.troubles.begin(self.kind, monotonic(), detail=self.begin())
            faults.fate = self._struck
            await self.lasts(self.dice.uniform(*self.lengths))
            faults.fate = no_fate
            trouble.over = monotonic()

    def begin(self) -> str:
        """Of a spell. Gives what it is about, in few words."""
        return ""

    @abstractmethod
    def strike(self, operation: str) -> Fault | None:
        """What becomes of a request of this operation. None: it is served as usual."""

    def _struck(self, operation: str) -> Fault | None:
        fault = self.strike(operation)
        self.counts.faults += fault is not None
        return fault
