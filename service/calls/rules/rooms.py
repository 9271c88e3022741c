"""Holds the rules for news from the room: a member has come, all have gone, it was moved, it was closed."""

from msgspec.structs import replace

from service.calls.decision import Decision
from service.calls.effects import LeaveRoom, Scheduled
from service.calls.events import LeftAlone, Moved, MoveFailed, RoomClosed, Summoned
from service.calls.model import Call, Intent, Media, Phone, seat_of
from service.calls.replies import NoReply
from service.calls.room_settings import AloneAction
from service.calls.rules.parts import abort_attempt, give_up_seats, hang_up, redirect_phone, switch_to


def summoned(call: Call, event: Summoned) -> Decision:
    """In, by the same way as when the phone arrived. Also a call that is just about to wait is told."""
    if call.room != event.room:
        return Decision(call, NoReply(), note="the call is meant for another room")
    if call.media is Media.JOINING:
        return Decision(replace(call, summoned_attempt=call.attempt), NoReply())
    if call.intent is not Intent.WAIT:
        return Decision(call, NoReply(), note="the call does not wait")
    return Decision(
        replace(call, intent=Intent.BRIDGE),
        NoReply(),
        # What it is known by outside may be newer than what was summoned.
        effects=(*give_up_seats(call, event.at), *redirect_phone(call, event.at)),
    )


def left_alone(call: Call, event: LeftAlone) -> Decision:
    if call.room != event.room or call.next_room:
        return Decision(call, NoReply(), note="the call has left the room")
    if event.then is AloneAction.WAIT:
        # As if it had just come: the room keeps it outside while nobody is there.
        return switch_to(call, replace(abort_attempt(call), waits_for_others=True), event.at)
    return switch_to(call, replace(abort_attempt(call), intent=Intent.HANGUP, failure="left-alone"), event.at)


def room_closed(call: Call, event: RoomClosed) -> Decision:
    """Told and hung up; what it has in the room is taken down by the room."""
    if event.room not in {call.room, call.next_room} or call.intent is Intent.HANGUP:
        return Decision(call, NoReply(), note="the call has left the room")
    # Of those without a way in some wait outside, and some would come back since theirs has broken.
    left = call.media is Media.NONE or (call.media is Media.LEAVING and call.intent is not Intent.BRIDGE)
    comes_back = call.intent is Intent.BRIDGE and call.leg_lost_at > 0
    if left and call.intent is not Intent.WAIT and not comes_back:
        return Decision(call, NoReply(), note="the call has left the room")
    over = replace(abort_attempt(call), intent=Intent.HANGUP, failure="room-closed")
    decision = switch_to(call, over, event.at)
    if call.phone is Phone.DIALING:
        return replace(decision, effects=(*decision.effects, *hang_up(call, event.at)))
    return decision


def moved(call: Call, event: Moved) -> Decision:
    if event.seat_no != call.last_seat_no or call.next_room != event.room:
        return _move_already_over(call, event)
    there = replace(
        call, room=event.room, seat_no=event.seat_no, next_room="", session_id=event.session_id, hears=None
    )
    return Decision(
        there,
        NoReply(),
        effects=(Scheduled(LeaveRoom(call.room, call.seat, keeps_participant=True), event.at),),
    )


def move_failed(call: Call, event: MoveFailed) -> Decision:
    if event.seat_no != call.last_seat_no or call.next_room != event.room:
        return _move_already_over(call, event)
    # The seat there never had the participant, or has it no more.
    return Decision(
        replace(call, next_room=""),
        NoReply(),
        effects=(Scheduled(LeaveRoom(event.room, call.next_seat, keeps_participant=True), event.at),),
    )


def _move_already_over(call: Call, event: Moved | MoveFailed) -> Decision:
    """Of a move that is over: told again. The participant lives on, in this room or in another."""
    if event.seat_no == call.seat_no:
        # In the same room, which may have got another session.
        there = replace(call, session_id=event.session_id) if isinstance(event, Moved) else call
        return Decision(there, NoReply(), note="the call is there already")
    leave = LeaveRoom(event.room, seat_of(call.ref, event.attempt, event.seat_no), keeps_participant=True)
    return Decision(
        call, NoReply(), effects=(Scheduled(leave, event.at),), note="the call is elsewhere by now"
    )


def outdated(call: Call, event: Moved | MoveFailed) -> Decision:
    """Of a participant that has been given up meanwhile: it must not stay in the other room either."""
    return Decision(call, NoReply(), effects=(_leave(call, event),), note="stale attempt")


def _leave(call: Call, event: Moved | MoveFailed) -> Scheduled:
    return Scheduled(LeaveRoom(event.room, seat_of(call.ref, event.attempt, event.seat_no)), event.at)
