"""What is known of one call, as a frozen value that is also its stored form."""

from enum import StrEnum
from typing import Final

import msgspec

SCHEMA: Final = 1
"""Raised when a stored call gains something that an older release must not lose by writing it back."""


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Phone(StrEnum):
    """The A leg, the call between Bandwidth and the phone."""

    RINGING = "ringing"
    UP = "up"
    GONE = "gone"


class Media(StrEnum):
    """How far the call is into WebRTC: its participant, and the B leg that carries its sound."""

    NONE = "none"
    MAKING = "making"  # a join is under way: seat, session, participant
    TRANSFERRING = "transferring"  # the transfer has been given to Bandwidth, its B leg has not answered
    BRIDGED = "bridged"
    LEAVING = "leaving"  # the B leg is over, and Bandwidth will ask what the phone does next


class Intent(StrEnum):
    """What is wanted of the call, whatever it happens to be doing."""

    BRIDGE = "bridge"
    HOLD = "hold"
    ELSEWHERE = "elsewhere"  # to another number, the fallback for one
    HANGUP = "hangup"


class Status(StrEnum):
    """The one word that people see: projected from the above, never stored."""

    JOINING = "joining"
    TRANSFERRING = "transferring"
    BRIDGED = "bridged"
    DETACHED = "detached"
    ENDED = "ended"


class Blame(StrEnum):
    """Whose fault the end of a call was: the first thing an on-call engineer asks."""

    NOBODY = "nobody"
    CALLER = "caller"
    LIMIT = "limit"
    SERVICE = "service"
    BANDWIDTH = "bandwidth"


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a call ended: a value, not a log line."""

    blame: Blame
    reason: str
    cause: str = ""
    """Bandwidth's own word (voice API, `cause` of the disconnect webhook)."""
    error_id: str = ""
    sip_response_code: int | None = None


class Call(msgspec.Struct, frozen=True, omit_defaults=True):
    """One phone call and its way into WebRTC. Times are seconds since the epoch."""

    ref: str
    call_id: str
    direction: Direction
    room: str
    created_at: float
    phone: Phone
    media: Media = Media.NONE
    intent: Intent = Intent.BRIDGE
    schema: int = SCHEMA

    attempt: int = 0
    """Counts the joins and transfers. It is in every URL they are given, so that what belongs to an older one
    is told apart."""
    lease_until: float = 0
    """While media is making: until then a live replica is taken to be working on it."""
    token_until: float = 0
    """While media is transferring: until then the transfer may be handed out again."""

    session_id: str = ""
    participant_id: str = ""
    leg_id: str = ""
    """Bandwidth's call id of the B leg."""

    from_number: str = ""
    to_number: str = ""
    announcement: str = ""
    fallback: str = ""
    """The number that a caller is sent to when the way into WebRTC fails; empty once it is used."""
    elsewhere: str = ""
    failure: str = ""
    """Why the way into WebRTC failed, as a slug."""

    bridged_at: float = 0
    """When a B leg answered for the first time."""
    answered_attempt: int = 0
    """The last attempt whose B leg answered: a transfer that is over without it has failed."""
    ended_at: float = 0
    silence_ms: float = 0
    """From the first webhook to the end of its join: what the caller waited in silence."""
    requests: int = 0
    retries: int = 0
    outcome: Outcome | None = None

    @property
    def seat(self) -> str:
        """The place in the room of the present attempt."""
        return seat_of(self.ref, self.attempt)

    @property
    def live(self) -> bool:
        return self.phone is not Phone.GONE

    @property
    def status(self) -> Status:
        if not self.live:
            return Status.ENDED
        return _STATUS[self.media]


_STATUS: Final = {
    Media.NONE: Status.DETACHED,
    Media.MAKING: Status.JOINING,
    Media.TRANSFERRING: Status.TRANSFERRING,
    Media.BRIDGED: Status.BRIDGED,
    Media.LEAVING: Status.DETACHED,
}


def seat_of(ref: str, attempt: int) -> str:
    return f"{ref}.{attempt}"


def call_of(seat: str) -> tuple[str, int]:
    """The ref and the attempt that a seat belongs to."""
    ref, _, attempt = seat.rpartition(".")
    return ref, int(attempt)
