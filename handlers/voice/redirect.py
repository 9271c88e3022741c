from handlers.voice.arrival import arrival
from handlers.voice.webhook import Webhook
from service.calls.events import Redirect


def parse(webhook: Webhook) -> Redirect:
    # `answerTime` is there once the phone is up (voice API, webhook redirect).
    return arrival(Redirect, webhook, answered=bool(webhook.text("answerTime")), told=webhook.told)
