"""How calls end, in words for somebody who was woken up: what it means, and where to look next."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Reason(NamedTuple):
    means: str
    look: str = ""
    """What to do about it; empty where there is nothing."""


UNANSWERED: Final = "docs/runbook.md, PstnTransfersUnanswered"
_STATUS_PAGE: Final = "see the requests above, then Bandwidth's status page; retries go on by themselves"
_TELL_BANDWIDTH: Final = "give Bandwidth the errorId, the call id and the time"

REASONS: Final[Mapping[str, Reason]] = MappingProxyType(
    {
        "completed": Reason("the call took place, and somebody hung up"),
        "cancelled": Reason("it was hung up by request before it was bridged, or answered"),
        "erased": Reason("what was known of the call has been deleted on request"),
        # Why a way into the room failed.
        "room-full": Reason(
            "the room had no free seat", "`pstn-bridge rooms NAME`; a session holds 20 members"
        ),
        "rate-limited": Reason(
            "Bandwidth takes no more requests for now (429)", "slow down, or have the account's limit raised"
        ),
        "calls-at-once": Reason(
            "as many calls were up as API keys may have, and nobody was called",
            "CALLS_PER_HOUR; `pstn-bridge calls`",
        ),
        "room-closed": Reason("the room was closed while the call was in it, or on its way there"),
        "credentials-refused": Reason(
            "Bandwidth refuses our credentials", "`pstn-bridge doctor`; BW_CLIENT_ID and BW_CLIENT_SECRET"
        ),
        "request-refused": Reason(
            "Bandwidth refuses what we ask for", "`pstn-bridge logs --call`: request.sent has the status"
        ),
        "internal-error": Reason("this service failed", "`pstn-bridge logs --call`, lines of level error"),
        "token-unusable": Reason(
            "the device token does not fit into the transfer", "`pstn-bridge logs --call`; UUI_LIMIT"
        ),
        "bandwidth-error": Reason("a request to Bandwidth failed", _STATUS_PAGE),
        "bandwidth-timeout": Reason("Bandwidth did not answer within WEBHOOK_BUDGET", _STATUS_PAGE),
        "participant-vanished": Reason("Bandwidth lost the call's participant", _TELL_BANDWIDTH),
        "transfer-failed": Reason(
            "the leg into WebRTC was not answered, or broke at once", f"BW_SIPX_URI; {_TELL_BANDWIDTH}"
        ),
        "never-heard-of": Reason(
            "Bandwidth was asked for the call, and no webhook of it ever came",
            "`pstn-bridge doctor`: is the callback URL reached?",
        ),
        "nobody-came": Reason("the caller waited outside until the limit, and nobody came"),
        "left-alone": Reason("everybody else left, and the room is set to end then"),
        "answering-machine": Reason("a machine answered, and the order was to hang up then"),
        "wrong-pin": Reason("the caller entered no digits that name a room"),
        "pin-guessing": Reason("the caller had entered ten wrong PINs within an hour"),
        "time-limit": Reason("the call had lasted for as long as it was allowed to"),
        "hold-limit": Reason("nobody took the caller off hold within HOLD_LIMIT"),
        "page-gone": Reason("whoever had called from the page was gone for VISITOR_ALONE"),
        "closed": Reason("no new calls were taken", "`pstn-bridge resume` takes them again"),
        # What Bandwidth gave as the cause of an end.
        "abandoned": Reason(
            "the caller hung up before being in the room", "how long was the caller kept in silence?"
        ),
        "busy": Reason("the line was busy"),
        "no-answer": Reason("nobody answered"),
        "rejected": Reason("the call was declined"),
        "webhook-unanswered": Reason(
            "Bandwidth got no usable answer from us",
            "`pstn-bridge doctor`: is the callback URL reached from outside?",
        ),
        "invalid-bxml": Reason(
            "Bandwidth could not read our answer", "a fault in this service: please report it"
        ),
        "application-error": Reason(
            "Bandwidth met an error in our application", "its settings in Bandwidth's dashboard"
        ),
        "account-limit": Reason(
            "the account has as many calls as it may have", "have the limit raised by Bandwidth"
        ),
        "capacity": Reason("Bandwidth had no room for the call", _TELL_BANDWIDTH),
        "error": Reason("Bandwidth failed", _TELL_BANDWIDTH),
        "unknown": Reason("Bandwidth does not say why", _TELL_BANDWIDTH),
        "unlisted-cause": Reason("Bandwidth gives a cause that is not in its list", _TELL_BANDWIDTH),
        "vanished": Reason("Bandwidth does not know the call any more", _TELL_BANDWIDTH),
    }
)


def reason(slug: str) -> Reason:
    """Also of one that a newer release has written."""
    return REASONS.get(slug, Reason(slug))
