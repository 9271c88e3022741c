from handlers.voice.webhook import Webhook
from service.calls.events import TransferDisconnect


def parse(webhook: Webhook) -> TransferDisconnect:
    return TransferDisconnect(webhook.at, webhook.attempt, cause=webhook.text("cause"))
