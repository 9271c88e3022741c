"""Requests are carried out, and the connection breaks before the answer is there."""

from tests.chaos.operations import CREATES
from tests.chaos.faults.bursts import Spells
from tests.simulator.faults import Fault

FEW = 0.1
"""Of creates: each may leave something behind that nobody can find."""


class LostAnswers(Spells):
    kind = "answers-lost"

    def begin(self) -> str:
        self._share = self.dice.choice([0.1, 0.3, 0.7])
        return f"{self._share:.0%} of all answers"

    def strike(self, operation: str) -> Fault | None:
        share = min(self._share, FEW) if operation in CREATES else self._share
        if self.dice.random() >= share:
            return None
        return Fault(operation, reset=True, executed=True)
