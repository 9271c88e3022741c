"""Fine weather: nothing goes wrong, so that nothing is there that could excuse a finding."""

from tests.chaos.faults.base import FaultProfile


class NoFaults(FaultProfile):
    pass
