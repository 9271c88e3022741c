from handlers.webhooks.arrival import arrival
from handlers.webhooks.payload import Webhook
from service.calls.events import Initiate


def parse(webhook: Webhook) -> Initiate:
    return arrival(Initiate, webhook, answered=False)
