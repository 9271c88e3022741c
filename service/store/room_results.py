"""Answers of the store to a request for a seat in a room."""

import msgspec

from service.calls.room_settings import RoomSettings, WaitingSettings


class RoomFull(msgspec.Struct, frozen=True):
    members: int
    leaving: int = 0
    """How many of them have given their seat up, or the caller another seat of theirs."""


class ReservedSeat(msgspec.Struct, frozen=True):
    """A seat that has been reserved, or with a participant out of stock, taken."""

    session_id: str
    """Empty when the room has no session yet."""
    settings: RoomSettings
    participant_id: str = ""
    """Of the one out of stock whose seat it is; it is in the session."""
    token: str = ""

    def __repr__(self) -> str:
        return (
            f"ReservedSeat(session_id={self.session_id!r}, participant_id={self.participant_id!r}, token=***)"
        )


class EmptyRoom(msgspec.Struct, frozen=True):
    """Nobody is there: the call has no seat, waits outside, and will be summoned when somebody comes."""

    waiting: WaitingSettings


class SessionInDoubt(msgspec.Struct, frozen=True):
    """Nobody is to be sent into the room's session: it was not found, and is being looked at."""


class TakenSeat(msgspec.Struct, frozen=True):
    """A seat that a participant has taken."""

    session_id: str
    has_due_work: bool = False
    """Whether the room owes something that is due now, such as a call to who waits outside."""


class SeatGone(msgspec.Struct, frozen=True):
    """The seat was given up meanwhile; what was brought along is owed for deletion."""
