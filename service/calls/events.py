"""What can happen to a call. Time, limits and ids come in with the event; the core asks nobody for them."""

import msgspec

from service.calls.model import Direction


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Who is on the line, as every webhook about the phone's own leg says it."""

    at: float
    ref: str
    call_id: str
    direction: Direction
    room: str
    from_number: str = ""
    to_number: str = ""


class Arrival(Line, frozen=True, kw_only=True):
    """A phone that asks what to do, and what our settings say about such a call.

    Enough to begin a call with: `initiate` may be lost or have met a store that was down, and then a later
    webhook is the first that we hear of the call.
    """

    answered: bool
    """Whether the phone is up already; an inbound call rings until we do something with it."""
    lease_until: float
    announcement: str = ""
    fallback: str = ""


class Initiate(Arrival, frozen=True, tag="initiate"):
    """An inbound call rings (voice API, webhook `initiate`)."""


class Answer(Arrival, frozen=True, tag="answer"):
    """The callee of an outbound call has answered (voice API, webhook `answer`)."""


class Redirect(Arrival, frozen=True, tag="redirect"):
    """Bandwidth asks what the phone does next, because one of our replies or requests told it to."""


class TransferAnswer(msgspec.Struct, frozen=True, tag="transferAnswer"):
    """The B leg has answered; the reply runs on the B leg alone, and its end joins the two."""

    at: float
    attempt: int
    leg_id: str
    tag: str


class TransferComplete(msgspec.Struct, frozen=True, tag="transferComplete"):
    """The B leg is over or never came about, and the phone is still there."""

    at: float
    attempt: int
    cause: str
    error_id: str = ""


class TransferDisconnect(msgspec.Struct, frozen=True, tag="transferDisconnect"):
    """The B leg is over, whatever has become of the phone."""

    at: float
    attempt: int
    cause: str


class Disconnect(Line, frozen=True, kw_only=True, tag="disconnect"):
    """The phone is gone."""

    cause: str
    error_id: str = ""
    sip_response_code: int | None = None


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """A webhook that this release does not know."""

    at: float
    event_type: str


class Joined(msgspec.Struct, frozen=True, kw_only=True, tag="joined"):
    """The attempt's participant is in the session of its room, with its subscription."""

    at: float
    attempt: int
    session_id: str
    participant_id: str
    token_until: float
    silence_ms: float
    requests: int
    retries: int


class JoinFailed(msgspec.Struct, frozen=True, kw_only=True, tag="joinFailed"):
    at: float
    attempt: int
    reason: str
    silence_ms: float = 0
    requests: int = 0
    retries: int = 0


class ParticipantVanished(msgspec.Struct, frozen=True, tag="participantVanished"):
    """Bandwidth no longer knows the participant of a call that is in a session."""

    at: float
    attempt: int


Event = (
    Initiate
    | Answer
    | Redirect
    | TransferAnswer
    | TransferComplete
    | TransferDisconnect
    | Disconnect
    | Unknown
    | Joined
    | JoinFailed
    | ParticipantVanished
)


def name_of(event: Event) -> str:
    return str(event.__struct_config__.tag)
