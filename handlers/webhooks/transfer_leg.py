"""Webhooks about the B leg of a transfer that come under the names of the phone's own."""

from handlers.webhooks.payload import Webhook
from service.calls.events import LegNoted


def parse_request(webhook: Webhook) -> LegNoted:
    """`initiate`, `answer`, `gather`: they want a reply, and it must not end the leg."""
    return LegNoted(
        webhook.at, webhook.event_type, leg_id=webhook.call_id, tag=webhook.text("tag") or webhook.ref
    )


def parse_notification(webhook: Webhook) -> LegNoted:
    """`disconnect`, `machineDetectionComplete`: transferDisconnect and transferComplete tell what matters."""
    return LegNoted(webhook.at, webhook.event_type, leg_id=webhook.call_id)
