"""Browsers: participants that no phone call stands behind, and the rule by which a silent one is given up.

A browser has one seat in one room for as long as it is there. Bandwidth's participant events are in beta and
may never come (sessions API, webhooks), so that presence also lives on a heartbeat of the page.
"""

import math
from enum import StrEnum
from typing import Final

import msgspec

_PREFIX: Final = "web-"
"""A call's ref begins with the name of its partition."""


class Permission(StrEnum):
    """What a participant may publish; Bandwidth's words (createParticipant, `publishPermissions`)."""

    AUDIO = "AUDIO"
    VIDEO = "VIDEO"


class ParticipantStreams(msgspec.Struct, frozen=True):
    """Some of what a participant publishes, by the names that its device has given to them."""

    participant_id: str
    aliases: tuple[str, ...]


Hears = tuple[str | ParticipantStreams, ...] | None
"""Whom a participant receives, by id; None for everybody in the session, now and later."""


def heard_id(one: str | ParticipantStreams) -> str:
    return one if isinstance(one, str) else one.participant_id


class Browser(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept with the seat of a browser."""

    name: str = ""
    permissions: tuple[Permission, ...] = (Permission.AUDIO,)
    visit: str = ""
    """Whose browser it is: one visit has one at most."""
    hears: Hears = None
    visit_until: float = msgspec.field(default=0, name="until")
    """When that visit runs out, in seconds since the epoch; 0 for who has none."""


class Presence(msgspec.Struct, frozen=True):
    """What has been heard of a browser. Times are seconds since the epoch, 0 for never."""

    seated_at: float
    """Since when it has its seat."""
    heartbeat_at: float = 0
    """The last heartbeat."""
    connected_at: float = 0
    """The last `onConnect`."""
    disconnected_at: float = 0
    """The last `onDisconnect`: the signalling connection was lost, and may come back."""

    @property
    def last_seen_at(self) -> float:
        """When there was a sign of life."""
        return max(self.heartbeat_at, self.connected_at)

    @property
    def is_connected(self) -> bool:
        """Whether somebody has connected, or has said so, and has not been lost since."""
        return self.last_seen_at > self.disconnected_at


def counts_as_gone_from(presence: Presence, *, unused: float, absent: float) -> float:
    """From when on it counts as gone (seconds since the epoch); infinity while it is known to be there.

    `unused`: seconds for which a seat is kept for somebody who was never heard of; `absent`: seconds of
    silence. Who has ever sent a heartbeat is expected to go on with it. Of anybody else no news is good news.
    """
    if not presence.last_seen_at:
        return presence.seated_at + unused
    if presence.heartbeat_at:
        return presence.last_seen_at + absent
    if presence.is_connected:
        return math.inf
    return presence.disconnected_at + absent


def visit_ends_at(browser: Browser | None) -> float:
    """From when on it has no business here any more, whoever is there (seconds since the epoch)."""
    return browser.visit_until if browser and browser.visit_until else math.inf


def seat_of_browser(name: str) -> str:
    """`name`: 16 characters out of a-z and 2-7, never used before."""
    return f"{_PREFIX}{name}.1"


def is_browser(seat: str) -> bool:
    """Whether it is the seat of a browser, not of a call."""
    return seat.startswith(_PREFIX)
