"""Creates are carried out at once and answered after seconds, up to a minute, or never."""

from tests.chaos.creates import CREATES
from tests.chaos.weathers.spells import CREATE_CALL, Spells
from tests.simulator.faults import Fault

SHARE = 0.6
NEVER = 0.05
LONG = 0.1
LONGEST = 55.0
"""Seconds; the service waits for a minute, and its way to here takes some of that."""


class SlowCreates(Spells):
    """What is slow stays so when the weather is over: late answers come when all phones have hung up."""

    kind = "creates-slow"
    lengths = (3.0, 8.0)
    pauses = (0.5, 3.0)

    def strike(self, operation: str) -> Fault | None:
        dice = self.dice
        if operation not in {*CREATES, CREATE_CALL} or dice.random() >= SHARE:
            return None
        kind = dice.random()
        if kind < NEVER:
            return Fault(operation, hang=True, reset=True, executed=True)
        seconds = dice.uniform(12, LONGEST) if kind < NEVER + LONG else dice.uniform(3, 12)
        return Fault(operation, delay=seconds, executed=True)
