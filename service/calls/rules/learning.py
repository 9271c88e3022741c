"""Records the facts that an event brings besides its question: Bandwidth's call id, that the phone is up."""

from typing import Final

from msgspec.structs import replace

from service.calls.effects import CheckPage, HangUpLeg, HangUpPhone, RecordCallId, Scheduled
from service.calls.events import (
    Answer,
    Disconnect,
    Event,
    LegAnswer,
    LegBridgeComplete,
    LegDisconnect,
    MachineDetected,
    PhoneEvent,
    PhoneRequest,
    Placed,
    TransferAnswer,
    TransferComplete,
    TransferDisconnect,
    UnknownWebhook,
)
from service.calls.looks import Looks
from service.calls.model import Call, Direction, Intent, Phone
from service.calls.rules.machines import HUMAN
from service.calls.rules.parts import hang_up_delay, schedule_time_limit

_FROM_BANDWIDTH: Final = (
    PhoneEvent,
    TransferAnswer,
    TransferComplete,
    TransferDisconnect,
    LegAnswer,
    LegBridgeComplete,
    LegDisconnect,
    MachineDetected,
    UnknownWebhook,
)


def record_facts(call: Call, event: Event) -> tuple[Call, tuple[Scheduled, ...], tuple[str, ...]]:
    """The call as it is known now, what is owed for it, and what is called off."""
    effects: tuple[Scheduled, ...] = ()
    cancels: tuple[str, ...] = ()
    if isinstance(event, LegDisconnect) and event.leg_id:
        # Whichever attempt it was of.
        cancels = (HangUpLeg(event.leg_id).id,)
    if not call.live:
        return call, effects, cancels
    if call.not_found and isinstance(event, _FROM_BANDWIDTH):
        call = replace(call, not_found=Looks())
    if isinstance(event, PhoneEvent | Placed) and event.call_id and not call.call_id:
        call = replace(call, call_id=event.call_id)
        effects = (Scheduled(RecordCallId(event.call_id, call.ref), event.at),)
        if call.intent is Intent.HANGUP and not isinstance(event, Disconnect):
            # Ordered before anybody knew whom to hang up. A phone that asks is told so itself.
            due = event.at + (hang_up_delay(call) if isinstance(event, PhoneRequest) else 0)
            effects = (*effects, Scheduled(HangUpPhone(event.call_id), due))
    if isinstance(event, PhoneRequest) and event.answered and call.phone in {Phone.DIALING, Phone.RINGING}:
        call = replace(call, phone=Phone.UP)
        if call.direction is Direction.OUTBOUND:
            call = replace(call, answered_at=event.at)
            cancels = ("end-dialing",)
            effects = (*effects, *schedule_time_limit(call, event.at))
            if call.page_gone_after:
                # Its page may have gone before, or have never been there.
                effects = (*effects, Scheduled(CheckPage(call.room), event.at + call.page_gone_after))
    return _record_details(call, event), effects, cancels


def _record_details(call: Call, event: Event) -> Call:
    """What an event says of its call besides what it is about."""
    if isinstance(event, PhoneRequest) and event.outage_waits > call.outage_waits:
        call = replace(call, outage_waits=event.outage_waits)
    if isinstance(event, Answer) and event.machine:
        settled = call.machine_settled or event.machine == HUMAN
        call = replace(call, machine=event.machine, machine_settled=settled)
    return call
