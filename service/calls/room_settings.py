"""What a room can be set to do: its settings, as they are stored."""

from enum import StrEnum
from typing import Final

import msgspec

MEMBERS: Final = 20
"""Participants in a session (WebRTC overview)."""
ROOM_NAME: Final = r"[a-z0-9-]{1,64}"


class Way(StrEnum):
    """How a phone gets into WebRTC (voice interworking page of the WebRTC documents)."""

    TRANSFER = "transfer"  # one call: <Transfer> to the SIP interconnect
    BRIDGE = "bridge"  # two calls: one to the phone, one to the SIP interconnect, and <Bridge>


class Sound(StrEnum):
    """What somebody hears who waits for others."""

    RING = "ring"
    MUSIC = "music"
    MESSAGE = "message"


class Then(StrEnum):
    """What becomes of a phone that has been left alone."""

    HANGUP = "hangup"
    WAIT = "wait"


class Waiting(msgspec.Struct, frozen=True, omit_defaults=True):
    """A caller who is the first in the room waits outside, until somebody comes. `limit`: seconds."""

    sound: Sound = Sound.RING
    music: str = ""
    """URL of what is played; Bandwidth fetches it."""
    message: str = ""
    limit: float = 600.0


class Alone(msgspec.Struct, frozen=True, omit_defaults=True):
    """A phone that everybody has left is seen to after so many seconds."""

    after: float = 60.0
    then: Then = Then.HANGUP


class RoomSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    announcement: str = ""
    """Said to each phone before it comes in; empty for what the environment says."""
    waiting: Waiting | None = None
    alone: Alone | None = None
    limit: int = MEMBERS
    pin: str = ""
    """Digits that name the room on numbers that ask for them; empty for none."""
    interconnect: Way | None = None
    """None for what the environment says."""
