"""Bandwidth on loopback, as its documents describe it: an oracle that knows nothing of the service."""

from tests.simulator.phones import Phone
from tests.simulator.settings import Application, SimulatorSettings
from tests.simulator.simulator import Simulator

__all__ = ["Application", "Phone", "Simulator", "SimulatorSettings"]
