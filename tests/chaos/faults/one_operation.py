"""One operation at a time fails, whoever asks for it, while all others are well."""

import random  # noqa: TID251 - seeded, so that a storm can be had again

from tests.chaos.faults.bursts import FaultBursts
from tests.chaos.operations import CREATE_CALL, CREATES, OTHERS
from tests.simulator.faults import Fault

HOW = ("500", "503", "429", "reset", "slow")


class OneOperation(FaultBursts):
    """Every operation has its turn before one has it again; seeds begin with different ones."""

    kind = "one-operation"
    lengths = (5.0, 20.0)
    pauses = (0.2, 2.0)

    def __init__(self, dice: random.Random) -> None:
        super().__init__(dice)
        self._order: list[str] = []
        self._operation = self._how = ""

    def begin_burst(self) -> str:
        if not self._order:
            self._order = [*CREATES, CREATE_CALL, *OTHERS]
            self.dice.shuffle(self._order)
        self._operation = self._order.pop()
        self._how = self.dice.choice(HOW)
        return f"{self._operation}: {self._how}"

    def fault_for(self, operation: str) -> Fault | None:
        if operation != self._operation:
            return None
        # A create of something that has no name of ours makes nothing here: `lost-answers` plays that.
        executed = operation not in CREATES and self.dice.random() < 0.5
        match self._how:
            case "slow":
                return Fault(operation, delay=self.dice.uniform(0.5, 8))
            case "429":
                return Fault(operation, status=429, retry_after=self.dice.choice([None, "1", "3"]))
            case "reset":
                return Fault(operation, reset=True, executed=executed)
            case status:
                return Fault(operation, status=int(status), executed=executed)
