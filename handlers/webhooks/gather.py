from handlers.webhooks.arrival import parse_arrival
from handlers.webhooks.payload import Webhook
from service.calls.events import Gathered


def parse(webhook: Webhook) -> Gathered:
    return parse_arrival(Gathered, webhook, answered=True, digits=webhook.text("digits"))
