from handlers.webhooks.arrival import parse_arrival
from handlers.webhooks.payload import Webhook
from service.calls.events import Answer


def parse(webhook: Webhook) -> Answer:
    return parse_arrival(Answer, webhook, answered=True, machine=webhook.machine)
