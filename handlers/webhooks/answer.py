from handlers.webhooks.arrival import arrival
from handlers.webhooks.payload import Webhook
from service.calls.events import Answer


def parse(webhook: Webhook) -> Answer:
    return arrival(Answer, webhook, answered=True, machine=webhook.machine)
