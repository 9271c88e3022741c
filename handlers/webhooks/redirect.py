from handlers.webhooks.arrival import parse_arrival
from handlers.webhooks.payload import Webhook
from service.calls.events import Redirected


def parse(webhook: Webhook) -> Redirected:
    # `answerTime` is there once the phone is up (voice API, webhook redirect).
    return parse_arrival(
        Redirected, webhook, answered=bool(webhook.text("answerTime")), event_time=webhook.event_time
    )
