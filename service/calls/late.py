"""Decides whether the leg into WebRTC answers in time. The caller hears nothing until it does."""

from typing import Final, Literal

from service.calls.events import Event
from service.calls.model import Call, Leg, Media

LEG_ANSWER_TIME: Final = 10.0
"""Seconds in which a leg answers; most need less than one."""
_SECONDS_PER_CHARACTER: Final = 0.1
"""Seconds that a character takes to be said, with some to spare."""
_NORMAL_CAUSES: Final = frozenset({"", "hangup", "cancel"})


def overdue_seconds(call: Call, now: float) -> float:
    """Seconds for which its leg has not answered, more than it should take; 0 while all may be well.

    Also 0 where a replica of an older release has asked for the leg: it does not write down when.
    """
    if call.media is not Media.TRANSFERRING or not call.live or not call.leg_requested_at:
        return 0
    said = 0 if call.uses_bridge or call.bridged_at else len(call.announcement) * _SECONDS_PER_CHARACTER
    seconds = now - call.leg_requested_at
    return seconds if seconds >= LEG_ANSWER_TIME + said else 0


def leg_result(before: Call | None, after: Call, event: Event) -> Literal["", "answered", "unanswered"]:
    """What has become of the leg that was asked for; empty for nothing yet, or nothing to tell."""
    if before is None:
        return ""
    if before.media is not Media.TRANSFERRING:
        # A leg of ours may have ended before its caller's way in was ready.
        was_making = before.media is Media.JOINING and before.leg is Leg.GONE
        return "unanswered" if was_making and after.failure and not before.failure else ""
    if after.answered_attempt == before.attempt != before.answered_attempt:
        return "answered"
    if after.live and after.media is Media.TRANSFERRING:
        return ""
    failed = getattr(event, "cause", "") not in _NORMAL_CAUSES or before.leg is Leg.GONE
    return "unanswered" if failed or overdue_seconds(before, event.at) else ""
