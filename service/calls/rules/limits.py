"""Holds the rules for time limits, and for the sentence before a call ends.

Nothing can be said to a caller who talks: Bandwidth ends a transfer or bridge before it says anything to one
of its calls (voice API, updateCall). Such a caller is told when the time is up; callers on hold and those who
wait outside are told before as well.
"""

from msgspec.structs import replace

from service.calls.decision import Decision
from service.calls.effects import Scheduled, TellHoldTimeUp
from service.calls.events import HoldTimeUp, PageGone, TimeNearlyUp, TimeUp
from service.calls.model import Call, Intent, Media, Phone
from service.calls.replies import NoReply
from service.calls.rules.parts import WARN_BEFORE_END, abort_attempt, hang_up, redirect_phone, switch_to


def time_up(call: Call, event: TimeUp) -> Decision:
    if call.intent is Intent.HANGUP:
        return Decision(call, NoReply())
    return switch_to(call, replace(abort_attempt(call), intent=Intent.HANGUP, failure="time-limit"), event.at)


def time_nearly_up(call: Call, event: TimeNearlyUp) -> Decision:
    if call.media is Media.JOINING:
        # Who finds nobody there is told before waiting on.
        return Decision(replace(call, ends_soon=True), NoReply())
    if call.media is Media.NONE and call.intent in {Intent.HOLD, Intent.WAIT}:
        return Decision(replace(call, ends_soon=True), NoReply(), effects=redirect_phone(call, event.at))
    return Decision(call, NoReply(), note="nothing can be said to the call now")


def hold_time_up(call: Call, event: HoldTimeUp) -> Decision:
    if call.intent is not Intent.HOLD:
        return Decision(call, NoReply(), note="the call is not on hold")
    if not event.is_warning:
        return switch_to(
            call, replace(abort_attempt(call), intent=Intent.HANGUP, failure="hold-limit"), event.at
        )
    last = Scheduled(TellHoldTimeUp(call.ref, call.attempt, is_warning=False), event.at + WARN_BEFORE_END)
    return Decision(replace(call, ends_soon=True), NoReply(), effects=(*redirect_phone(call, event.at), last))


def page_gone(call: Call, event: PageGone) -> Decision:
    """Of the phones in a room only those that its page has called."""
    if (
        not call.page_gone_after
        or call.room != event.room
        or call.next_room
        or call.intent is not Intent.BRIDGE
    ):
        return Decision(call, NoReply(), note="no page is missed")
    over = replace(abort_attempt(call), intent=Intent.HANGUP, failure="page-gone")
    decision = switch_to(call, over, event.at)
    if call.phone is Phone.DIALING:
        return replace(decision, effects=(*decision.effects, *hang_up(call, event.at)))
    return decision
