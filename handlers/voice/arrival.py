"""What `initiate`, `answer` and `redirect` have in common: a phone asks what to do."""

from typing import TypeVar

from handlers.voice.webhook import Webhook
from service.calls.events import Arrival

A = TypeVar("A", bound=Arrival)


def arrival(kind: type[A], webhook: Webhook, *, answered: bool) -> A:
    return kind(
        at=webhook.at,
        ref=webhook.ref,
        call_id=webhook.call_id,
        direction=webhook.direction,
        room=webhook.room,
        from_number=webhook.text("from"),
        to_number=webhook.text("to"),
        answered=answered,
        lease_until=webhook.at + webhook.policy.budget,
        announcement=webhook.policy.announcement,
        fallback=webhook.policy.fallback,
    )
