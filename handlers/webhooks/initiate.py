from handlers.webhooks.arrival import parse_arrival
from handlers.webhooks.payload import Webhook
from service.calls.events import Initiate


def parse(webhook: Webhook) -> Initiate:
    return parse_arrival(Initiate, webhook, answered=False)
