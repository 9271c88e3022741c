"""Creates are carried out at once and answered after seconds, up to a minute, or never."""

from tests.chaos.faults.bursts import FaultBursts
from tests.chaos.operations import CREATE_CALL, CREATES
from tests.simulator.faults import Fault

SHARE = 0.6
"""Of creates that are slow while a spell lasts."""
CUT_OFF = 0.05
"""Of those, which are cut off when the weather is over."""
SECONDS = ((0.3, 3.5), (0.3, 3.5), (3.0, 12.0), (3.0, 12.0), (12.0, 55.0))
"""In which the others are answered: some within a webhook's time, so that the phone hangs up meanwhile. The
service waits for a minute, and the way to here takes some of that."""


class SlowCreates(FaultBursts):
    """What is slow stays so when the weather is over: late answers come when all phones have hung up."""

    kind = "creates-slow"
    lengths = (3.0, 8.0)
    pauses = (0.2, 2.0)

    def fault_for(self, operation: str) -> Fault | None:
        dice = self.dice
        if operation not in {*CREATES, CREATE_CALL} or dice.random() >= SHARE:
            return None
        if dice.random() < CUT_OFF:
            return Fault(operation, hang=True, reset=True, executed=True)
        return Fault(operation, delay=dice.uniform(*dice.choice(SECONDS)), executed=True)
