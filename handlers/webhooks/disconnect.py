from handlers.webhooks.payload import Webhook
from service.calls.events import Disconnect


def parse(webhook: Webhook) -> Disconnect:
    return Disconnect(
        at=webhook.at,
        ref=webhook.ref,
        call_id=webhook.call_id,
        direction=webhook.direction,
        room=webhook.policy.room(webhook.ref, webhook.ours),
        from_number=webhook.party("from"),
        to_number=webhook.party("to"),
        sip_call_id=webhook.text("sipCallId"),
        cause=webhook.word("cause") or "unknown",
        error_id=webhook.word("errorId"),
        sip_response_code=webhook.number("sipResponseCode"),
    )
