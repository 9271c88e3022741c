"""Effects that a story expects, with the time from its latest event until they are due."""

from typing import NamedTuple

from service.calls.effects import (
    CallEffect,
    CheckPage,
    EndDialing,
    HangUp,
    HangUpLeg,
    LeaveRoom,
    MoveParticipant,
    NameCall,
    RedirectPhone,
    Subscribe,
    TellHoldUp,
    TellTimeShort,
    TellTimeUp,
)
from service.calls.model import seat_of
from service.calls.rules.parts import LEG_ASKS
from tests.calls.event_builders import CALL_ID, OTHER_ROOM, REF, ROOM, leg_of

AT_THE_END = (
    "hang-up",
    "redirect-phone",
    "move-participant",
    "subscribe",
    "end-dialing",
    "tell-time-up",
    "tell-time-short",
    "tell-hold-up",
    "check-page",
)
"""What is called off when a phone has gone."""


class Due(NamedTuple):
    """An effect that is expected, due so many seconds after the event."""

    effect: CallEffect
    after: float


def hang_up(*, after: float = 0) -> Due:
    return Due(HangUp(CALL_ID), after)


def leave(attempt: int = 1, *, after: float = 0, room: str = ROOM, place: int = 0, keep: bool = False) -> Due:
    return Due(LeaveRoom(room, seat_of(REF, attempt, place), keep), after)


def redirect_phone(attempt: int = 1, *, after: float = 0) -> Due:
    return Due(RedirectPhone(CALL_ID, REF, attempt), after)


def hang_up_leg(attempt: int = 1, *, after: float = LEG_ASKS) -> Due:
    return Due(HangUpLeg(leg_of(attempt)), after)


def name_call() -> Due:
    return Due(NameCall(CALL_ID, REF), 0)


def end_dialing(*, after: float) -> Due:
    return Due(EndDialing(REF), after)


def tell_time_up(*, after: float) -> Due:
    return Due(TellTimeUp(REF), after)


def tell_time_short(*, after: float) -> Due:
    return Due(TellTimeShort(REF), after)


def tell_hold_up(attempt: int = 2, *, soon: bool = True, after: float) -> Due:
    return Due(TellHoldUp(REF, attempt, soon), after)


def check_page(*, after: float, room: str = ROOM) -> Due:
    return Due(CheckPage(room), after)


def subscribe(*hears: str, room: str = ROOM) -> Due:
    return Due(Subscribe(room, "participant-1", hears or None), 0)


def move(
    place: int = 1,
    *,
    room: str = ROOM,
    place_now: int = 0,
    next_room: str = OTHER_ROOM,
    hears: tuple[str, ...] | None = None,
) -> Due:
    effect = MoveParticipant(
        ref=REF,
        attempt=1,
        place=place,
        participant_id="participant-1",
        room=room,
        seat=seat_of(REF, 1, place_now),
        next_room=next_room,
        next_seat=seat_of(REF, 1, place),
        hears=hears,
    )
    return Due(effect, 0)
