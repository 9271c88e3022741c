"""Webhooks of our own call into WebRTC, where the way in is <Bridge>."""

from handlers.webhooks.payload import Webhook
from service.calls.events import LegAnswer, LegBridgeComplete, LegDisconnect


def answer(webhook: Webhook) -> LegAnswer:
    """`answer`, and `redirect` of a leg that was parked."""
    return LegAnswer(webhook.at, webhook.attempt, leg_id=webhook.call_id, told=webhook.told)


def bridge_complete(webhook: Webhook) -> LegBridgeComplete:
    """`bridgeComplete` and `bridgeTargetComplete`."""
    return LegBridgeComplete(webhook.at, webhook.attempt, cause=webhook.word("cause"))


def disconnect(webhook: Webhook) -> LegDisconnect:
    return LegDisconnect(
        webhook.at,
        webhook.attempt,
        cause=webhook.word("cause") or "unknown",
        leg_id=webhook.call_id,
        error_id=webhook.word("errorId"),
        sip_call_id=webhook.text("sipCallId"),
        sip_response_code=webhook.number("sipResponseCode"),
    )
