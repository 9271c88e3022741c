"""Work that is owed to the outside: one request each, safe to send twice, kept in the store until it is done.

An effect has an id, under which a later one replaces it and by which it is called off, and a lane: what is in
one lane is done first in, first out, and lanes wait for nobody.
"""

import msgspec


class HangUp(msgspec.Struct, frozen=True, tag="hang-up"):
    call_id: str

    @property
    def id(self) -> str:
        return "hang-up"

    @property
    def lane(self) -> str:
        return self.id


class RedirectPhone(msgspec.Struct, frozen=True, tag="redirect-phone"):
    """Have Bandwidth ask us again what the phone does: the way to tell somebody something in mid-call."""

    call_id: str
    ref: str
    attempt: int

    @property
    def id(self) -> str:
        return "redirect-phone"

    @property
    def lane(self) -> str:
        return self.id


class LeaveRoom(msgspec.Struct, frozen=True, tag="leave-room"):
    """Give up a seat; the room takes the participant down and, with its last seat, the session."""

    room: str
    seat: str

    @property
    def id(self) -> str:
        return f"leave-room:{self.seat}"

    @property
    def lane(self) -> str:
        return self.seat


class AddParticipant(msgspec.Struct, frozen=True, tag="add-participant"):
    """Put a member into the session that has replaced a vanished one."""

    room: str
    seat: str
    session_id: str
    participant_id: str


class RemoveParticipant(msgspec.Struct, frozen=True, tag="remove-participant"):
    seat: str
    session_id: str
    participant_id: str


class DeleteParticipant(msgspec.Struct, frozen=True, tag="delete-participant"):
    seat: str
    participant_id: str


class FreeSeat(msgspec.Struct, frozen=True, tag="free-seat"):
    """The last thing a leaving member does, so that the session outlives everybody in it."""

    room: str
    seat: str


class DeleteSession(msgspec.Struct, frozen=True, tag="delete-session"):
    session_id: str


CallEffect = HangUp | RedirectPhone | LeaveRoom
"""Owed by a call: what `decide` asks for."""
RoomEffect = AddParticipant | RemoveParticipant | DeleteParticipant | FreeSeat | DeleteSession
"""Owed by a room: what its scripts in the store write down when seats are given up and sessions replaced."""
Effect = CallEffect | RoomEffect


def name_of(effect: Effect) -> str:
    return str(effect.__struct_config__.tag)


class Owed(msgspec.Struct, frozen=True):
    """An effect and the time from which it may be done, in seconds since the epoch."""

    effect: CallEffect
    due: float
