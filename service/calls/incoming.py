"""Adds to the event of a webhook what our settings and our defaults say about it."""

from typing import Final

from msgspec.structs import replace

from service.calls.events import Disconnect, Event, LegDisconnect, LegNoted, PhoneRequest, TransferComplete
from service.calls.model import Direction
from service.calls.policy import Policy

NO_CAUSE: Final = "unknown"
"""The cause of an end for which Bandwidth names none."""


def apply_policy(event: Event, policy: Policy, *, ref: str, own_number: str, diverted_from: str) -> Event:
    """The event as the state machine takes it. Raises nothing.

    `ref`: the call that the webhook belongs to. `own_number`: the number of ours that the call is on.
    `diverted_from`: the number that the call was diverted from. Both numbers are in E.164 form, and empty
    where they are not known.
    """
    match event:
        case PhoneRequest():
            inbound = event.direction is Direction.INBOUND
            return replace(
                event,
                room=policy.room_for(ref, own_number),
                lease_until=event.at + policy.webhook_budget,
                announcement=policy.announcement,
                fallback_number=policy.fallback_for(own_number, diverted_from),
                waits_for_others=inbound,
                max_duration=policy.limits.call,
                pin_attempts_allowed=policy.pin_attempts_for(own_number) if inbound else 0,
                closed_message=policy.closed_message if inbound else "",
            )
        case Disconnect():
            return replace(event, room=policy.room_for(ref, own_number), cause=event.cause or NO_CAUSE)
        case LegDisconnect(cause=""):
            return replace(event, cause=NO_CAUSE)
        case LegNoted(wants_reply=True, tag=""):
            return replace(event, tag=ref)
        case TransferComplete():
            return replace(event, short_leg=policy.short_leg)
        case _:
            return event
