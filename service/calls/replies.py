"""What Bandwidth is told, as recipes: stored with the event they answer and rendered as BXML at the edge."""

import msgspec


class Join(msgspec.Struct, frozen=True, tag="join"):
    """Not a reply yet: the attempt has to be carried out first. Stored, it marks the event as pending."""

    attempt: int


class Transfer(msgspec.Struct, frozen=True, tag="transfer"):
    """Into WebRTC, after the announcement if there is one. The token is kept apart, under its own key."""

    attempt: int
    announcement: str = ""


class KeepTag(msgspec.Struct, frozen=True, tag="keep-tag"):
    """Let the two legs be joined: the B leg repeats its tag, since an empty document would hang it up."""

    tag: str


class Elsewhere(msgspec.Struct, frozen=True, tag="elsewhere"):
    """Transfer to another number, saying so first."""

    attempt: int
    number: str


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """One round of the hold loop."""


class Wait(msgspec.Struct, frozen=True, tag="wait"):
    """A short pause, then ask again: for what is being decided elsewhere, and for what we do not know."""


class Apologise(msgspec.Struct, frozen=True, tag="apologise"):
    """Say what happened, then hang up."""

    reason: str


class Hangup(msgspec.Struct, frozen=True, tag="hangup"):
    pass


class Nothing(msgspec.Struct, frozen=True, tag="nothing"):
    """An empty document. To a notification it says thank you; on a live leg it would hang up."""


Reply = Join | Transfer | KeepTag | Elsewhere | Hold | Wait | Apologise | Hangup | Nothing


def name_of(reply: Reply) -> str:
    return str(reply.__struct_config__.tag)
