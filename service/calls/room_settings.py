"""Defines the settings of a room, as they are stored."""

from enum import StrEnum
from typing import Final

import msgspec

MAX_MEMBERS: Final = 20
"""Participants in a session (WebRTC overview)."""
ROOM_NAME: Final = r"[a-z0-9-]{1,64}"


class InterconnectMode(StrEnum):
    """How a phone gets into WebRTC (voice interworking page of the WebRTC documents)."""

    TRANSFER = "transfer"  # one call: <Transfer> to the SIP interconnect
    BRIDGE = "bridge"  # two calls: one to the phone, one to the SIP interconnect, and <Bridge>


class WaitingSound(StrEnum):
    """What somebody hears who waits for others."""

    RING = "ring"
    MUSIC = "music"
    MESSAGE = "message"


class AloneAction(StrEnum):
    """What becomes of a phone that has been left alone."""

    HANGUP = "hangup"
    WAIT = "wait"


class WaitingSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """A caller who is the first in the room waits outside, until somebody comes. `limit`: seconds."""

    sound: WaitingSound = WaitingSound.RING
    music: str = ""
    """URL of what is played; Bandwidth fetches it."""
    message: str = ""
    limit: float = 600.0


class AloneSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """A phone that everybody has left is seen to after so many seconds."""

    after: float = 60.0
    then: AloneAction = AloneAction.HANGUP


class RoomSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    announcement: str = ""
    """Said to each phone before it comes in; empty for what the environment says."""
    waiting: WaitingSettings | None = None
    alone: AloneSettings | None = None
    limit: int = MAX_MEMBERS
    pin: str = ""
    """Digits that name the room on numbers that ask for them; empty for none."""
    interconnect: InterconnectMode | None = None
    """None for what the environment says."""
