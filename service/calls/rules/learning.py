"""What an event says besides what it asks: Bandwidth's id of the call, that the phone is up, and by whom."""

from typing import Final

from msgspec.structs import replace

from service.calls.effects import CheckPage, HangUp, HangUpLeg, NameCall, Owed
from service.calls.events import (
    Answer,
    Arrival,
    Disconnect,
    Event,
    LegAnswer,
    LegBridgeComplete,
    LegDisconnect,
    Line,
    MachineDetected,
    Placed,
    TransferAnswer,
    TransferComplete,
    TransferDisconnect,
    Unknown,
)
from service.calls.looks import Looks
from service.calls.model import Call, Direction, Intent, Phone
from service.calls.rules.machines import HUMAN
from service.calls.rules.parts import time_limit, time_to_hear

_WEBHOOKS: Final = (
    Line,
    TransferAnswer,
    TransferComplete,
    TransferDisconnect,
    LegAnswer,
    LegBridgeComplete,
    LegDisconnect,
    MachineDetected,
    Unknown,
)


def learn(call: Call, event: Event) -> tuple[Call, tuple[Owed, ...], tuple[str, ...]]:
    """The call as it is known now, what is owed for it, and what is called off."""
    owed: tuple[Owed, ...] = ()
    cancelled: tuple[str, ...] = ()
    if isinstance(event, LegDisconnect) and event.leg_id:
        # Whichever attempt it was of.
        cancelled = (HangUpLeg(event.leg_id).id,)
    if not call.live:
        return call, owed, cancelled
    if call.not_found and isinstance(event, _WEBHOOKS):
        call = replace(call, not_found=Looks())
    if isinstance(event, Line | Placed) and event.call_id and not call.call_id:
        call = replace(call, call_id=event.call_id)
        owed = (Owed(NameCall(event.call_id, call.ref), event.at),)
        if call.intent is Intent.HANGUP and not isinstance(event, Disconnect):
            # Ordered before anybody knew whom to hang up. A phone that asks is told so itself.
            due = event.at + (time_to_hear(call) if isinstance(event, Arrival) else 0)
            owed = (*owed, Owed(HangUp(event.call_id), due))
    if isinstance(event, Arrival) and event.answered and call.phone in {Phone.DIALING, Phone.RINGING}:
        call = replace(call, phone=Phone.UP)
        if call.direction is Direction.OUTBOUND:
            call = replace(call, answered_at=event.at)
            cancelled = ("end-dialing",)
            owed = (*owed, *time_limit(call, event.at))
            if call.page_alone:
                # Its page may have gone before, or have never been there.
                owed = (*owed, Owed(CheckPage(call.room), event.at + call.page_alone))
    return _told(call, event), owed, cancelled


def _told(call: Call, event: Event) -> Call:
    """What an event says of its call besides what it is about."""
    if isinstance(event, Arrival) and event.rounds > call.rounds:
        call = replace(call, rounds=event.rounds)
    if isinstance(event, Answer) and event.machine:
        settled = call.machine_settled or event.machine == HUMAN
        call = replace(call, machine=event.machine, machine_settled=settled)
    return call
