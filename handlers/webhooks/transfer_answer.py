from handlers.webhooks.payload import Webhook
from service.calls.events import TransferAnswer


def parse(webhook: Webhook) -> TransferAnswer:
    return TransferAnswer(
        webhook.at,
        webhook.attempt,
        leg_id=webhook.call_id,
        tag=webhook.text("tag"),
        event_time=webhook.event_time,
    )
