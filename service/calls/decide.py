"""The state machine: one plain function that says what a call does next.

The table says which rule answers which event in which state of the call's media; a pair that is not in it is
ignored with a reason. Rules live in `service.calls.rules`, and every rule about what a call may do is there.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec.structs import replace

from service.calls import events
from service.calls.decision import Decision, ignore
from service.calls.events import Event, event_name
from service.calls.looks import CallChecked
from service.calls.model import Call, Media
from service.calls.rules import arriving, ending, joining, legs, limits, machines, orders, rooms
from service.calls.rules.learning import record_facts

Rule = Callable[[Call, Any], Decision]

NONE, JOINING, READY = Media.NONE, Media.JOINING, Media.READY
TRANSFERRING, BRIDGED, LEAVING = Media.TRANSFERRING, Media.BRIDGED, Media.LEAVING


def _in(rule: Rule, *states: Media) -> Mapping[Media, Rule]:
    return dict.fromkeys(states, rule)


def _always(rule: Rule) -> Mapping[Media, Rule]:
    return dict.fromkeys(Media, rule)


_PHONE_REQUEST_RULES: Final = {
    **_in(arriving.follow_intent, NONE),
    **_in(arriving.await_join, JOINING),
    **_in(arriving.use_ready_seat, READY),
    **_in(arriving.transfer_again, TRANSFERRING),
    **_in(arriving.carry_on, BRIDGED, LEAVING),
}
"""A phone that asks for the first time, or whose webhook comes late."""

TABLE: Final[Mapping[type, Mapping[Media, Rule]]] = MappingProxyType(
    {
        # The phone
        events.Initiate: _PHONE_REQUEST_RULES,
        events.Answer: _PHONE_REQUEST_RULES,
        events.Redirected: {
            **_PHONE_REQUEST_RULES,
            **_in(arriving.redirected_while_bridged, BRIDGED),
            **_in(legs.redirected_after_transfer, LEAVING),
        },
        events.Gathered: {**_PHONE_REQUEST_RULES, **_in(arriving.pin_entered, NONE)},
        events.BridgeComplete: {
            **_PHONE_REQUEST_RULES,
            **_in(legs.bridge_complete, TRANSFERRING, BRIDGED, LEAVING),
        },
        events.AskedToRetry: _always(arriving.asked_to_retry),
        events.MachineDetected: _always(machines.machine_detected),
        events.Disconnect: _always(ending.disconnect),
        events.FoundEnded: _always(ending.disconnect),
        CallChecked: _always(ending.call_checked),
        events.UnknownWebhook: _always(arriving.wait),
        # The leg into WebRTC
        events.TransferAnswer: {
            **_in(legs.transfer_answer, TRANSFERRING, BRIDGED),
            **_in(legs.accept_number_leg, NONE),
        },
        events.TransferDisconnect: _in(legs.transfer_disconnect, TRANSFERRING, BRIDGED),
        events.TransferComplete: _in(legs.transfer_complete, NONE, TRANSFERRING, BRIDGED, LEAVING),
        events.LegNoted: _always(legs.leg_noted),
        events.LegAnswer: _in(legs.leg_answer, JOINING, READY, TRANSFERRING, BRIDGED),
        events.LegBridgeComplete: _always(legs.leg_bridge_complete),
        events.LegDisconnect: _always(legs.leg_disconnect),
        # What was asked for
        events.Joined: {**_in(joining.joined, JOINING), **_in(joining.outdated, NONE, LEAVING)},
        events.JoinFailed: {**_in(joining.join_failed, JOINING), **_in(joining.outdated, NONE, LEAVING)},
        events.FoundEmpty: {**_in(joining.found_empty, JOINING), **_in(joining.outdated, NONE, LEAVING)},
        events.Moved: {**_always(rooms.outdated), **_in(rooms.moved, BRIDGED)},
        events.MoveFailed: {**_always(rooms.outdated), **_in(rooms.move_failed, BRIDGED)},
        events.Placed: _always(ending.placed),
        events.NotPlaced: _always(ending.not_placed),
        events.DialingTimedOut: _always(ending.dialing_timed_out),
        events.TimeUp: _always(limits.time_up),
        events.TimeNearlyUp: _always(limits.time_nearly_up),
        events.HoldTimeUp: _always(limits.hold_time_up),
        # Operators
        events.Dial: {},
        events.OrderHold: _always(orders.order_hold),
        events.OrderJoin: _always(orders.order_join),
        events.OrderTransfer: _always(orders.order_transfer),
        events.OrderHangup: _always(orders.order_hangup),
        events.OrderSubscriptions: _always(orders.order_subscriptions),
        # Rooms
        events.Summoned: _always(rooms.summoned),
        events.LeftAlone: _in(rooms.left_alone, BRIDGED),
        events.RoomClosed: _always(rooms.room_closed),
        events.PageGone: _always(limits.page_gone),
        events.ParticipantVanished: _in(legs.participant_vanished, READY, TRANSFERRING, BRIDGED),
    }
)


def decide(call: Call | None, event: Event) -> Decision:
    """What the call becomes, what is owed to the outside for it, and what is replied.

    The same pair gives the same decision, on any replica; a decision that changes nothing hands back the call
    that came in.
    """
    if call is None:
        return arriving.begin(event)
    call, effects, cancels = record_facts(call, event)
    decision = _decide(call, event)
    if isinstance(event, events.Order) and not decision.refusal_reason:
        decision = machines.settle_by_operator(decision)
    if not effects and not cancels:
        return decision
    return replace(decision, effects=(*decision.effects, *effects), cancels=(*decision.cancels, *cancels))


def _decide(call: Call, event: Event) -> Decision:
    if not call.live:
        return ending.after_the_end(call, event)
    if _is_stale(call, event):
        return ending.stale(call, event)
    rule = TABLE[type(event)].get(call.media)
    if rule is None:
        return ignore(call, f"{event_name(event)} does not fit media {call.media}", event)
    return rule(call, event)


def _is_stale(call: Call, event: Event) -> bool:
    """Whether the event belongs to an attempt that the call has given up since.

    A leg that asks at the application's own address names none (0), and is not hung up for that.
    """
    if isinstance(event, events.TransferAnswer) and not event.attempt:
        return False
    attempt = getattr(event, "attempt", call.attempt)
    return bool(attempt != call.attempt)
