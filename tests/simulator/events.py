"""Webhook payloads: exactly the fields each event's page and schema give it."""

from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from tests.simulator.clock import epoch_ms, timestamp

if TYPE_CHECKING:
    from tests.simulator.calls import Call
    from tests.simulator.sessions import Participant

ParticipantEvent = Literal["onConnect", "onLeave", "onDisconnect"]

_ALWAYS = "eventType eventTime accountId applicationId to from direction callId callUrl startTime"
_LEG = "transferCallerId transferTo"
_ERROR = "errorMessage errorId"

# event -> (fields that are always there, fields that may be absent)
FIELDS: dict[str, tuple[str, str]] = {
    "initiate": (_ALWAYS, "uui diversion stirShaken sipCallId"),
    "answer": (f"{_ALWAYS} answerTime", "enqueuedTime tag machineDetectionResult sipCallId"),
    "redirect": (_ALWAYS, f"parentCallId enqueuedTime answerTime tag {_LEG}"),
    "gather": (
        f"{_ALWAYS} answerTime",
        f"parentCallId enqueuedTime tag digits terminatingDigit {_LEG}",
    ),
    "transferAnswer": (f"{_ALWAYS} parentCallId answerTime {_LEG}", "enqueuedTime tag"),
    "transferComplete": (f"{_ALWAYS} answerTime {_LEG} cause", f"enqueuedTime tag {_ERROR}"),
    "transferDisconnect": (
        f"{_ALWAYS} parentCallId endTime {_LEG} cause",
        f"tag enqueuedTime answerTime {_ERROR}",
    ),
    "disconnect": (
        f"{_ALWAYS} endTime cause",
        f"enqueuedTime answerTime tag {_ERROR} sipCallId sipResponseCode",
    ),
    "bridgeComplete": (f"{_ALWAYS} answerTime", f"enqueuedTime tag cause {_ERROR}"),
    "bridgeTargetComplete": (f"{_ALWAYS} answerTime", "enqueuedTime tag"),
    "machineDetectionComplete": (f"{_ALWAYS} answerTime machineDetectionResult", "enqueuedTime tag"),
}


def build(event_type: str, call: "Call", **extra: Any) -> dict[str, Any]:
    """The payload for `call` now. `extra` overrides what the call says (cause of a transfer, digits)."""
    values: dict[str, Any] = {
        "eventType": event_type,
        "eventTime": timestamp(),
        "accountId": call.account_id,
        "applicationId": call.application_id,
        "to": call.to,
        "from": call.from_,
        "direction": call.direction,
        "callId": call.call_id,
        "parentCallId": call.parent.call_id if call.parent else None,
        "callUrl": call.call_url,
        "enqueuedTime": call.enqueued_time,
        "startTime": call.start_time,
        "answerTime": call.answer_time,
        "endTime": call.end_time,
        # The key is absent when no tag was set or it was cleared.
        "tag": call.tag or None,
        "transferCallerId": call.transfer_caller_id,
        "transferTo": call.transfer_to,
        "cause": call.cause,
        "errorMessage": call.error_message,
        "errorId": call.error_id,
        "sipCallId": call.sip_call_id,
        "sipResponseCode": call.sip_response_code,
        "uui": call.uui,
        "stirShaken": call.stir_shaken,
        "diversion": call.diversion,
    } | extra
    always, sometimes = (fields.split() for fields in FIELDS[event_type])
    payload = {name: values[name] for name in always}
    missing = [name for name, value in payload.items() if value is None]
    if missing:
        raise RuntimeError(f"{event_type} without {missing}")
    return payload | {name: values[name] for name in sometimes if values.get(name) is not None}


def participant_payload(
    event: ParticipantEvent, participant: "Participant", device_id: str | None = None
) -> dict[str, Any]:
    """The timestamp is milliseconds since the epoch, and in the page's example a string."""
    tag = {"tag": participant.tag} if participant.tag is not None else {}
    return {
        "event": event,
        "timestamp": str(epoch_ms()),
        "participantId": participant.id,
        "deviceId": device_id or str(uuid4()),
    } | tag
