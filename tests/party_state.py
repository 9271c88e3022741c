"""What may be true of one phone or browser, what an order makes of it, and whether that is to be seen."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

PLEASE_HOLD = "Please hold."
"""What somebody on hold is told, and nobody else."""
Hears = tuple[str, ...] | None
"""Participants that somebody is subscribed to; None: to everyone in the room."""


class Location(StrEnum):
    RINGING = "ringing"
    OUTSIDE = "outside"  # asked for digits, in no room yet
    ROOM = "room"
    HELD = "held"
    TRANSFERRED = "away"  # with another number
    OVER = "over"


class PartyState(msgspec.Struct, frozen=True):
    """What may be true of one phone or browser."""

    location: Location
    room: str = ""
    """The room that it is in, or that it comes into when it is picked up."""
    hears: Hears = None
    waits_for_others: bool = False
    """Whether it stays outside of the room while nobody else is there."""

    def __str__(self) -> str:
        return " ".join(filter(None, [self.location, self.room]))


OVER = PartyState(Location.OVER)


class JoinOrder(msgspec.Struct, frozen=True):
    room: str


class HoldOrder(msgspec.Struct, frozen=True):
    pass


class TransferOrder(msgspec.Struct, frozen=True):
    pass


class HangUpOrder(msgspec.Struct, frozen=True):
    """By an operator, or a browser that is sent out."""


class CloseOrder(msgspec.Struct, frozen=True):
    room: str


class SubscribeOrder(msgspec.Struct, frozen=True):
    hears: Hears


class PinEntered(msgspec.Struct, frozen=True):
    """The PIN of a room was entered."""

    room: str


Order = JoinOrder | HoldOrder | TransferOrder | HangUpOrder | CloseOrder | SubscribeOrder | PinEntered


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to see of a phone or a browser."""

    stage: str
    """Of the phone, as `Phone.stage`; a browser is bridged while it has a participant."""
    participant: str | None = None
    session: str | None = None
    rooms: frozenset[str] = frozenset()
    """Those whose session it may be: one of them it is. Empty where nobody knows."""
    on_hold: bool = False
    """Whether it has been told to hold, and nothing has come of it since."""


def is_in(state: PartyState, room: str) -> bool:
    return state.location is Location.ROOM and state.room == room


def hears(state: PartyState, participant: str) -> bool:
    return state.hears is None or participant in state.hears


def picked_up(state: PartyState) -> PartyState:
    return PartyState(Location.ROOM, state.room) if state.location is Location.RINGING else state


def state_after(state: PartyState, order: Order, *, kept: bool | None) -> Iterable[PartyState]:
    """More than one thing where nobody knows which."""
    if state.location is Location.OVER:
        return [state]
    match order:
        case JoinOrder(room):
            return _states_after_join(state, room)
        case HoldOrder():
            return [PartyState(Location.HELD)]
        case TransferOrder():
            return [PartyState(Location.TRANSFERRED)]
        case HangUpOrder():
            return [OVER]
        case PinEntered(room):
            return [PartyState(Location.ROOM, room)]
        case SubscribeOrder(hears):
            return [msgspec.structs.replace(state, hears=hears)]
        case CloseOrder(room):
            return _state_after_close(state, room, kept)


def _states_after_join(state: PartyState, room: str) -> Iterable[PartyState]:
    if state.location is Location.RINGING:
        return [PartyState(Location.RINGING, room)]
    anew = PartyState(Location.ROOM, room)
    if not is_in(state, room):
        return [anew]
    # To be sent where it is changes nothing. Operators send nobody to wait: where it waits it goes in, and
    # where somebody was there it is in already.
    there = msgspec.structs.replace(state, waits_for_others=False)
    return [there, anew] if state.waits_for_others else [there]


def _state_after_close(state: PartyState, room: str, kept: bool | None) -> Iterable[PartyState]:
    if state.location is Location.RINGING and state.room == room:
        return {True: [OVER], False: [state], None: [OVER, state]}[kept]
    return [OVER if is_in(state, room) else state]


def matches(state: PartyState, observation: Observation) -> bool:
    match state.location:
        case where if observation.on_hold and where is not Location.HELD:
            return False
        case Location.OVER:
            return observation.stage == "ended"
        case Location.RINGING:
            return observation.stage == "ringing"
        case Location.OUTSIDE:
            return observation.stage in {"ringing", "answered"} and observation.participant is None
        case Location.HELD:
            return observation.stage == "answered" and observation.participant is None
        case Location.TRANSFERRED:
            return observation.stage in {"transferring", "bridged"} and observation.participant is None
        case Location.ROOM if state.waits_for_others and observation.stage == "answered":
            return True
        case Location.ROOM:
            there = observation.stage == "bridged" and None not in {
                observation.participant,
                observation.session,
            }
            return there and (not observation.rooms or state.room in observation.rooms)
