from handlers.webhooks.payload import Webhook
from service.calls.events import Disconnect


def parse(webhook: Webhook) -> Disconnect:
    return Disconnect(
        at=webhook.at,
        ref=webhook.ref,
        call_id=webhook.call_id,
        direction=webhook.direction,
        room=webhook.policy.room_for(webhook.ref, webhook.own_number),
        from_number=webhook.party("from"),
        to_number=webhook.party("to"),
        sip_call_id=webhook.text("sipCallId"),
        cause=webhook.safe_text("cause") or "unknown",
        error_id=webhook.safe_text("errorId"),
        sip_response_code=webhook.integer("sipResponseCode"),
    )
