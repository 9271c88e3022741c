from handlers.webhooks.payload import Webhook
from service.calls.events import TransferComplete


def parse(webhook: Webhook) -> TransferComplete:
    return TransferComplete(
        webhook.at,
        webhook.attempt,
        cause=webhook.word("cause"),
        error_id=webhook.word("errorId"),
        sip_call_id=webhook.text("sipCallId"),
        short=webhook.policy.short_leg,
    )
