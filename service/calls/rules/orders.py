"""What operators tell a call that exists. An order changes what is wanted; the phone is asked to ask us."""

from typing import Final

from msgspec.structs import replace

from service.calls.decision import Decision
from service.calls.effects import MoveParticipant, Owed, Subscribe
from service.calls.events import OrderHangup, OrderHold, OrderJoin, OrderSubscriptions, OrderTransfer
from service.calls.model import Call, Direction, Intent, Media, Phone
from service.calls.replies import Nothing
from service.calls.rules.parts import break_off, give_up_leg, give_up_seats, hang_up, hold_limit, turn

OWN_NUMBER: Final = "the number is the one that the call is on"


def refused(call: Call, reason: str) -> Decision:
    return Decision(call, Nothing(), refused=reason)


def _refused_on_the_way(call: Call) -> Decision:
    return refused(call, f"the call is being moved to room {call.next_room}; try again when it is there")


def order_hold(call: Call, event: OrderHold) -> Decision:
    if call.media is not Media.BRIDGED:
        return refused(call, f"the call is not bridged: it is {call.status}")
    held = replace(break_off(call), intent=Intent.HOLD)
    decision = turn(call, held, event.at)
    return replace(decision, owed=(*decision.owed, *hold_limit(held, event.at, event.limit)))


def order_join(call: Call, event: OrderJoin) -> Decision:
    if call.intent is Intent.HANGUP:
        return refused(call, "the call is being hung up")
    if call.next_room:
        return _refused_on_the_way(call)
    there = call.room == event.room and call.media not in {Media.NONE, Media.LEAVING}
    if there and call.intent is Intent.BRIDGE:
        return Decision(call, Nothing())
    if call.media is Media.BRIDGED:
        return _move(call, event)
    after = replace(
        break_off(call),
        intent=Intent.BRIDGE,
        room=event.room,
        way=event.way or call.way,
        # Whoever gives the order knows whether anybody is there.
        waits=False,
        failure="",
        # Of the way in that is given up.
        put_off=0,
    )
    return turn(call, after, event.at)


def _move(call: Call, event: OrderJoin) -> Decision:
    """Out of one session and into another, with both legs up."""
    moving = replace(call, places=call.places + 1, next_room=event.room)
    move = MoveParticipant(
        ref=call.ref,
        attempt=call.attempt,
        place=moving.places,
        participant_id=call.participant_id,
        room=call.room,
        seat=call.seat,
        next_room=event.room,
        next_seat=moving.next_seat,
        hears=call.hears,
    )
    return Decision(moving, Nothing(), owed=(Owed(move, event.at),))


def order_transfer(call: Call, event: OrderTransfer) -> Decision:
    if call.intent is Intent.HANGUP:
        return refused(call, "the call is being hung up")
    if call.phone is Phone.DIALING:
        return refused(call, "the phone has not answered")
    if event.number == (call.to_number if call.direction is Direction.INBOUND else call.from_number):
        return refused(call, OWN_NUMBER)
    # Of no use once somebody has said where the caller is to go.
    after = replace(break_off(call), intent=Intent.ELSEWHERE, elsewhere=event.number, fallback="")
    return turn(call, after, event.at)


def order_hangup(call: Call, event: OrderHangup) -> Decision:
    """At once and without a word; where Bandwidth's id is not known yet, as soon as it is."""
    # Its outcome heeds that it has talked to another number.
    over = replace(break_off(call), intent=Intent.HANGUP, elsewhere=call.elsewhere)
    after = call if call.intent is Intent.HANGUP else over
    due = max(call.lease_until, event.at) if call.media is Media.MAKING else event.at
    return Decision(
        after,
        Nothing(),
        owed=(
            *(() if after is call else (*give_up_seats(call, due), *give_up_leg(call, event.at))),
            *hang_up(call, event.at),
        ),
        cancelled=("redirect-phone",),
        drops_token=True,
    )


def order_subscriptions(call: Call, event: OrderSubscriptions) -> Decision:
    if call.media is not Media.BRIDGED:
        return refused(call, f"the call is not bridged: it is {call.status}")
    if call.next_room:
        return _refused_on_the_way(call)
    after = replace(call, hears=event.hears)
    effect = Subscribe(call.room, call.participant_id, event.hears)
    return Decision(after, Nothing(), owed=(Owed(effect, event.at),))
