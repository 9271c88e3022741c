"""Holds the rules for an outbound call that is answered by a person or by a machine."""

from typing import Final

from msgspec.structs import replace

from service.calls.decision import Decision
from service.calls.events import MachineDetected
from service.calls.model import Call, Intent, OnMachine, Phone
from service.calls.replies import NoReply
from service.calls.rules.parts import abort_attempt, reply_for_intent, switch_to

MACHINES: Final = frozenset({"answering-machine", "tone-detected"})
"""Results of machine detection that mean one (voice API, `machineDetectionResult`)."""


HUMAN: Final = "human"


def machine_detected(call: Call, event: MachineDetected) -> Decision:
    """Told while the phone is on the line already.

    A verdict may be late or false. It is only written down once a person was heard, or an operator has done
    something with the call.
    """
    known = replace(call, machine=event.value, machine_settled=call.machine_settled or event.value == HUMAN)
    if event.value not in MACHINES or call.intent is Intent.HANGUP:
        return Decision(known, NoReply())
    if call.machine_settled:
        return Decision(known, NoReply(), note="a person or an operator was there first")
    after = _after_machine(known)
    return Decision(known, NoReply()) if after is None else switch_to(call, after, event.at)


def settle_by_operator(decision: Decision) -> Decision:
    """An operator has done something with a phone that had answered: that is worth more than a verdict."""
    call = decision.call
    if call is None or call.on_machine is OnMachine.JOIN or call.phone is not Phone.UP:
        return decision
    return replace(decision, call=replace(call, machine_settled=True))


def machine_answered(call: Call, at: float) -> Decision | None:
    """Told with the answer. None: it is joined like a person."""
    after = _after_machine(call)
    return None if after is None else switch_to(call, after, at, reply_for_intent(after))


def _after_machine(call: Call) -> Call | None:
    if call.on_machine is OnMachine.JOIN:
        return None
    words = call.machine_message if call.on_machine is OnMachine.MESSAGE else ""
    return replace(
        abort_attempt(call), intent=Intent.HANGUP, failure="answering-machine", closing_message=words
    )
