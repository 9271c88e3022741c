"""What rooms tell their calls: somebody has come, everybody has gone, it has been moved, or is closed."""

from msgspec.structs import replace

from service.calls.decision import Decision
from service.calls.effects import LeaveRoom, Owed
from service.calls.events import Evicted, LeftAlone, Moved, MoveFailed, Summoned
from service.calls.model import Call, Intent, Media, Phone, seat_of
from service.calls.replies import Nothing
from service.calls.room_settings import Then
from service.calls.rules.parts import ask_phone, break_off, give_up_seats, hang_up, turn


def summoned(call: Call, event: Summoned) -> Decision:
    """In, by the same way as when the phone arrived. Also a call that is just about to wait is told."""
    if call.room != event.room:
        return Decision(call, Nothing(), note="the call is meant for another room")
    if call.media is Media.MAKING:
        return Decision(replace(call, summoned=call.attempt), Nothing())
    if call.intent is not Intent.WAIT:
        return Decision(call, Nothing(), note="the call does not wait")
    return Decision(
        replace(call, intent=Intent.BRIDGE),
        Nothing(),
        # What it is known by outside may be newer than what was summoned.
        owed=(*give_up_seats(call, event.at), *ask_phone(call, event.at)),
    )


def left_alone(call: Call, event: LeftAlone) -> Decision:
    if call.room != event.room or call.next_room:
        return Decision(call, Nothing(), note="the call has left the room")
    if event.then is Then.WAIT:
        # As if it had just come: the room keeps it outside while nobody is there.
        return turn(call, replace(break_off(call), waits=True), event.at)
    return turn(call, replace(break_off(call), intent=Intent.HANGUP, failure="left-alone"), event.at)


def evicted(call: Call, event: Evicted) -> Decision:
    """Told and hung up; what it has in the room is taken down by the room."""
    if event.room not in {call.room, call.next_room} or call.intent is Intent.HANGUP:
        return Decision(call, Nothing(), note="the call has left the room")
    # Of those without a way in some wait outside, and some would come back since theirs has broken.
    left = call.media is Media.NONE or (call.media is Media.LEAVING and call.intent is not Intent.BRIDGE)
    comes_back = call.intent is Intent.BRIDGE and call.broken_at > 0
    if left and call.intent is not Intent.WAIT and not comes_back:
        return Decision(call, Nothing(), note="the call has left the room")
    over = replace(break_off(call), intent=Intent.HANGUP, failure="room-closed")
    decision = turn(call, over, event.at)
    if call.phone is Phone.DIALING:
        return replace(decision, owed=(*decision.owed, *hang_up(call, event.at)))
    return decision


def moved(call: Call, event: Moved) -> Decision:
    if event.place != call.places or call.next_room != event.room:
        return _passed(call, event)
    there = replace(
        call, room=event.room, place=event.place, next_room="", session_id=event.session_id, hears=None
    )
    return Decision(there, Nothing(), owed=(Owed(LeaveRoom(call.room, call.seat, keep=True), event.at),))


def move_failed(call: Call, event: MoveFailed) -> Decision:
    if event.place != call.places or call.next_room != event.room:
        return _passed(call, event)
    # The seat there never had the participant, or has it no more.
    return Decision(
        replace(call, next_room=""),
        Nothing(),
        owed=(Owed(LeaveRoom(event.room, call.next_seat, keep=True), event.at),),
    )


def _passed(call: Call, event: Moved | MoveFailed) -> Decision:
    """Of a move that is over: told again. The participant lives on, in this room or in another."""
    if event.place == call.place:
        # In the same room, which may have got another session.
        there = replace(call, session_id=event.session_id) if isinstance(event, Moved) else call
        return Decision(there, Nothing(), note="the call is there already")
    leave = LeaveRoom(event.room, seat_of(call.ref, event.attempt, event.place), keep=True)
    return Decision(call, Nothing(), owed=(Owed(leave, event.at),), note="the call is elsewhere by now")


def outdated(call: Call, event: Moved | MoveFailed) -> Decision:
    """Of a participant that has been given up meanwhile: it must not stay in the other room either."""
    return Decision(call, Nothing(), owed=(_leave(call, event),), note="stale attempt")


def _leave(call: Call, event: Moved | MoveFailed) -> Owed:
    return Owed(LeaveRoom(event.room, seat_of(call.ref, event.attempt, event.place)), event.at)
