"""What the worker expects of whoever carries out effects."""

from typing import Protocol

from service.calls.effects import Effect
from service.calls.events import Event
from service.calls.model import Call


class NotYet(Exception):
    """Nothing went wrong, but the effect has to be looked at again in so many seconds."""

    def __init__(self, seconds: float, instead: Effect | None = None) -> None:
        """`instead`: the effect with what has been learned, to be kept in its place."""
        super().__init__(f"in {seconds:g} s")
        self.seconds = seconds
        self.instead = instead


class Missing(Exception):
    """The store does not have what the effect is about. That alone does not say that there is nothing to do.

    What is over calls off what it has owed, in the same step; and a server that lags behind, or has just lost
    its place to another, knows less than there is.
    """


class Handled(Protocol):
    @property
    def call(self) -> Call | None:
        """None where the call is not known."""
        ...


class Handles(Protocol):
    async def handle(self, ref: str, event: Event, key: str = "") -> Handled:
        """Take one event of a call to its end. Raises StoreError."""
        ...


class Performs(Protocol):
    async def perform(self, effect: Effect, *, attempt: int) -> None:
        """Raises BandwidthError, TooSlow, StoreError or NotYet when the effect has to be tried again."""
        ...
