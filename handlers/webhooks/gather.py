from handlers.webhooks.arrival import arrival
from handlers.webhooks.payload import Webhook
from service.calls.events import Gathered


def parse(webhook: Webhook) -> Gathered:
    return arrival(Gathered, webhook, answered=True, digits=webhook.text("digits"))
