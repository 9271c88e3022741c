from handlers.voice.arrival import arrival
from handlers.voice.webhook import Webhook
from service.calls.events import Gathered


def parse(webhook: Webhook) -> Gathered:
    return arrival(Gathered, webhook, answered=True, digits=webhook.text("digits"))
