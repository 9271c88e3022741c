"""Requests are carried out, and the connection breaks before the answer is there."""

from tests.chaos.faults.bursts import FaultBursts
from tests.chaos.operations import CREATES
from tests.simulator.faults import Fault

FEW = 0.1
"""Of creates: each may leave something behind that nobody can find."""


class LostAnswers(FaultBursts):
    kind = "answers-lost"

    def begin_burst(self) -> str:
        self._share = self.dice.choice([0.1, 0.3, 0.7])
        return f"{self._share:.0%} of all answers"

    def fault_for(self, operation: str) -> Fault | None:
        share = min(self._share, FEW) if operation in CREATES else self._share
        if self.dice.random() >= share:
            return None
        return Fault(operation, reset=True, executed=True)
