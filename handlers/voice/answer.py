from handlers.voice.arrival import arrival
from handlers.voice.webhook import Webhook
from service.calls.events import Answer


def parse(webhook: Webhook) -> Answer:
    return arrival(Answer, webhook, answered=True, machine=webhook.machine)
