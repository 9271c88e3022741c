"""Turns each voice webhook into its event. A parser says what Bandwidth said and knows no policy."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

from handlers.webhooks.payload import Webhook
from service.calls.events import (
    Answer,
    BridgeComplete,
    Disconnect,
    Event,
    Gathered,
    Initiate,
    LegAnswer,
    LegBridgeComplete,
    LegDisconnect,
    LegNoted,
    MachineDetected,
    PhoneRequest,
    Redirected,
    TransferAnswer,
    TransferComplete,
    TransferDisconnect,
    UnknownWebhook,
)

_R = TypeVar("_R", bound=PhoneRequest)


class WebhookKind(NamedTuple):
    """`parse` raises nothing: a field that cannot be read is absent."""

    parse: Callable[[Webhook], Event]
    wants_bxml: bool = True
    """Notifications are answered with 204 (voice API, webhooks)."""


# The phone --------------------------------------------------------------------------------------------------


def _initiate(webhook: Webhook) -> Initiate:
    return _phone_request(Initiate, webhook, answered=False)


def _answer(webhook: Webhook) -> Answer:
    return _phone_request(Answer, webhook, answered=True, machine=webhook.machine)


def _redirect(webhook: Webhook) -> Redirected:
    # `answerTime` is there once the phone is up (voice API, webhook redirect).
    return _phone_request(
        Redirected, webhook, answered=bool(webhook.text("answerTime")), event_time=webhook.event_time
    )


def _gather(webhook: Webhook) -> Gathered:
    return _phone_request(Gathered, webhook, answered=True, digits=webhook.text("digits"))


def _bridge_complete(webhook: Webhook) -> BridgeComplete:
    """`bridgeComplete` and `bridgeTargetComplete`."""
    return _phone_request(
        BridgeComplete, webhook, answered=True, attempt=webhook.attempt, cause=webhook.safe_text("cause")
    )


def _phone_request(event_type: type[_R], webhook: Webhook, *, answered: bool, **more: Any) -> _R:
    return event_type(
        at=webhook.at,
        ref=webhook.ref,
        call_id=webhook.call_id,
        direction=webhook.direction,
        from_number=webhook.party("from"),
        to_number=webhook.party("to"),
        sip_call_id=webhook.text("sipCallId"),
        answered=answered,
        first_at=webhook.since,
        outage_waits=webhook.rounds,
        **more,
    )


def _machine_detection_complete(webhook: Webhook) -> MachineDetected:
    return MachineDetected(webhook.at, webhook.machine)


def _disconnect(webhook: Webhook) -> Disconnect:
    return Disconnect(
        at=webhook.at,
        ref=webhook.ref,
        call_id=webhook.call_id,
        direction=webhook.direction,
        from_number=webhook.party("from"),
        to_number=webhook.party("to"),
        sip_call_id=webhook.text("sipCallId"),
        cause=webhook.safe_text("cause"),
        error_id=webhook.safe_text("errorId"),
        sip_response_code=webhook.integer("sipResponseCode"),
    )


# The B leg of a transfer ------------------------------------------------------------------------------------


def _transfer_answer(webhook: Webhook) -> TransferAnswer:
    return TransferAnswer(
        webhook.at,
        webhook.attempt,
        leg_id=webhook.call_id,
        tag=webhook.text("tag"),
        event_time=webhook.event_time,
    )


def _transfer_complete(webhook: Webhook) -> TransferComplete:
    return TransferComplete(
        webhook.at,
        webhook.attempt,
        cause=webhook.safe_text("cause"),
        error_id=webhook.safe_text("errorId"),
        sip_call_id=webhook.text("sipCallId"),
    )


def _transfer_disconnect(webhook: Webhook) -> TransferDisconnect:
    return TransferDisconnect(
        webhook.at,
        webhook.attempt,
        cause=webhook.safe_text("cause"),
        error_id=webhook.safe_text("errorId"),
        sip_call_id=webhook.text("sipCallId"),
        sip_response_code=webhook.integer("sipResponseCode"),
    )


def _transfer_leg_request(webhook: Webhook) -> LegNoted:
    """`initiate`, `answer`, `gather`: they want a reply, and it must not end the leg."""
    return LegNoted(
        webhook.at, webhook.event_type, leg_id=webhook.call_id, tag=webhook.text("tag"), wants_reply=True
    )


def _transfer_leg_notification(webhook: Webhook) -> LegNoted:
    """`disconnect`, `machineDetectionComplete`: transferDisconnect and transferComplete tell what matters."""
    return LegNoted(webhook.at, webhook.event_type, leg_id=webhook.call_id)


# Our own call into WebRTC, which <Bridge> joins to the phone ------------------------------------------------


def _leg_answer(webhook: Webhook) -> LegAnswer:
    """`answer`, and `redirect` of a leg that was parked."""
    return LegAnswer(webhook.at, webhook.attempt, leg_id=webhook.call_id, event_time=webhook.event_time)


def _leg_bridge_complete(webhook: Webhook) -> LegBridgeComplete:
    """`bridgeComplete` and `bridgeTargetComplete`."""
    return LegBridgeComplete(webhook.at, webhook.attempt, cause=webhook.safe_text("cause"))


def _leg_disconnect(webhook: Webhook) -> LegDisconnect:
    return LegDisconnect(
        webhook.at,
        webhook.attempt,
        cause=webhook.safe_text("cause"),
        leg_id=webhook.call_id,
        error_id=webhook.safe_text("errorId"),
        sip_call_id=webhook.text("sipCallId"),
        sip_response_code=webhook.integer("sipResponseCode"),
    )


# The tables -------------------------------------------------------------------------------------------------

WEBHOOK_KINDS: Final[Mapping[str, WebhookKind]] = MappingProxyType(
    {
        "initiate": WebhookKind(_initiate),
        "answer": WebhookKind(_answer),
        "redirect": WebhookKind(_redirect),
        "gather": WebhookKind(_gather),
        "bridgeComplete": WebhookKind(_bridge_complete),
        "bridgeTargetComplete": WebhookKind(_bridge_complete),
        "transferAnswer": WebhookKind(_transfer_answer),
        "transferComplete": WebhookKind(_transfer_complete),
        "transferDisconnect": WebhookKind(_transfer_disconnect, wants_bxml=False),
        "machineDetectionComplete": WebhookKind(_machine_detection_complete, wants_bxml=False),
        "disconnect": WebhookKind(_disconnect, wants_bxml=False),
    }
)
"""By `eventType`, at /callbacks/voice."""

TRANSFER_LEG_KINDS: Final[Mapping[str, WebhookKind]] = MappingProxyType(
    {
        **WEBHOOK_KINDS,
        # One that was told to wait asks again.
        "redirect": WebhookKind(_transfer_answer),
        # Its answer is told by transferAnswer; whatever else it asks about, it is told something harmless.
        **dict.fromkeys(("initiate", "answer", "gather"), WebhookKind(_transfer_leg_request)),
        **dict.fromkeys(
            ("disconnect", "machineDetectionComplete"),
            WebhookKind(_transfer_leg_notification, wants_bxml=False),
        ),
    }
)
"""The same for the B leg of a transfer: what is told of the leg is not the phone's."""

LEG_KINDS: Final[Mapping[str, WebhookKind]] = MappingProxyType(
    {
        "answer": WebhookKind(_leg_answer),
        "redirect": WebhookKind(_leg_answer),
        "bridgeComplete": WebhookKind(_leg_bridge_complete),
        "bridgeTargetComplete": WebhookKind(_leg_bridge_complete),
        "disconnect": WebhookKind(_leg_disconnect, wants_bxml=False),
    }
)
"""By `eventType`, at /callbacks/legs."""

UNKNOWN: Final = WebhookKind(lambda webhook: UnknownWebhook(webhook.at, webhook.event_type))


def kind_of(webhook: Webhook) -> WebhookKind:
    """UNKNOWN for an `eventType` that is in no table. Raises nothing."""
    kinds = LEG_KINDS if webhook.is_leg else TRANSFER_LEG_KINDS if webhook.is_transfer_leg else WEBHOOK_KINDS
    return kinds.get(webhook.event_type, UNKNOWN)
