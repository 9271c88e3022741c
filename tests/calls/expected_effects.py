"""Effects that a story expects, with the time from its latest event until they are due."""

from typing import NamedTuple

from service.calls.effects import (
    CallEffect,
    CheckPage,
    EndDialing,
    HangUpLeg,
    HangUpPhone,
    LeaveRoom,
    MoveParticipant,
    RecordCallId,
    RedirectPhone,
    Subscribe,
    TellHoldTimeUp,
    TellTimeNearlyUp,
    TellTimeUp,
)
from service.calls.model import seat_of
from service.calls.rules.parts import LEG_REQUEST_GRACE
from tests.calls.event_builders import CALL_ID, OTHER_ROOM, REF, ROOM, leg_id_of

CANCELLED_AT_END = (
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


class ExpectedEffect(NamedTuple):
    """An effect that is expected, due so many seconds after the event."""

    effect: CallEffect
    after: float


def hang_up_phone(*, after: float = 0) -> ExpectedEffect:
    return ExpectedEffect(HangUpPhone(CALL_ID), after)


def leave_room(
    attempt: int = 1, *, after: float = 0, room: str = ROOM, seat_no: int = 0, keeps_participant: bool = False
) -> ExpectedEffect:
    return ExpectedEffect(LeaveRoom(room, seat_of(REF, attempt, seat_no), keeps_participant), after)


def redirect_phone(attempt: int = 1, *, after: float = 0) -> ExpectedEffect:
    return ExpectedEffect(RedirectPhone(CALL_ID, REF, attempt), after)


def hang_up_leg(attempt: int = 1, *, after: float = LEG_REQUEST_GRACE) -> ExpectedEffect:
    return ExpectedEffect(HangUpLeg(leg_id_of(attempt)), after)


def record_call_id() -> ExpectedEffect:
    return ExpectedEffect(RecordCallId(CALL_ID, REF), 0)


def end_dialing(*, after: float) -> ExpectedEffect:
    return ExpectedEffect(EndDialing(REF), after)


def tell_time_up(*, after: float) -> ExpectedEffect:
    return ExpectedEffect(TellTimeUp(REF), after)


def tell_time_nearly_up(*, after: float) -> ExpectedEffect:
    return ExpectedEffect(TellTimeNearlyUp(REF), after)


def tell_hold_time_up(attempt: int = 2, *, is_warning: bool = True, after: float) -> ExpectedEffect:
    return ExpectedEffect(TellHoldTimeUp(REF, attempt, is_warning), after)


def check_page(*, after: float, room: str = ROOM) -> ExpectedEffect:
    return ExpectedEffect(CheckPage(room), after)


def subscribe(*hears: str, room: str = ROOM) -> ExpectedEffect:
    return ExpectedEffect(Subscribe(room, "participant-1", hears or None), 0)


def move_participant(
    seat_no: int = 1,
    *,
    room: str = ROOM,
    current_seat_no: int = 0,
    next_room: str = OTHER_ROOM,
    hears: tuple[str, ...] | None = None,
) -> ExpectedEffect:
    effect = MoveParticipant(
        ref=REF,
        attempt=1,
        seat_no=seat_no,
        participant_id="participant-1",
        room=room,
        seat=seat_of(REF, 1, current_seat_no),
        next_room=next_room,
        next_seat=seat_of(REF, 1, seat_no),
        hears=hears,
    )
    return ExpectedEffect(effect, 0)
