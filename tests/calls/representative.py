"""Calls in every state, and every event in the circumstances that matter, run through `decide`."""

from collections.abc import Iterator
from itertools import product
from typing import Final, NamedTuple

from msgspec.structs import replace

from service.calls.decide import TABLE, decide
from service.calls.decision import Decision
from service.calls.events import Event
from service.calls.model import Call, Direction, Intent, Leg, Media, OnMachine, Phone
from service.calls.rules.arriving import SETTLES
from tests.calls.event_builders import (
    FALLBACK,
    NOW,
    ROOM,
    TOKEN_LIFE,
    Cue,
    a_call,
    answer,
    asked,
    bridge_complete,
    disconnect,
    found_ended,
    gathered,
    initiate,
    join_failed,
    joined,
    leg_noted,
    redirect,
    transfer_answer,
    transfer_complete,
    transfer_disconnect,
    turned_away,
    unknown,
    vanished,
)
from tests.calls.control_event_builders import (
    WAITING,
    dial,
    dialing_over,
    evicted,
    found_empty,
    hold_up,
    left_alone,
    leg_answer,
    leg_bridge_complete,
    leg_disconnect,
    machine,
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
    summoned,
    time_short,
    time_up,
)


class State(NamedTuple):
    phone: Phone
    media: Media
    intent: Intent


STATES: Final = (
    *(State(Phone.UP, media, Intent.BRIDGE) for media in Media),
    # Who is meant for something else has been taken out of whatever it was doing.
    *(State(Phone.UP, Media.NONE, intent) for intent in Intent if intent is not Intent.BRIDGE),
    *(State(Phone.DIALING, media, Intent.BRIDGE) for media in (Media.READY, Media.MAKING, Media.NONE)),
    State(Phone.DIALING, Media.NONE, Intent.HANGUP),
    State(Phone.GONE, Media.NONE, Intent.HANGUP),
    State(Phone.GONE, Media.MAKING, Intent.HANGUP),
)


class Circumstance(NamedTuple):
    words: str
    late: float = 0
    answered: bool = True
    fallback: str = ""
    failure: str = ""
    leg: Leg | None = None
    """Of our own call into WebRTC, where that is the way."""
    found: str = ""
    """By machine detection."""
    named: str = ""


CIRCUMSTANCES: Final = (
    Circumstance(""),
    Circumstance("past its time", late=TOKEN_LIFE),
    Circumstance("with a fallback number", fallback=FALLBACK),
    Circumstance("not answered", answered=False),
    Circumstance("not answered, with a fallback number", answered=False, fallback=FALLBACK),
    Circumstance("after a failure", failure="bandwidth-error"),
    Circumstance("the right digits", named=ROOM),
    Circumstance("a machine", found="answering-machine"),
    Circumstance("own leg rings", leg=Leg.NONE),
    Circumstance("own leg up", leg=Leg.UP, late=SETTLES),
    Circumstance("own leg gone", leg=Leg.GONE),
)
LEGS: Final[dict[Media, set[Leg]]] = {
    Media.READY: {Leg.NONE, Leg.UP, Leg.GONE},
    Media.MAKING: {Leg.NONE, Leg.UP, Leg.GONE},
    Media.TRANSFERRING: {Leg.NONE, Leg.GONE},
    Media.BRIDGED: {Leg.UP},
    Media.LEAVING: {Leg.GONE},
    Media.NONE: set(),
}
"""What may be known of a leg of ours."""


class Case(NamedTuple):
    name: str
    state: State
    words: str
    decision: Decision


def cues(circumstance: Circumstance, attempt: int = 1) -> dict[str, Cue]:
    cause = "hangup" if circumstance.answered else "timeout"
    ours = circumstance.leg is not None
    every: list[Cue] = [
        initiate(),
        answer(circumstance.found),
        redirect(),
        gathered(circumstance.named),
        bridge_complete(attempt),
        machine(circumstance.found or "human"),
        disconnect(),
        found_ended(),
        asked(),
        unknown(),
        turned_away(),
        transfer_answer(attempt),
        transfer_complete(attempt, cause),
        transfer_disconnect(attempt, cause),
        leg_noted(),
        leg_answer(attempt),
        leg_bridge_complete(attempt, "busy"),
        leg_disconnect(attempt),
        joined(attempt, leg=ours),
        join_failed(attempt),
        found_empty(attempt),
        moved(attempt),
        move_failed(attempt),
        placed(),
        not_placed(),
        dialing_over(),
        time_up(),
        time_short(),
        hold_up(attempt),
        page_gone(),
        dial(),
        order_hold(),
        order_join(),
        order_transfer(),
        order_hangup(),
        order_subscriptions(),
        summoned(),
        left_alone(attempt),
        evicted(attempt),
        vanished(attempt),
    ]
    known = {type(cue(NOW)): cue for cue in every}
    return {_name(kind): known[kind] for kind in TABLE}


def cases() -> Iterator[Case]:
    for state, circumstance in product(STATES, CIRCUMSTANCES):
        if circumstance.leg is not None and circumstance.leg not in LEGS[state.media]:
            continue
        call = _call(state, circumstance)
        for name, cue in cues(circumstance).items():
            decision = decide(call, cue(NOW + 1 + circumstance.late))
            yield Case(name, state, circumstance.words, decision)


def on_no_call() -> dict[str, Decision]:
    return {name: decide(None, cue(NOW)) for name, cue in cues(CIRCUMSTANCES[0]).items()}


def on_an_older_attempt(intent: Intent) -> dict[str, Decision]:
    """Only what belongs to an attempt can belong to an older one."""
    media = Media.BRIDGED if intent is Intent.BRIDGE else Media.NONE
    call = replace(_call(State(Phone.UP, media, intent), CIRCUMSTANCES[0]), attempt=2)
    return {
        name: decide(call, cue(NOW))
        for name, cue in cues(CIRCUMSTANCES[0]).items()
        if hasattr(cue(NOW), "attempt")
    }


def _call(state: State, circumstance: Circumstance) -> Call:
    call = a_call(
        state.media, state.intent, state.phone, answered=circumstance.answered, leg=circumstance.leg
    )
    if state.phone is Phone.DIALING:
        call = replace(
            call, direction=Direction.OUTBOUND, call_id="", prepares=state.media is Media.MAKING, bridged_at=0
        )
    if state.intent is Intent.WAIT:
        call = replace(call, waiting=WAITING, wait_until=NOW + WAITING.limit)
    return replace(
        call,
        fallback=circumstance.fallback,
        failure=circumstance.failure,
        on_machine=OnMachine.HANGUP if circumstance.found else OnMachine.JOIN,
    )


def _name(kind: type[Event]) -> str:
    return str(kind.__struct_config__.tag)
