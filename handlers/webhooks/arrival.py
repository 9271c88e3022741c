"""What `initiate`, `answer` and `redirect` have in common: a phone asks what to do."""

from typing import Any, TypeVar

from handlers.webhooks.payload import Webhook
from service.calls.events import Arrival
from service.calls.model import Direction
from service.calls.numbers import e164

A = TypeVar("A", bound=Arrival)


def arrival(kind: type[A], webhook: Webhook, *, answered: bool, **more: Any) -> A:
    policy = webhook.policy
    inbound = webhook.direction is Direction.INBOUND
    return kind(
        at=webhook.at,
        ref=webhook.ref,
        call_id=webhook.call_id,
        direction=webhook.direction,
        room=policy.room(webhook.ref, webhook.ours),
        from_number=webhook.party("from"),
        to_number=webhook.party("to"),
        sip_call_id=webhook.text("sipCallId"),
        answered=answered,
        since=webhook.since,
        rounds=webhook.rounds,
        lease_until=webhook.at + policy.budget,
        announcement=policy.announcement,
        fallback=policy.way_out(webhook.ours, e164(webhook.within("diversion", "origTo"), policy.ours)),
        waits=inbound,
        limit=policy.limits.call,
        asks=policy.asks(webhook.ours) if inbound else 0,
        closed=policy.closed if inbound else "",
        **more,
    )
