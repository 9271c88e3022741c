"""What may be true of one phone or browser, what an order makes of it, and whether that is to be seen."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

PLEASE_HOLD = "Please hold."
"""What somebody on hold is told, and nobody else."""
Hears = tuple[str, ...] | None
"""Participants that somebody is subscribed to; None: to everyone in the room."""


class Where(StrEnum):
    RINGING = "ringing"
    OUTSIDE = "outside"  # asked for digits, in no room yet
    ROOM = "room"
    HELD = "held"
    AWAY = "away"  # with another number
    OVER = "over"


class Standing(msgspec.Struct, frozen=True):
    """What may be true of one phone or browser."""

    where: Where
    room: str = ""
    """The room that it is in, or that it comes into when it is picked up."""
    hears: Hears = None
    waits: bool = False
    """Whether it stays outside of the room while nobody else is there."""

    def __str__(self) -> str:
        return " ".join(filter(None, [self.where, self.room]))


OVER = Standing(Where.OVER)


class Join(msgspec.Struct, frozen=True):
    room: str


class Hold(msgspec.Struct, frozen=True):
    pass


class Transfer(msgspec.Struct, frozen=True):
    pass


class HangUp(msgspec.Struct, frozen=True):
    """By an operator, or a browser that is sent out."""


class Close(msgspec.Struct, frozen=True):
    room: str


class Subscribe(msgspec.Struct, frozen=True):
    hears: Hears


class Digits(msgspec.Struct, frozen=True):
    """The PIN of a room was entered."""

    room: str


Order = Join | Hold | Transfer | HangUp | Close | Subscribe | Digits


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to see of a phone or a browser."""

    stage: str
    """Of the phone, as `Phone.stage`; a browser is bridged while it has a participant."""
    participant: str | None = None
    session: str | None = None
    rooms: frozenset[str] = frozenset()
    """Those whose session it may be: one of them it is. Empty where nobody knows."""
    on_hold: bool = False
    """Whether it has been told to hold, and nothing has come of it since."""


def is_in(standing: Standing, room: str) -> bool:
    return standing.where is Where.ROOM and standing.room == room


def hears(standing: Standing, participant: str) -> bool:
    return standing.hears is None or participant in standing.hears


def picked_up(standing: Standing) -> Standing:
    return Standing(Where.ROOM, standing.room) if standing.where is Where.RINGING else standing


def after(standing: Standing, order: Order, *, kept: bool | None) -> Iterable[Standing]:
    """More than one thing where nobody knows which."""
    if standing.where is Where.OVER:
        return [standing]
    match order:
        case Join(room):
            return [_after_joining(standing, room)]
        case Hold():
            return [Standing(Where.HELD)]
        case Transfer():
            return [Standing(Where.AWAY)]
        case HangUp():
            return [OVER]
        case Digits(room):
            return [Standing(Where.ROOM, room)]
        case Subscribe(hears):
            return [msgspec.structs.replace(standing, hears=hears)]
        case Close(room):
            return _after_closing(standing, room, kept)


def _after_joining(standing: Standing, room: str) -> Standing:
    if standing.where is Where.RINGING:
        return Standing(Where.RINGING, room)
    # To be sent where it is changes nothing; operators send nobody to wait.
    return standing if is_in(standing, room) and not standing.waits else Standing(Where.ROOM, room)


def _after_closing(standing: Standing, room: str, kept: bool | None) -> Iterable[Standing]:
    if standing.where is Where.RINGING and standing.room == room:
        return {True: [OVER], False: [standing], None: [OVER, standing]}[kept]
    return [OVER if is_in(standing, room) else standing]


def fits(standing: Standing, seen: Seen) -> bool:
    match standing.where:
        case where if seen.on_hold and where is not Where.HELD:
            return False
        case Where.OVER:
            return seen.stage == "ended"
        case Where.RINGING:
            return seen.stage == "ringing"
        case Where.OUTSIDE:
            return seen.stage in {"ringing", "answered"} and seen.participant is None
        case Where.HELD:
            return seen.stage == "answered" and seen.participant is None
        case Where.AWAY:
            return seen.stage in {"transferring", "bridged"} and seen.participant is None
        case Where.ROOM if standing.waits and seen.stage == "answered":
            return True
        case Where.ROOM:
            there = seen.stage == "bridged" and None not in {seen.participant, seen.session}
            return there and (not seen.rooms or standing.room in seen.rooms)
