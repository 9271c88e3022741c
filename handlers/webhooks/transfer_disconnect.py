from handlers.webhooks.payload import Webhook
from service.calls.events import TransferDisconnect


def parse(webhook: Webhook) -> TransferDisconnect:
    return TransferDisconnect(
        webhook.at,
        webhook.attempt,
        cause=webhook.safe_text("cause"),
        error_id=webhook.safe_text("errorId"),
        sip_call_id=webhook.text("sipCallId"),
        sip_response_code=webhook.integer("sipResponseCode"),
    )
