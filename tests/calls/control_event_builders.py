"""More of what a playbook is made of: outbound calls, orders, rooms, moves, and calls of ours into WebRTC."""

from service.calls.events import (
    Dial,
    DialingTimedOut,
    FoundEmpty,
    HoldTimeUp,
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
    RoomClosed,
    Summoned,
    TimeNearlyUp,
    TimeUp,
)
from service.calls.model import OnMachine
from service.calls.room_settings import AloneAction, InterconnectMode, WaitingSettings
from tests.calls.event_builders import (
    CALL_ID,
    CALLER,
    LEASE,
    OTHER_ROOM,
    OUR_NUMBER,
    REF,
    ROOM,
    TRANSFER_NUMBER,
    EventBuilder,
    leg_id_of,
)

DIALING_SECONDS: float = 390.0
"""Seconds until it has to be known what became of an outbound call."""
WAITING_SETTINGS = WaitingSettings(limit=60.0)

# An outbound call -------------------------------------------------------------------------------------------


def dial(
    *,
    is_early_join: bool = False,
    max_duration: float = 0,
    page_gone_after: float = 0,
    on_machine: OnMachine = OnMachine.JOIN,
    machine_message: str = "",
    announcement: str = "",
    interconnect: InterconnectMode | None = None,
    fallback_number: str = "",
) -> EventBuilder:
    return lambda at: Dial(
        at=at,
        ref=REF,
        room=ROOM,
        from_number=OUR_NUMBER,
        to_number=CALLER,
        dial_until=at + DIALING_SECONDS,
        early_join_until=at + LEASE if is_early_join else 0,
        interconnect=interconnect,
        announcement=announcement,
        fallback_number=fallback_number,
        tag="order-1",
        placed_by="crm",
        max_duration=max_duration,
        page_gone_after=page_gone_after,
        on_machine=on_machine,
        machine_message=machine_message,
    )


def placed() -> EventBuilder:
    return lambda at: Placed(at, CALL_ID)


def not_placed(reason: str = "request-refused") -> EventBuilder:
    return lambda at: NotPlaced(at, reason)


def dialing_timed_out() -> EventBuilder:
    return DialingTimedOut


def machine_detected(value: str = "answering-machine") -> EventBuilder:
    return lambda at: MachineDetected(at, value)


def time_up() -> EventBuilder:
    return TimeUp


def time_nearly_up() -> EventBuilder:
    return TimeNearlyUp


def hold_time_up(attempt: int = 2, *, is_warning: bool = True) -> EventBuilder:
    return lambda at: HoldTimeUp(at, attempt, is_warning)


# Orders -----------------------------------------------------------------------------------------------------


def order_hold(limit: float = 0) -> EventBuilder:
    return lambda at: OrderHold(at, limit)


def order_join(room: str = OTHER_ROOM, *, interconnect: InterconnectMode | None = None) -> EventBuilder:
    return lambda at: OrderJoin(at, room, interconnect)


def order_transfer(number: str = TRANSFER_NUMBER) -> EventBuilder:
    return lambda at: OrderTransfer(at, number)


def order_hangup() -> EventBuilder:
    return OrderHangup


def order_subscriptions(*hears: str) -> EventBuilder:
    return lambda at: OrderSubscriptions(at, hears or None)


# Rooms ------------------------------------------------------------------------------------------------------


def found_empty(
    attempt: int = 1, *, room: str = ROOM, waiting: WaitingSettings = WAITING_SETTINGS
) -> EventBuilder:
    return lambda at: FoundEmpty(at=at, attempt=attempt, room=room, waiting=waiting)


def summoned(room: str = ROOM) -> EventBuilder:
    return lambda at: Summoned(at, room)


def left_alone(attempt: int = 1, *, room: str = ROOM, then: AloneAction = AloneAction.HANGUP) -> EventBuilder:
    return lambda at: LeftAlone(at=at, attempt=attempt, room=room, then=then)


def page_gone(room: str = ROOM) -> EventBuilder:
    return lambda at: PageGone(at, room)


def room_closed(attempt: int = 1, *, room: str = ROOM) -> EventBuilder:
    return lambda at: RoomClosed(at=at, attempt=attempt, room=room)


def moved(attempt: int = 1, seat_no: int = 1, *, room: str = OTHER_ROOM, session: str = "") -> EventBuilder:
    return lambda at: Moved(
        at=at, attempt=attempt, seat_no=seat_no, room=room, session_id=session or f"session-of-{room}"
    )


def move_failed(attempt: int = 1, seat_no: int = 1, *, room: str = OTHER_ROOM) -> EventBuilder:
    return lambda at: MoveFailed(at=at, attempt=attempt, seat_no=seat_no, room=room, reason="room-full")


# Our own call into WebRTC -----------------------------------------------------------------------------------


def leg_answer(attempt: int = 1) -> EventBuilder:
    return lambda at: LegAnswer(at, attempt, leg_id_of(attempt))


def leg_bridge_complete(attempt: int = 1, cause: str = "") -> EventBuilder:
    return lambda at: LegBridgeComplete(at, attempt, cause)


def leg_disconnect(attempt: int = 1, cause: str = "hangup") -> EventBuilder:
    return lambda at: LegDisconnect(at, attempt, cause, leg_id=leg_id_of(attempt))
