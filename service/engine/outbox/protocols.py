"""Defines what the worker expects of the effect executor."""

from typing import Protocol

from service.calls.effects import Effect
from service.calls.events import Event
from service.calls.model import Call


class RetryLater(Exception):
    """Nothing went wrong, but the effect has to be looked at again in so many seconds."""

    def __init__(self, delay: float, replacement: Effect | None = None) -> None:
        """`replacement`: the effect with what has been learned, to be kept in its place."""
        super().__init__(f"in {delay:g} s")
        self.delay = delay
        self.replacement = replacement


class NotInStore(Exception):
    """The store does not have what the effect is about. That alone does not say that there is nothing to do.

    What is over calls off what it has owed, in the same step; and a server that lags behind, or has just lost
    its place to another, knows less than there is.
    """


class HandledCall(Protocol):
    @property
    def call(self) -> Call | None:
        """None where the call is not known."""
        ...


class SupportsHandle(Protocol):
    async def handle(self, ref: str, event: Event, key: str = "") -> HandledCall:
        """Take one event of a call to its end. Raises StoreError."""
        ...


class SupportsExecute(Protocol):
    async def execute(self, effect: Effect, *, attempt: int) -> None:
        """Raises BandwidthError, JoinTimeout, StoreError or RetryLater when it has to be tried again."""
        ...
