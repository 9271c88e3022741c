"""Defines the replies to webhooks as recipes, which are stored as they are and rendered as BXML later."""

import msgspec

from service.calls.room_settings import WaitingSettings


class TransferToWebRtc(msgspec.Struct, frozen=True, omit_defaults=True, tag="transfer"):
    """Into WebRTC, after the announcement if there is one. The token is kept apart, under its own key."""

    attempt: int
    announcement: str = ""


class AcceptLeg(msgspec.Struct, frozen=True, tag="keep-tag"):
    """Let the two legs be joined: the B leg repeats its tag, since an empty document would hang it up."""

    tag: str


class TransferToNumber(msgspec.Struct, frozen=True, omit_defaults=True, tag="elsewhere"):
    """Transfer to another number, saying so first."""

    attempt: int
    number: str
    diverted: bool = False
    """Whether the call tells who takes it that it was meant for a number of ours."""


class Hold(msgspec.Struct, frozen=True, omit_defaults=True, tag="hold"):
    """One round of the hold loop; `ends_soon`: after saying so."""

    ends_soon: bool = False


class GatherPin(msgspec.Struct, frozen=True, omit_defaults=True, tag="ask-digits"):
    """Have digits entered that name a room; `after_wrong_pin` after wrong ones."""

    after_wrong_pin: bool = msgspec.field(default=False, name="again")


class WaitForOthers(msgspec.Struct, frozen=True, omit_defaults=True, tag="await-others"):
    """One round of waiting for somebody to come; `ends_soon`: after saying that the call does."""

    waiting: WaitingSettings
    ends_soon: bool = False


class RingWhileDialing(msgspec.Struct, frozen=True, omit_defaults=True, tag="park"):
    """The announcement where there is one, otherwise ringing, while our call into WebRTC is not answered."""

    attempt: int
    announcement: str = ""


class HoldLeg(msgspec.Struct, frozen=True, tag="park-leg"):
    """Keep our call into WebRTC for when the phone can be bridged with it."""

    attempt: int


class BridgeLeg(msgspec.Struct, frozen=True, omit_defaults=True, tag="bridge-leg"):
    """The phone asks: bridge it with our call into WebRTC."""

    attempt: int
    leg_id: str
    announcement: str = ""


class BridgePhone(msgspec.Struct, frozen=True, tag="bridge-phone"):
    """Our call into WebRTC asks: bridge it with the phone."""

    attempt: int
    call_id: str


class Wait(msgspec.Struct, frozen=True, omit_defaults=True, tag="wait"):
    """A short pause, then ask again: for what is being decided elsewhere, and for what we do not know."""

    seconds: float = 1.0


class ErrorAndHangUp(msgspec.Struct, frozen=True, tag="apologise"):
    """Say what happened, then hang up."""

    reason: str


class SayAndHangUp(msgspec.Struct, frozen=True, tag="farewell"):
    """Say this, then hang up."""

    text: str


class HangUp(msgspec.Struct, frozen=True, tag="hangup"):
    pass


class NoReply(msgspec.Struct, frozen=True, tag="nothing"):
    """An empty document. To a notification it says thank you; on a live leg it would hang up."""


Reply = (
    TransferToWebRtc
    | AcceptLeg
    | TransferToNumber
    | Hold
    | GatherPin
    | WaitForOthers
    | RingWhileDialing
    | HoldLeg
    | BridgeLeg
    | BridgePhone
    | Wait
    | ErrorAndHangUp
    | SayAndHangUp
    | HangUp
    | NoReply
)


class PendingJoin(msgspec.Struct, frozen=True, tag="join"):
    """Is stored in place of a reply while the join is carried out whose outcome decides what to say."""

    attempt: int


RecordedReply = Reply | PendingJoin


def reply_name(reply: RecordedReply) -> str:
    return str(reply.__struct_config__.tag)
