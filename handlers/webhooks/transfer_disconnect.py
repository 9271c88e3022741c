from handlers.webhooks.payload import Webhook
from service.calls.events import TransferDisconnect


def parse(webhook: Webhook) -> TransferDisconnect:
    return TransferDisconnect(
        webhook.at,
        webhook.attempt,
        cause=webhook.word("cause"),
        error_id=webhook.word("errorId"),
        sip_call_id=webhook.text("sipCallId"),
        sip_response_code=webhook.number("sipResponseCode"),
    )
