from handlers.webhooks.arrival import arrival
from handlers.webhooks.payload import Webhook
from service.calls.events import BridgeComplete


def parse(webhook: Webhook) -> BridgeComplete:
    """`bridgeComplete` and `bridgeTargetComplete` of the phone."""
    return arrival(
        BridgeComplete, webhook, answered=True, attempt=webhook.attempt, cause=webhook.word("cause")
    )
