"""More of what a playbook is made of: outbound calls, orders, rooms, moves, and calls of ours into WebRTC."""

from service.calls.events import (
    Dial,
    DialingOver,
    Evicted,
    FoundEmpty,
    HoldUp,
    LeftAlone,
    LegAnswer,
    LegBridgeComplete,
    LegDisconnect,
    MachineDetected,
    Moved,
    MoveFailed,
    NotPlaced,
    OrderHangup,
    OrderHold,
    OrderJoin,
    OrderSubscriptions,
    OrderTransfer,
    PageGone,
    Placed,
    Summoned,
    TimeShort,
    TimeUp,
)
from service.calls.model import OnMachine
from service.calls.room_settings import Then, Waiting, Way
from tests.calls.event_builders import CALL_ID, CALLER, ELSEWHERE, LEASE, OTHER_ROOM, OURS, REF, ROOM, Cue, leg_of

DIALING: float = 390.0
"""Seconds until it has to be known what became of an outbound call."""
WAITING = Waiting(limit=60.0)

# An outbound call -------------------------------------------------------------------------------------------


def dial(
    *,
    prepare: bool = False,
    max_duration: float = 0,
    page_alone: float = 0,
    on_machine: OnMachine = OnMachine.JOIN,
    message: str = "",
    announcement: str = "",
    way: Way | None = None,
    fallback: str = "",
) -> Cue:
    return lambda at: Dial(
        at=at,
        ref=REF,
        room=ROOM,
        from_number=OURS,
        to_number=CALLER,
        dial_until=at + DIALING,
        prepare_until=at + LEASE if prepare else 0,
        way=way,
        announcement=announcement,
        fallback=fallback,
        tag="order-1",
        placed_by="crm",
        max_duration=max_duration,
        page_alone=page_alone,
        on_machine=on_machine,
        message=message,
    )


def placed() -> Cue:
    return lambda at: Placed(at, CALL_ID)


def not_placed(reason: str = "request-refused") -> Cue:
    return lambda at: NotPlaced(at, reason)


def dialing_over() -> Cue:
    return DialingOver


def machine(value: str = "answering-machine") -> Cue:
    return lambda at: MachineDetected(at, value)


def time_up() -> Cue:
    return TimeUp


def time_short() -> Cue:
    return TimeShort


def hold_up(attempt: int = 2, *, soon: bool = True) -> Cue:
    return lambda at: HoldUp(at, attempt, soon)


# Orders -----------------------------------------------------------------------------------------------------


def order_hold(limit: float = 0) -> Cue:
    return lambda at: OrderHold(at, limit)


def order_join(room: str = OTHER_ROOM, *, way: Way | None = None) -> Cue:
    return lambda at: OrderJoin(at, room, way)


def order_transfer(number: str = ELSEWHERE) -> Cue:
    return lambda at: OrderTransfer(at, number)


def order_hangup() -> Cue:
    return OrderHangup


def order_subscriptions(*hears: str) -> Cue:
    return lambda at: OrderSubscriptions(at, hears or None)


# Rooms ------------------------------------------------------------------------------------------------------


def found_empty(attempt: int = 1, *, room: str = ROOM, waiting: Waiting = WAITING) -> Cue:
    return lambda at: FoundEmpty(at=at, attempt=attempt, room=room, waiting=waiting)


def summoned(room: str = ROOM) -> Cue:
    return lambda at: Summoned(at, room)


def left_alone(attempt: int = 1, *, room: str = ROOM, then: Then = Then.HANGUP) -> Cue:
    return lambda at: LeftAlone(at=at, attempt=attempt, room=room, then=then)


def page_gone(room: str = ROOM) -> Cue:
    return lambda at: PageGone(at, room)


def evicted(attempt: int = 1, *, room: str = ROOM) -> Cue:
    return lambda at: Evicted(at=at, attempt=attempt, room=room)


def moved(attempt: int = 1, place: int = 1, *, room: str = OTHER_ROOM, session: str = "") -> Cue:
    return lambda at: Moved(
        at=at, attempt=attempt, place=place, room=room, session_id=session or f"session-of-{room}"
    )


def move_failed(attempt: int = 1, place: int = 1, *, room: str = OTHER_ROOM) -> Cue:
    return lambda at: MoveFailed(at=at, attempt=attempt, place=place, room=room, reason="room-full")


# Our own call into WebRTC -----------------------------------------------------------------------------------


def leg_answer(attempt: int = 1) -> Cue:
    return lambda at: LegAnswer(at, attempt, leg_of(attempt))


def leg_bridge_complete(attempt: int = 1, cause: str = "") -> Cue:
    return lambda at: LegBridgeComplete(at, attempt, cause)


def leg_disconnect(attempt: int = 1, cause: str = "hangup") -> Cue:
    return lambda at: LegDisconnect(at, attempt, cause, leg_id=leg_of(attempt))
