"""Web pages come from something between the service and Bandwidth, in spells."""

from tests.chaos.faults.bursts import FaultBursts
from tests.chaos.operations import CREATE_CALL, CREATES
from tests.simulator.faults import Fault

STATUSES = (502, 502, 503, 503, 504, 504, 200, 404)
LOST = 0.08
"""Share of pages in place of the answer to a create that was carried out: its id is in none."""


class GatewayPages(FaultBursts):
    kind = "pages"

    def begin_burst(self) -> str:
        self._share = self.dice.choice([0.2, 0.5, 1.0])
        return f"{self._share:.0%} of all requests"

    def fault_for(self, operation: str) -> Fault | None:
        dice = self.dice
        if dice.random() >= self._share:
            return None
        status = dice.choice(STATUSES)
        executed = dice.random() < (LOST if operation in CREATES else 0.5)
        if operation in {*CREATES, CREATE_CALL} and status == 404:
            # That there is no such place is said by what has sent nothing on.
            executed = False
        return Fault(operation, status=status, page=True, executed=executed)
