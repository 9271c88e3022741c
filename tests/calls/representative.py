"""Calls in every state, and every event in the circumstances that matter, run through `decide`."""

from collections.abc import Iterator
from itertools import product
from typing import Final, NamedTuple

from msgspec.structs import replace

from service.calls.decide import TABLE, decide
from service.calls.decision import Decision
from service.calls.events import Event
from service.calls.model import Call, Direction, Intent, Leg, Media, OnMachine, Phone
from service.calls.rules.arriving import BRIDGE_SETTLE_TIME
from tests.calls.control_event_builders import (
    WAITING_SETTINGS,
    dial,
    dialing_timed_out,
    found_empty,
    hold_time_up,
    left_alone,
    leg_answer,
    leg_bridge_complete,
    leg_disconnect,
    machine_detected,
    move_failed,
    moved,
    not_placed,
    order_hangup,
    order_hold,
    order_join,
    order_subscriptions,
    order_transfer,
    page_gone,
    placed,
    room_closed,
    summoned,
    time_nearly_up,
    time_up,
)
from tests.calls.event_builders import (
    FALLBACK,
    NOW,
    ROOM,
    TOKEN_LIFE,
    EventBuilder,
    answer,
    asked_to_retry,
    bridge_complete,
    call_checked,
    disconnect,
    found_ended,
    gathered,
    initiate,
    join_failed,
    joined,
    leg_noted,
    participant_vanished,
    redirected,
    sample_call,
    transfer_answer,
    transfer_complete,
    transfer_disconnect,
    unknown_webhook,
)


class CoreState(NamedTuple):
    phone: Phone
    media: Media
    intent: Intent


STATES: Final = (
    *(CoreState(Phone.UP, media, Intent.BRIDGE) for media in Media),
    # Who is meant for something else has been taken out of whatever it was doing.
    *(CoreState(Phone.UP, Media.NONE, intent) for intent in Intent if intent is not Intent.BRIDGE),
    *(CoreState(Phone.DIALING, media, Intent.BRIDGE) for media in (Media.READY, Media.JOINING, Media.NONE)),
    CoreState(Phone.DIALING, Media.NONE, Intent.HANGUP),
    CoreState(Phone.GONE, Media.NONE, Intent.HANGUP),
    CoreState(Phone.GONE, Media.JOINING, Intent.HANGUP),
)


class Circumstance(NamedTuple):
    name: str
    seconds_late: float = 0
    answered: bool = True
    fallback: str = ""
    failure: str = ""
    leg: Leg | None = None
    """Of our own call into WebRTC, where that is the way."""
    machine: str = ""
    """By machine detection."""
    room_of_pin: str = ""


CIRCUMSTANCES: Final = (
    Circumstance(""),
    Circumstance("past its time", seconds_late=TOKEN_LIFE),
    Circumstance("with a fallback number", fallback=FALLBACK),
    Circumstance("not answered", answered=False),
    Circumstance("not answered, with a fallback number", answered=False, fallback=FALLBACK),
    Circumstance("after a failure", failure="bandwidth-error"),
    Circumstance("the right digits", room_of_pin=ROOM),
    Circumstance("a machine", machine="answering-machine"),
    Circumstance("own leg rings", leg=Leg.NONE),
    Circumstance("own leg up", leg=Leg.UP, seconds_late=BRIDGE_SETTLE_TIME),
    Circumstance("own leg gone", leg=Leg.GONE),
)
LEGS: Final[dict[Media, set[Leg]]] = {
    Media.READY: {Leg.NONE, Leg.UP, Leg.GONE},
    Media.JOINING: {Leg.NONE, Leg.UP, Leg.GONE},
    Media.TRANSFERRING: {Leg.NONE, Leg.GONE},
    Media.BRIDGED: {Leg.UP},
    Media.LEAVING: {Leg.GONE},
    Media.NONE: set(),
}
"""What may be known of a leg of ours."""


class Case(NamedTuple):
    name: str
    state: CoreState
    names: str
    decision: Decision


def event_builders(circumstance: Circumstance, attempt: int = 1) -> dict[str, EventBuilder]:
    cause = "hangup" if circumstance.answered else "timeout"
    ours = circumstance.leg is not None
    every: list[EventBuilder] = [
        initiate(),
        answer(circumstance.machine),
        redirected(),
        gathered(circumstance.room_of_pin),
        bridge_complete(attempt),
        machine_detected(circumstance.machine or "human"),
        disconnect(),
        found_ended(),
        call_checked(),
        unknown_webhook(),
        asked_to_retry(),
        transfer_answer(attempt),
        transfer_complete(attempt, cause),
        transfer_disconnect(attempt, cause),
        leg_noted(),
        leg_answer(attempt),
        leg_bridge_complete(attempt, "busy"),
        leg_disconnect(attempt),
        joined(attempt, has_leg=ours),
        join_failed(attempt),
        found_empty(attempt),
        moved(attempt),
        move_failed(attempt),
        placed(),
        not_placed(),
        dialing_timed_out(),
        time_up(),
        time_nearly_up(),
        hold_time_up(attempt),
        page_gone(),
        dial(),
        order_hold(),
        order_join(),
        order_transfer(),
        order_hangup(),
        order_subscriptions(),
        summoned(),
        left_alone(attempt),
        room_closed(attempt),
        participant_vanished(attempt),
    ]
    known = {type(cue(NOW)): cue for cue in every}
    return {_event_name(kind): known[kind] for kind in TABLE}


def cases() -> Iterator[Case]:
    for state, circumstance in product(STATES, CIRCUMSTANCES):
        if circumstance.leg is not None and circumstance.leg not in LEGS[state.media]:
            continue
        call = _call(state, circumstance)
        for name, cue in event_builders(circumstance).items():
            decision = decide(call, cue(NOW + 1 + circumstance.seconds_late))
            yield Case(name, state, circumstance.name, decision)


def on_no_call() -> dict[str, Decision]:
    return {name: decide(None, cue(NOW)) for name, cue in event_builders(CIRCUMSTANCES[0]).items()}


def on_an_older_attempt(intent: Intent) -> dict[str, Decision]:
    """Only what belongs to an attempt can belong to an older one."""
    media = Media.BRIDGED if intent is Intent.BRIDGE else Media.NONE
    call = replace(_call(CoreState(Phone.UP, media, intent), CIRCUMSTANCES[0]), attempt=2)
    return {
        name: decide(call, cue(NOW))
        for name, cue in event_builders(CIRCUMSTANCES[0]).items()
        if hasattr(cue(NOW), "attempt")
    }


def _call(state: CoreState, circumstance: Circumstance) -> Call:
    call = sample_call(
        state.media, state.intent, state.phone, answered=circumstance.answered, leg=circumstance.leg
    )
    if state.phone is Phone.DIALING:
        call = replace(
            call,
            direction=Direction.OUTBOUND,
            call_id="",
            is_early_join=state.media is Media.JOINING,
            bridged_at=0,
        )
    if state.intent is Intent.WAIT:
        call = replace(call, waiting=WAITING_SETTINGS, wait_until=NOW + WAITING_SETTINGS.limit)
    return replace(
        call,
        fallback_number=circumstance.fallback,
        failure=circumstance.failure,
        on_machine=OnMachine.HANGUP if circumstance.machine else OnMachine.JOIN,
    )


def _event_name(kind: type[Event]) -> str:
    return str(kind.__struct_config__.tag)
