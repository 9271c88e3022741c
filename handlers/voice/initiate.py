from handlers.voice.arrival import arrival
from handlers.voice.webhook import Webhook
from service.calls.events import Initiate


def parse(webhook: Webhook) -> Initiate:
    return arrival(Initiate, webhook, answered=False)
