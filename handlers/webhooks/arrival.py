"""What `initiate`, `answer` and `redirect` have in common: a phone asks what to do."""

from typing import Any, TypeVar

from handlers.webhooks.payload import Webhook
from service.calls.events import PhoneRequest
from service.calls.model import Direction
from service.calls.numbers import e164

A = TypeVar("A", bound=PhoneRequest)


def parse_arrival(kind: type[A], webhook: Webhook, *, answered: bool, **more: Any) -> A:
    policy = webhook.policy
    inbound = webhook.direction is Direction.INBOUND
    return kind(
        at=webhook.at,
        ref=webhook.ref,
        call_id=webhook.call_id,
        direction=webhook.direction,
        room=policy.room_for(webhook.ref, webhook.own_number),
        from_number=webhook.party("from"),
        to_number=webhook.party("to"),
        sip_call_id=webhook.text("sipCallId"),
        answered=answered,
        first_at=webhook.since,
        outage_waits=webhook.rounds,
        lease_until=webhook.at + policy.webhook_budget,
        announcement=policy.announcement,
        fallback_number=policy.fallback_for(
            webhook.own_number, e164(webhook.nested_text("diversion", "origTo"), policy.our_numbers)
        ),
        waits_for_others=inbound,
        max_duration=policy.limits.call,
        pin_attempts_allowed=policy.pin_attempts_for(webhook.own_number) if inbound else 0,
        closed_message=policy.closed_message if inbound else "",
        **more,
    )
