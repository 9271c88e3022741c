"""Holds the rules for orders to a call. An order changes the intent, and owes a redirect of the phone."""

from typing import Final

from msgspec.structs import replace

from service.calls.decision import Decision
from service.calls.effects import MoveParticipant, Scheduled, Subscribe
from service.calls.events import OrderHangup, OrderHold, OrderJoin, OrderSubscriptions, OrderTransfer
from service.calls.model import Call, Direction, Intent, Media, Phone
from service.calls.replies import NoReply
from service.calls.rules.parts import (
    abort_attempt,
    give_up_leg,
    give_up_seats,
    hang_up,
    schedule_hold_limit,
    switch_to,
)

SAME_NUMBER_REFUSAL: Final = "the number is the one that the call is on"


def refuse(call: Call, reason: str) -> Decision:
    return Decision(call, NoReply(), refusal_reason=reason)


def _refuse_while_moving(call: Call) -> Decision:
    return refuse(call, f"the call is being moved to room {call.next_room}; try again when it is there")


def order_hold(call: Call, event: OrderHold) -> Decision:
    if call.media is not Media.BRIDGED:
        return refuse(call, f"the call is not bridged: it is {call.status}")
    held = replace(abort_attempt(call), intent=Intent.HOLD)
    decision = switch_to(call, held, event.at)
    return replace(decision, effects=(*decision.effects, *schedule_hold_limit(held, event.at, event.limit)))


def order_join(call: Call, event: OrderJoin) -> Decision:
    if call.intent is Intent.HANGUP:
        return refuse(call, "the call is being hung up")
    if call.next_room:
        return _refuse_while_moving(call)
    there = call.room == event.room and call.media not in {Media.NONE, Media.LEAVING}
    if there and call.intent is Intent.BRIDGE:
        return Decision(call, NoReply())
    if call.media is Media.BRIDGED:
        return _move(call, event)
    after = replace(
        abort_attempt(call),
        intent=Intent.BRIDGE,
        room=event.room,
        interconnect=event.interconnect or call.interconnect,
        # Whoever gives the order knows whether anybody is there.
        waits_for_others=False,
        failure="",
        # Of the way in that is given up.
        join_retries=0,
    )
    return switch_to(call, after, event.at)


def _move(call: Call, event: OrderJoin) -> Decision:
    """Out of one session and into another, with both legs up."""
    moving = replace(call, last_seat_no=call.last_seat_no + 1, next_room=event.room)
    move = MoveParticipant(
        ref=call.ref,
        attempt=call.attempt,
        seat_no=moving.last_seat_no,
        participant_id=call.participant_id,
        room=call.room,
        seat=call.seat,
        next_room=event.room,
        next_seat=moving.next_seat,
        hears=call.hears,
    )
    return Decision(moving, NoReply(), effects=(Scheduled(move, event.at),))


def order_transfer(call: Call, event: OrderTransfer) -> Decision:
    if call.intent is Intent.HANGUP:
        return refuse(call, "the call is being hung up")
    if call.phone is Phone.DIALING:
        return refuse(call, "the phone has not answered")
    if event.number == (call.to_number if call.direction is Direction.INBOUND else call.from_number):
        return refuse(call, SAME_NUMBER_REFUSAL)
    # Of no use once somebody has said where the caller is to go.
    after = replace(abort_attempt(call), intent=Intent.TRANSFER, transfer_to=event.number, fallback_number="")
    return switch_to(call, after, event.at)


def order_hangup(call: Call, event: OrderHangup) -> Decision:
    """At once and without a word; where Bandwidth's id is not known yet, as soon as it is."""
    # Its outcome heeds that it has talked to another number.
    over = replace(abort_attempt(call), intent=Intent.HANGUP, transfer_to=call.transfer_to)
    after = call if call.intent is Intent.HANGUP else over
    due = max(call.lease_until, event.at) if call.media is Media.JOINING else event.at
    return Decision(
        after,
        NoReply(),
        effects=(
            *(() if after is call else (*give_up_seats(call, due), *give_up_leg(call, event.at))),
            *hang_up(call, event.at),
        ),
        cancels=("redirect-phone",),
        drops_token=True,
    )


def order_subscriptions(call: Call, event: OrderSubscriptions) -> Decision:
    if call.media is not Media.BRIDGED:
        return refuse(call, f"the call is not bridged: it is {call.status}")
    if call.next_room:
        return _refuse_while_moving(call)
    after = replace(call, hears=event.hears)
    effect = Subscribe(call.room, call.participant_id, event.hears)
    return Decision(after, NoReply(), effects=(Scheduled(effect, event.at),))
