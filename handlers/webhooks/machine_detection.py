from handlers.webhooks.payload import Webhook
from service.calls.events import MachineDetected


def parse(webhook: Webhook) -> MachineDetected:
    return MachineDetected(webhook.at, webhook.machine)
