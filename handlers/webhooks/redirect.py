from handlers.webhooks.arrival import arrival
from handlers.webhooks.payload import Webhook
from service.calls.events import Redirect


def parse(webhook: Webhook) -> Redirect:
    # `answerTime` is there once the phone is up (voice API, webhook redirect).
    return arrival(Redirect, webhook, answered=bool(webhook.text("answerTime")), told=webhook.told)
