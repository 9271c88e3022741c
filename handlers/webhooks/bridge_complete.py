from handlers.webhooks.arrival import parse_arrival
from handlers.webhooks.payload import Webhook
from service.calls.events import BridgeComplete


def parse(webhook: Webhook) -> BridgeComplete:
    """`bridgeComplete` and `bridgeTargetComplete` of the phone."""
    return parse_arrival(
        BridgeComplete, webhook, answered=True, attempt=webhook.attempt, cause=webhook.safe_text("cause")
    )
