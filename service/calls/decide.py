"""The state machine: one plain function that says what a call does next.

The table says which rule answers which event in which state of the call's media; a pair that is not in it is
ignored with a reason. Rules live in `service.calls.rules`, and every rule about what a call may do is there.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from service.calls import rules
from service.calls.decision import Decision, ignored
from service.calls.events import (
    Answer,
    Disconnect,
    Event,
    Initiate,
    Joined,
    JoinFailed,
    ParticipantVanished,
    Redirect,
    TransferAnswer,
    TransferComplete,
    TransferDisconnect,
    Unknown,
    name_of,
)
from service.calls.model import Call, Media

Rule = Callable[[Call, Any], Decision]

_EVERY: Final = tuple(Media)


def _in(rule: Rule, *states: Media) -> Mapping[Media, Rule]:
    return dict.fromkeys(states, rule)


TABLE: Final[Mapping[type, Mapping[Media, Rule]]] = MappingProxyType(
    {
        Initiate: {
            **_in(rules.follow_intent, Media.NONE),
            **_in(rules.await_join, Media.MAKING),
            **_in(rules.transfer_again, Media.TRANSFERRING),
            **_in(rules.carry_on, Media.BRIDGED, Media.LEAVING),
        },
        Answer: {
            **_in(rules.follow_intent, Media.NONE),
            **_in(rules.await_join, Media.MAKING),
            **_in(rules.transfer_again, Media.TRANSFERRING),
            **_in(rules.carry_on, Media.BRIDGED, Media.LEAVING),
        },
        Redirect: {
            **_in(rules.follow_intent, Media.NONE, Media.BRIDGED),
            **_in(rules.await_join, Media.MAKING),
            **_in(rules.transfer_again, Media.TRANSFERRING),
            **_in(rules.ask_after_transfer, Media.LEAVING),
        },
        Joined: {
            **_in(rules.transfer, Media.MAKING),
            **_in(rules.stale, Media.NONE, Media.LEAVING),
        },
        JoinFailed: {
            **_in(rules.fail_join, Media.MAKING),
            **_in(rules.stale, Media.NONE, Media.LEAVING),
        },
        TransferAnswer: _in(rules.bridge, Media.TRANSFERRING, Media.BRIDGED),
        TransferDisconnect: _in(rules.leave, Media.TRANSFERRING, Media.BRIDGED),
        TransferComplete: _in(
            rules.transfer_over, Media.NONE, Media.TRANSFERRING, Media.BRIDGED, Media.LEAVING
        ),
        ParticipantVanished: _in(rules.tell_vanished, Media.TRANSFERRING, Media.BRIDGED),
        Disconnect: _in(rules.end, *_EVERY),
        Unknown: _in(rules.wait, *_EVERY),
    }
)


def decide(call: Call | None, event: Event) -> Decision:
    """What the call becomes, what is owed to the outside for it, and what is replied.

    The same pair gives the same decision, on any replica; a decision that changes nothing hands back the call
    that came in.
    """
    if call is None:
        return rules.begin(event)
    if not call.live:
        return rules.after_the_end(call, event)
    if _stale(call, event):
        return rules.stale(call, event)
    rule = TABLE[type(event)].get(call.media)
    if rule is None:
        return ignored(call, f"{name_of(event)} does not fit media {call.media}", event)
    return rule(call, event)


def _stale(call: Call, event: Event) -> bool:
    """Whether the event belongs to an attempt that the call has given up since."""
    attempt = getattr(event, "attempt", call.attempt)
    return bool(attempt != call.attempt)
