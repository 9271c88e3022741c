"""Defines a decision, the value that the state machine returns and the shell carries out."""

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
from service.calls.replies import HangUp, NoReply, PendingJoin, RecordedReply, Reply, Wait

HANG_UP_DELAY: Final = 30.0
"""Seconds that a caller is given to hear what is said before the phone is hung up by request."""

_WANT_BXML: Final = (PhoneRequest, TransferComplete, UnknownWebhook, Joined, JoinFailed, FoundEmpty)
"""Events whose reply runs on the phone's leg, where an empty document would hang up."""


class Decision(msgspec.Struct, frozen=True):
    call: Call | None
    reply: Reply
    """What Bandwidth is told. With `join`: what a copy of the webhook is told until the outcome is known."""
    effects: tuple[Scheduled, ...] = ()
    cancels: tuple[str, ...] = ()
    """Ids of effects that are not wanted any more."""
    join: bool = False
    """Whether the call's present attempt has to be carried out; the reply then follows from its outcome."""
    drops_token: bool = False
    note: str = ""
    """Why an event was ignored, for the log."""
    refusal_reason: str = ""
    """Why an order cannot be obeyed, for the client that gave it."""

    @property
    def recorded_reply(self) -> RecordedReply:
        """What is stored and logged as the answer to the event."""
        return PendingJoin(self.call.attempt) if self.join and self.call is not None else self.reply


def ignore(call: Call | None, reason: str, event: Event) -> Decision:
    """Nothing changes; a live caller is kept on the line, and a B leg that does not fit is let go."""
    reply: Reply = NoReply()
    if isinstance(event, TransferAnswer | LegAnswer | LegBridgeComplete):
        reply = HangUp()
    elif isinstance(event, _WANT_BXML) and call is not None and call.live:
        reply = Wait()
    return Decision(call, reply, note=reason)
