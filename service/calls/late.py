"""Whether the leg into WebRTC answers in time: its caller hears nothing meanwhile."""

from typing import Final, Literal

from service.calls.events import Event
from service.calls.model import Call, Leg, Media

PROMPT: Final = 10.0
"""Seconds in which a leg answers; most need less than one."""
_SPOKEN: Final = 0.1
"""Seconds that a character takes to be said, with some to spare."""
_AS_WANTED: Final = frozenset({"", "hangup", "cancel"})


def waited(call: Call, now: float) -> float:
    """Seconds for which its leg has not answered, more than it should take; 0 while all may be well.

    Also 0 where a replica of an older release has asked for the leg: it does not write down when.
    """
    if call.media is not Media.TRANSFERRING or not call.live or not call.transferred_at:
        return 0
    said = 0 if call.own_leg or call.bridged_at else len(call.announcement) * _SPOKEN
    seconds = now - call.transferred_at
    return seconds if seconds >= PROMPT + said else 0


def came_about(before: Call | None, after: Call, event: Event) -> Literal["", "answered", "unanswered"]:
    """What has become of the leg that was asked for; empty for nothing yet, or nothing to tell."""
    if before is None:
        return ""
    if before.media is not Media.TRANSFERRING:
        # A leg of ours may have ended before its caller's way in was ready.
        was_making = before.media is Media.MAKING and before.leg is Leg.GONE
        return "unanswered" if was_making and after.failure and not before.failure else ""
    if after.answered_attempt == before.attempt != before.answered_attempt:
        return "answered"
    if after.live and after.media is Media.TRANSFERRING:
        return ""
    failed = getattr(event, "cause", "") not in _AS_WANTED or before.leg is Leg.GONE
    return "unanswered" if failed or waited(before, event.at) else ""
