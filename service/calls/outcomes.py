"""Decides how a call has ended: whose fault each of Bandwidth's causes and each failure of ours is."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from service.calls.events import Disconnect
from service.calls.model import Blame, Call, Direction, Intent, Outcome

NOT_FOUND: Final = "not-found"
ERASED: Final = "erased"
"""The reason of a call of which nothing more is to be known."""
CAUSES: Final[Mapping[str, tuple[Blame, str]]] = MappingProxyType(
    {
        # Voice API, list of causes: declared not exhaustive, so an unlisted one is no error.
        "hangup": (Blame.CALLER, "abandoned"),
        "cancel": (Blame.CALLER, "abandoned"),
        "busy": (Blame.CALLER, "busy"),
        "timeout": (Blame.CALLER, "no-answer"),
        "rejected": (Blame.CALLER, "rejected"),
        "callback-error": (Blame.SERVICE, "webhook-unanswered"),
        "invalid-bxml": (Blame.SERVICE, "invalid-bxml"),
        "application-error": (Blame.SERVICE, "application-error"),
        "account-limit": (Blame.LIMIT, "account-limit"),
        "node-capacity-exceeded": (Blame.BANDWIDTH, "capacity"),
        "error": (Blame.BANDWIDTH, "error"),
        "unknown": (Blame.BANDWIDTH, "unknown"),
        # No cause of Bandwidth's: it knows no such call.
        NOT_FOUND: (Blame.BANDWIDTH, "vanished"),
    }
)
"""For a call that was not bridged and whose failure is not known."""

FAILURES: Final[Mapping[str, Blame]] = MappingProxyType(
    {
        "room-full": Blame.LIMIT,
        "rate-limited": Blame.LIMIT,
        "calls-at-once": Blame.LIMIT,
        "room-closed": Blame.NOBODY,
        "credentials-refused": Blame.SERVICE,
        "request-refused": Blame.SERVICE,
        "internal-error": Blame.SERVICE,
        "token-unusable": Blame.BANDWIDTH,
        "bandwidth-error": Blame.BANDWIDTH,
        "bandwidth-timeout": Blame.BANDWIDTH,
        "participant-vanished": Blame.BANDWIDTH,
        "transfer-failed": Blame.BANDWIDTH,
        "webhook-unanswered": Blame.SERVICE,
        "invalid-bxml": Blame.SERVICE,
        "application-error": Blame.SERVICE,
        "account-limit": Blame.LIMIT,
        "never-heard-of": Blame.BANDWIDTH,
        "nobody-came": Blame.NOBODY,
        "left-alone": Blame.NOBODY,
        "answering-machine": Blame.NOBODY,
        "wrong-pin": Blame.CALLER,
        "pin-guessing": Blame.CALLER,
        "time-limit": Blame.LIMIT,
        "hold-limit": Blame.LIMIT,
        "page-gone": Blame.NOBODY,
        "closed": Blame.LIMIT,
    }
)
"""The reasons for which a way into WebRTC fails, and those for which we end a call."""

_NORMAL: Final = frozenset({"hangup", "cancel"})
_SAME_HANGUP_WINDOW: Final = 2.0
"""Seconds within which the end of a leg and that of its phone are one: whoever was on the phone hung up."""


def outcome_of(call: Call | None, event: Disconnect) -> Outcome:
    blame, reason = _verdict(call, event)
    return Outcome(
        blame=blame,
        reason=reason,
        cause=event.cause,
        error_id=event.error_id,
        sip_response_code=event.sip_response_code,
    )


def is_erased(call: Call) -> bool:
    """Whether all that is left of it is what keeps late webhooks from making something new."""
    return call.outcome is not None and call.outcome.reason == ERASED


def with_outage_hangup(call: Call, at: float) -> Call:
    """The call as it ends at that time: whether we have hung up on it while the store was away.

    Not on who had hung up before the apology, nor on who was connected after it, by a copy of the webhook.
    """
    ours = call.outage_hangup_at and call.leg_answered_at <= call.outage_hangup_at <= at
    return replace(call, failure="internal-error") if ours and not call.failure else call


def with_corrected_outcome(call: Call) -> Call:
    """A call that is over, once we learn that it was us who let it go: the end may be written down first."""
    after = with_outage_hangup(call, call.ended_at)
    if after == call or call.outcome is None:
        return call
    outcome = replace(call.outcome, blame=blame_for(after.failure), reason=after.failure)
    return replace(after, outcome=outcome)


def _verdict(call: Call | None, event: Disconnect) -> tuple[Blame, str]:
    cause = event.cause
    if call is not None and call.failure == "transfer-failed" and cause in CAUSES:
        # Bandwidth says what it was that we did not answer, or answered wrongly.
        failure = failure_of(cause)
        return blame_for(failure), failure
    if call is not None and call.failure:
        return blame_for(call.failure), call.failure
    # A caller who gave up while it rang ("cancel") was never in the room, though its leg may have been.
    if call is not None and call.bridged_at and cause == "hangup":
        if call.leg_lost_at and event.at - call.leg_lost_at > _SAME_HANGUP_WINDOW:
            return blame_for("transfer-failed"), "transfer-failed"
        return Blame.NOBODY, "completed"
    if call is not None and call.intent is Intent.HANGUP and _is_our_doing(cause, event.direction):
        # Somebody has ordered that, or the number that the caller was sent to has hung up.
        return Blame.NOBODY, "completed" if call.transfer_to else "cancelled"
    blame, reason = CAUSES.get(cause, (Blame.BANDWIDTH, "unlisted-cause"))
    if blame is Blame.CALLER and event.direction is Direction.OUTBOUND:
        # "cancel" is the originator's giving up, and of an outbound call that is us.
        return (Blame.NOBODY, "cancelled") if cause == "cancel" else (Blame.CALLEE, reason)
    return blame, reason


def _is_our_doing(cause: str, direction: Direction) -> bool:
    """Whether the call can have ended like this by our request; one that rings is then `rejected` by us."""
    return cause in _NORMAL or (cause == "rejected" and direction is Direction.INBOUND)


def failure_of(cause: str) -> str:
    """Why a way into WebRTC failed, by what Bandwidth says of its leg: ours to mend, or its own."""
    blame, reason = CAUSES.get(cause, CAUSES["unknown"])
    return reason if blame in {Blame.SERVICE, Blame.LIMIT} else "transfer-failed"


def blame_for(failure: str) -> Blame:
    return FAILURES.get(failure, Blame.SERVICE)
