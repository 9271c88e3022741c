"""Webhooks of our own call into WebRTC, where the way in is <Bridge>."""

from handlers.webhooks.payload import Webhook
from service.calls.events import LegAnswer, LegBridgeComplete, LegDisconnect


def answer(webhook: Webhook) -> LegAnswer:
    """`answer`, and `redirect` of a leg that was parked."""
    return LegAnswer(webhook.at, webhook.attempt, leg_id=webhook.call_id, event_time=webhook.event_time)


def bridge_complete(webhook: Webhook) -> LegBridgeComplete:
    """`bridgeComplete` and `bridgeTargetComplete`."""
    return LegBridgeComplete(webhook.at, webhook.attempt, cause=webhook.safe_text("cause"))


def disconnect(webhook: Webhook) -> LegDisconnect:
    return LegDisconnect(
        webhook.at,
        webhook.attempt,
        cause=webhook.safe_text("cause") or "unknown",
        leg_id=webhook.call_id,
        error_id=webhook.safe_text("errorId"),
        sip_call_id=webhook.text("sipCallId"),
        sip_response_code=webhook.integer("sipResponseCode"),
    )
