from handlers.webhooks.payload import Webhook
from service.calls.events import TransferComplete


def parse(webhook: Webhook) -> TransferComplete:
    return TransferComplete(
        webhook.at,
        webhook.attempt,
        cause=webhook.safe_text("cause"),
        error_id=webhook.safe_text("errorId"),
        sip_call_id=webhook.text("sipCallId"),
        short_leg=webhook.policy.short_leg,
    )
