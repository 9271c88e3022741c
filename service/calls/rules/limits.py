"""Calls that would have no end: time limits, and the sentence before them.

Nothing can be said to a caller who talks: Bandwidth ends a transfer or bridge before it says anything to one
of its calls (voice API, updateCall). Such a caller is told when the time is up; callers on hold and those who
wait outside are told before as well.
"""

from msgspec.structs import replace

from service.calls.decision import Decision
from service.calls.effects import Owed, TellHoldUp
from service.calls.events import HoldUp, PageGone, TimeShort, TimeUp
from service.calls.model import Call, Intent, Media, Phone
from service.calls.replies import Nothing
from service.calls.rules.parts import SOON, ask_phone, break_off, hang_up, turn


def time_up(call: Call, event: TimeUp) -> Decision:
    if call.intent is Intent.HANGUP:
        return Decision(call, Nothing())
    return turn(call, replace(break_off(call), intent=Intent.HANGUP, failure="time-limit"), event.at)


def time_short(call: Call, event: TimeShort) -> Decision:
    if call.media is Media.MAKING:
        # Who finds nobody there is told before waiting on.
        return Decision(replace(call, ends_soon=True), Nothing())
    if call.media is Media.NONE and call.intent in {Intent.HOLD, Intent.WAIT}:
        return Decision(replace(call, ends_soon=True), Nothing(), owed=ask_phone(call, event.at))
    return Decision(call, Nothing(), note="nothing can be said to the call now")


def hold_up(call: Call, event: HoldUp) -> Decision:
    if call.intent is not Intent.HOLD:
        return Decision(call, Nothing(), note="the call is not on hold")
    if not event.soon:
        return turn(call, replace(break_off(call), intent=Intent.HANGUP, failure="hold-limit"), event.at)
    last = Owed(TellHoldUp(call.ref, call.attempt, soon=False), event.at + SOON)
    return Decision(replace(call, ends_soon=True), Nothing(), owed=(*ask_phone(call, event.at), last))


def page_gone(call: Call, event: PageGone) -> Decision:
    """Of the phones in a room only those that its page has called."""
    if not call.page_alone or call.room != event.room or call.next_room or call.intent is not Intent.BRIDGE:
        return Decision(call, Nothing(), note="no page is missed")
    over = replace(break_off(call), intent=Intent.HANGUP, failure="page-gone")
    decision = turn(call, over, event.at)
    if call.phone is Phone.DIALING:
        return replace(decision, owed=(*decision.owed, *hang_up(call, event.at)))
    return decision
