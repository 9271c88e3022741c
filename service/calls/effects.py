"""Defines effects: requests that are owed to the outside, safe to repeat, stored until they are done.

An effect has an id, under which a later one replaces it and by which it is called off, and a lane: what is in
one lane is done first in, first out, and lanes wait for nobody.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, get_args

import msgspec

from service.calls.browser import Hears
from service.calls.looks import Looks
from service.calls.room_settings import AloneAction


class _OwnLane(msgspec.Struct, frozen=True):
    """Owed by a call once at a time, and waiting for nothing else."""

    @property
    def id(self) -> str:
        return str(self.__struct_config__.tag)

    @property
    def lane(self) -> str:
        return self.id


class HangUpPhone(_OwnLane, frozen=True, omit_defaults=True, tag="hang-up"):
    call_id: str
    looks: Looks = Looks()


class HangUpLeg(_OwnLane, frozen=True, omit_defaults=True, tag="hang-up-leg"):
    """End the call of ours into WebRTC."""

    call_id: str
    looks: Looks = Looks()

    @property
    def id(self) -> str:
        return f"hang-up-leg:{self.call_id}"


class RedirectPhone(_OwnLane, frozen=True, omit_defaults=True, tag="redirect-phone"):
    """Have Bandwidth ask us again what the phone does: the way to tell somebody something in mid-call."""

    call_id: str
    ref: str
    attempt: int
    looks: Looks = Looks()


class LeaveRoom(_OwnLane, frozen=True, tag="leave-room"):
    """Give up a seat; the room takes the participant down and, with its last seat, the session.

    With `keeps_participant` the participant lives on: it has a seat in another room.
    """

    room: str
    seat: str
    keeps_participant: bool = msgspec.field(default=False, name="keep")

    @property
    def id(self) -> str:
        return f"leave-room:{self.room}:{self.seat}"

    @property
    def lane(self) -> str:
        return self.seat


class MoveParticipant(_OwnLane, frozen=True, omit_defaults=True, kw_only=True, tag="move-participant"):
    """Out of one room's session and into another's; both legs of the call stay up."""

    ref: str
    attempt: int
    seat_no: int = msgspec.field(name="place")
    participant_id: str
    room: str
    seat: str
    next_room: str
    next_seat: str
    hears: tuple[str, ...] | None = None
    """Whom it hears where it is, should it have to go back."""
    looks: Looks = Looks()


class Subscribe(_OwnLane, frozen=True, omit_defaults=True, tag="subscribe"):
    """Whom a participant hears: those with these ids, or everybody."""

    room: str
    participant_id: str
    hears: Hears
    looks: Looks = Looks()


class RecordCallId(_OwnLane, frozen=True, tag="name-call"):
    """Make the call known under the id that Bandwidth has given it."""

    call_id: str
    ref: str


class EndDialing(_OwnLane, frozen=True, omit_defaults=True, tag="end-dialing"):
    """See to an outbound call that nothing was heard of."""

    ref: str
    looks: Looks = Looks()


class TellTimeUp(_OwnLane, frozen=True, omit_defaults=True, tag="tell-time-up"):
    ref: str
    looks: Looks = Looks()


class TellTimeNearlyUp(_OwnLane, frozen=True, omit_defaults=True, tag="tell-time-short"):
    """Tell a call that its time is nearly up."""

    ref: str
    looks: Looks = Looks()


class TellHoldTimeUp(_OwnLane, frozen=True, omit_defaults=True, tag="tell-hold-up"):
    """Tell a call that it has been on hold for as long as it may, or with `is_warning` nearly so."""

    ref: str
    attempt: int
    is_warning: bool = msgspec.field(name="soon")
    looks: Looks = Looks()


class CheckCall(_OwnLane, frozen=True, omit_defaults=True, tag="ask-after"):
    """Ask Bandwidth about a live call of which nothing has been heard for as long as its state may last."""

    ref: str
    looks: Looks = Looks()


class AddParticipant(msgspec.Struct, frozen=True, omit_defaults=True, tag="add-participant"):
    """Put a member into the session that has replaced another."""

    room: str
    seat: str
    session_id: str
    participant_id: str
    looks: Looks = Looks()


class RemoveParticipant(msgspec.Struct, frozen=True, omit_defaults=True, tag="remove-participant"):
    seat: str
    session_id: str
    participant_id: str
    looks: Looks = Looks()


class DeleteParticipant(msgspec.Struct, frozen=True, omit_defaults=True, tag="delete-participant"):
    seat: str
    participant_id: str
    looks: Looks = Looks()


class FreeSeat(msgspec.Struct, frozen=True, tag="free-seat"):
    """The last thing a leaving member does, so that the session outlives everybody in it."""

    room: str
    seat: str


class DeleteSession(msgspec.Struct, frozen=True, omit_defaults=True, tag="delete-session"):
    session_id: str
    looks: Looks = Looks()


class ReplaceSession(msgspec.Struct, frozen=True, tag="replace-session"):
    """Give the room a new session before Bandwidth ends this one for its age."""

    room: str
    session_id: str


class CheckRoom(msgspec.Struct, frozen=True, omit_defaults=True, tag="check-room"):
    """Compare who is in a room's session with who has a seat in the room."""

    room: str
    session_id: str
    orphans: dict[str, float] = msgspec.field(default={}, name="strangers")
    """Participants without a seat that were found before, and when (seconds since the epoch)."""
    missing: dict[str, Looks] = {}
    """Participants that should be there and were not."""
    looks: Looks = Looks()


class CheckSession(msgspec.Struct, frozen=True, tag="check-session"):
    """Look again at a session that was not found."""

    room: str
    session_id: str
    looks: Looks = Looks()

    def seen(self, at: float) -> "CheckSession":
        """Not found once more."""
        return CheckSession(self.room, self.session_id, self.looks.seen(at))


class CheckTakenFromPool(msgspec.Struct, frozen=True, omit_defaults=True, tag="check-taken"):
    """See whether those that callers got from the pool are in the session where they were put."""

    room: str
    session_id: str
    looks: Looks = Looks()


class CheckPresence(msgspec.Struct, frozen=True, omit_defaults=True, tag="check-presence"):
    """See whether a browser is still there of which nothing was heard."""

    room: str
    seat: str
    looks: Looks = Looks()


class CheckPage(_OwnLane, frozen=True, omit_defaults=True, tag="check-page"):
    """See whether somebody is left on the page of a room, for the phones that it has called."""

    room: str
    looks: Looks = Looks()


class PrepareParticipant(msgspec.Struct, frozen=True, tag="stock-room"):
    """Make a participant for a caller who has yet to come, and put it into the room's session."""

    room: str


class ReplacePrepared(msgspec.Struct, frozen=True, tag="replace-stock"):
    """Take one that is too old to be handed out down, and make another."""

    room: str
    participant_id: str


class SummonWaiter(msgspec.Struct, frozen=True, omit_defaults=True, tag="summon-waiter"):
    """Tell a call that waits outside that somebody has come."""

    room: str
    ref: str
    looks: Looks = Looks()


class TellAlone(msgspec.Struct, frozen=True, omit_defaults=True, tag="tell-alone"):
    """Tell a call that it is the only one left."""

    room: str
    seat: str
    then: AloneAction
    looks: Looks = Looks()


class TellRoomClosed(msgspec.Struct, frozen=True, omit_defaults=True, tag="evict"):
    """Tell a call that its room has been closed. A caller who waits outside has the seat of its last try."""

    room: str
    seat: str
    looks: Looks = Looks()


CallEffect = (
    HangUpPhone
    | HangUpLeg
    | RedirectPhone
    | LeaveRoom
    | MoveParticipant
    | Subscribe
    | RecordCallId
    | EndDialing
    | TellTimeUp
    | TellTimeNearlyUp
    | TellHoldTimeUp
    | CheckPage
    | CheckCall
)
"""Owed by a call: what `decide` asks for."""
RoomEffect = (
    AddParticipant
    | RemoveParticipant
    | DeleteParticipant
    | FreeSeat
    | DeleteSession
    | ReplaceSession
    | CheckRoom
    | CheckSession
    | CheckTakenFromPool
    | CheckPresence
    | CheckPage
    | PrepareParticipant
    | ReplacePrepared
    | SummonWaiter
    | TellAlone
    | TellRoomClosed
)
"""Owed by a room: what its scripts in the store write down when members come and go."""
AbandonableEffect = (
    HangUpPhone
    | HangUpLeg
    | RedirectPhone
    | EndDialing
    | RemoveParticipant
    | DeleteParticipant
    | DeleteSession
)
"""What is struck off when it is not known at Bandwidth what it is about, or nobody there can be asked.

`looks`: at answers that say nothing, in a row. Those of other effects: at what was not found, there or in the
store.
"""
Effect = CallEffect | RoomEffect

EFFECT_TAGS: Final = frozenset(str(one.__struct_config__.tag) for one in get_args(Effect))
"""What this release can carry out."""
SHOWN_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {"stock-room": "prepare-participant", "replace-stock": "replace-prepared"}
)
"""By the tag of an effect: its name in logs, metrics, the API and commands, where that is not the tag itself.

Tags stay as they are, since the store and replicas of other releases know effects by them.
"""


def effect_tag(effect: Effect) -> str:
    """The name in stored JSON, in ids of effects, and in the store's scripts."""
    return str(effect.__struct_config__.tag)


def effect_name(effect: Effect) -> str:
    """The name that is shown."""
    return shown_name(effect_tag(effect))


def shown_name(tag: str) -> str:
    """That of an effect with this tag, which may be one of another release."""
    return SHOWN_NAMES.get(tag, tag)


def shown_id(id_: str) -> str:
    """The id of an effect as it is shown: with its name in place of its tag."""
    tag, colon, about = id_.partition(":")
    return f"{shown_name(tag)}{colon}{about}"


class Scheduled(msgspec.Struct, frozen=True):
    """An effect and the time from which it may be done, in seconds since the epoch."""

    effect: CallEffect
    due: float
