"""What is alive at Bandwidth: what a service that cleans up after itself leaves empty."""

from collections.abc import Callable

import msgspec


class Alive(msgspec.Struct, frozen=True):
    """Ids of what exists now."""

    calls: list[str]
    legs: list[str]
    sessions: list[str]
    participants: list[str]
    devices: list[str] = []
    """Browsers that are connected, or lost and still waited for; with media only."""

    @property
    def empty(self) -> bool:
        return not (self.calls or self.legs or self.sessions or self.participants or self.devices)


class Unreceived(msgspec.Struct, frozen=True):
    """Something was created, and the answer that named it reached nobody."""

    operation: str
    id: str


class Ledger:
    def __init__(self, alive: Callable[[], Alive]) -> None:
        self.alive = alive
        self.unreceived: list[Unreceived] = []

    @property
    def empty(self) -> bool:
        return self.alive().empty
