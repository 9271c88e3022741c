"""Clocks are wrong: those of the replicas by hours, and set anew now and then; the store's by minutes."""

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from tests.chaos import clock_offset
from tests.chaos.faketime import WrongStore, library
from tests.chaos.faults.base import FaultProfile
from tests.chaos.stores import SiteStore
from tests.simulator.clock import monotonic

if TYPE_CHECKING:
    from tests.chaos.site import Site

HOURS = 12
"""By which a replica's clock is off at most."""
STORE = 0.35
"""Share of the store's clock among those that are set."""
MINUTES = (-25, 29)
"""Of the store's: from the first to the last less than the hour for which what was answered is remembered."""
STEP = 2
"""Minutes by which the store's clock jumps at least: what is less than 8 s may be followed."""
BETWEEN = (2.0, 6.0)


class WrongClocks(FaultProfile):
    settings = MappingProxyType({"CALL_LIMIT": "150"})
    """Longer than any call lasts, and shorter than most jumps."""
    calls_per_second = 8.0
    min_seconds = 30.0

    @classmethod
    def runs_in_part(cls) -> str:
        return "" if library() else "the store's clock, since libfaketime is not here: install faketime"

    def make_store(self, directory: Path) -> SiteStore:
        faketime = library()
        return WrongStore(directory, faketime) if faketime else super().make_store(directory)

    async def prepare(self, site: "Site") -> None:
        self._files = {one.host: site.directory / f"clock-{one.name}" for one in site.fleet.addresses}
        self._minutes = 0
        for address in site.fleet.addresses:
            address.settings[clock_offset.VARIABLE] = str(self._files[address.host])
            self._set(site, address.host)

    async def inject(self, site: "Site") -> None:
        while await self.wait(self.dice.uniform(*BETWEEN)):
            if isinstance(site.store, WrongStore) and self.dice.random() < STORE:
                self._set_store(site, site.store)
            else:
                self._set(site, self.dice.choice(list(self._files)))

    def _set(self, site: "Site", host: str) -> None:
        seconds = self.dice.uniform(-HOURS, HOURS) * 3600
        clock_offset.set_offset(self._files[host], seconds)
        self._note(site, seconds, host)

    def _set_store(self, site: "Site", store: WrongStore) -> None:
        first, last = MINUTES
        others = [one for one in range(first, last + 1) if abs(one - self._minutes) >= STEP]
        self._minutes = self.dice.choice(others)
        store.set_clock(self._minutes * 60)
        self._note(site, self._minutes * 60, "store")

    def _note(self, site: "Site", seconds: float, host: str) -> None:
        """It is over at once, though nobody sets it right again: a clock is wrong only if it is looked at."""
        trouble = site.troubles.begin("clock", monotonic(), host=host, detail=f"{seconds:+.0f} s")
        trouble.over = trouble.begun
