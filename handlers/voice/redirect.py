from handlers.voice import transfer_answer
from handlers.voice.arrival import arrival
from handlers.voice.webhook import Webhook
from service.calls.events import Redirect, TransferAnswer


def parse(webhook: Webhook) -> Redirect | TransferAnswer:
    """A B leg that was told to wait asks again; any other redirect is the phone's."""
    if webhook.text("parentCallId") not in {"", webhook.call_id}:
        return transfer_answer.parse(webhook)
    # `answerTime` is there once the phone is up (voice API, webhook redirect).
    return arrival(Redirect, webhook, answered=bool(webhook.text("answerTime")))
