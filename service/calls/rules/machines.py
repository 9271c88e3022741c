"""An outbound call has been answered, by a person or by a machine."""

from typing import Final

from msgspec.structs import replace

from service.calls.decision import Decision
from service.calls.events import MachineDetected
from service.calls.model import Call, Intent, OnMachine
from service.calls.replies import Nothing
from service.calls.rules.parts import break_off, continuation, turn

MACHINES: Final = frozenset({"answering-machine", "tone-detected"})
"""Results of machine detection that mean one (voice API, `machineDetectionResult`)."""


def machine_detected(call: Call, event: MachineDetected) -> Decision:
    """Told while the phone is on the line already."""
    known = replace(call, machine=event.value)
    if event.value not in MACHINES or call.intent is Intent.HANGUP:
        return Decision(known, Nothing())
    after = _after(known)
    return Decision(known, Nothing()) if after is None else turn(call, after, event.at)


def machine_answered(call: Call, at: float) -> Decision | None:
    """Told with the answer. None: it is joined like a person."""
    after = _after(call)
    return None if after is None else turn(call, after, at, continuation(after))


def _after(call: Call) -> Call | None:
    if call.on_machine is OnMachine.JOIN:
        return None
    words = call.message if call.on_machine is OnMachine.MESSAGE else ""
    return replace(break_off(call), intent=Intent.HANGUP, failure="answering-machine", farewell=words)
