"""What the worker expects of whoever carries out effects."""

from typing import Protocol

from service.calls.effects import Effect
from service.calls.events import Event


class NotYet(Exception):
    """Nothing went wrong, but the effect has to be looked at again in so many seconds."""

    def __init__(self, seconds: float, instead: Effect | None = None) -> None:
        """`instead`: the effect with what has been learned, to be kept in its place."""
        super().__init__(f"in {seconds:g} s")
        self.seconds = seconds
        self.instead = instead


class Handles(Protocol):
    async def handle(self, ref: str, event: Event, key: str = "") -> object:
        """Take one event of a call to its end. Raises StoreError."""
        ...


class Performs(Protocol):
    async def perform(self, effect: Effect, *, attempt: int) -> None:
        """Raises BandwidthError, TooSlow, StoreError or NotYet when the effect has to be tried again."""
        ...
