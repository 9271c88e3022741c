"""What the state machine answers: a value that the shell carries out."""

from typing import Final

import msgspec

from service.calls.effects import Scheduled
from service.calls.events import (
    Event,
    FoundEmpty,
    Joined,
    JoinFailed,
    LegAnswer,
    LegBridgeComplete,
    PhoneRequest,
    TransferAnswer,
    TransferComplete,
    UnknownWebhook,
)
from service.calls.model import Call
from service.calls.replies import HangUp, NoReply, Reply, Wait

HANG_UP_DELAY: Final = 30.0
"""Seconds that a caller is given to hear what is said before the phone is hung up by request."""

_WANT_BXML: Final = (PhoneRequest, TransferComplete, UnknownWebhook, Joined, JoinFailed, FoundEmpty)
"""Events whose reply runs on the phone's leg, where an empty document would hang up."""


class Decision(msgspec.Struct, frozen=True):
    call: Call | None
    reply: Reply
    effects: tuple[Scheduled, ...] = ()
    cancels: tuple[str, ...] = ()
    """Ids of effects that are not wanted any more."""
    drops_token: bool = False
    note: str = ""
    """Why an event was ignored, for the log."""
    refusal_reason: str = ""
    """Why an order cannot be obeyed, for whoever gave it."""


def ignore(call: Call | None, reason: str, event: Event) -> Decision:
    """Nothing changes; a live caller is kept on the line, and a B leg that does not fit is let go."""
    reply: Reply = NoReply()
    if isinstance(event, TransferAnswer | LegAnswer | LegBridgeComplete):
        reply = HangUp()
    elif isinstance(event, _WANT_BXML) and call is not None and call.live:
        reply = Wait()
    return Decision(call, reply, note=reason)
