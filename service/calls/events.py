"""Defines the events of a call. Time, limits and ids come in with the event; the core asks for none of them.

Webhooks of Bandwidth, the outcomes of what the shell was asked to do, orders of operators, what rooms say.
The parser of a webhook fills in what Bandwidth says. `service.calls.incoming` adds what our settings say.
"""

import msgspec

from service.calls.looks import CallChecked
from service.calls.model import Direction, OnMachine
from service.calls.pin_guessing import NO_WRONG_PINS, WrongPinCounts
from service.calls.request_record import RequestRecord
from service.calls.room_settings import AloneAction, InterconnectMode, WaitingSettings


class PhoneEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Who is on the line, as every webhook about the phone's own leg says it."""

    at: float
    ref: str
    call_id: str
    direction: Direction
    room: str = ""
    """By our settings."""
    from_number: str = ""
    to_number: str = ""
    sip_call_id: str = ""


class PhoneRequest(PhoneEvent, frozen=True, kw_only=True):
    """A phone that asks what to do, and what our settings say about such a call.

    Enough to begin a call with: `initiate` may be lost or have met a store that was down, and then a later
    webhook is the first that we hear of the call.
    """

    answered: bool
    """Whether the phone is up already; an inbound call rings until we do something with it."""
    lease_until: float = 0
    """When the time for the webhook is over, by our settings (seconds since the epoch)."""
    first_at: float = 0
    """When it came first, where it was told to come back meanwhile; 0 where it was not."""
    outage_waits: int = 0
    """How often it was told to, as nothing could be decided while the store was away."""
    announcement: str = ""
    fallback_number: str = ""
    waits_for_others: bool = False
    """Whether to stay outside of a room where nobody is, if the room is set so."""
    pin_attempts_allowed: int = 0
    """How often digits may be entered before the caller is let go; 0 where the number names the room."""
    max_duration: float = 0
    """Seconds after which the call is ended; 0 for no limit."""
    closed_message: str = ""
    """What a caller is told while no new calls are taken; empty while they are."""
    wrong_pins: WrongPinCounts = NO_WRONG_PINS
    """Wrong PINs of the last hour, this one with them; counted where digits are asked for."""


# Webhooks ---------------------------------------------------------------------------------------------------


class Initiate(PhoneRequest, frozen=True, tag="initiate"):
    """An inbound call rings (voice API, webhook `initiate`)."""


class Answer(PhoneRequest, frozen=True, tag="answer"):
    """The callee of an outbound call has answered (voice API, webhook `answer`)."""

    machine: str = ""
    """What machine detection has found, where the answer waited for it."""


class Redirected(PhoneRequest, frozen=True, tag="redirect"):
    """Bandwidth asks what the phone does next, because one of our replies or requests told it to."""

    event_time: float = 0
    """When that was, in seconds since the epoch by Bandwidth's clock; 0 where that is not known."""


class Gathered(PhoneRequest, frozen=True, tag="gather"):
    """Digits have been entered, or none in time (voice API, webhook `gather`)."""

    digits: str = ""
    """Empty again by the time that it is decided upon: they are as good as a password."""
    pin_room: str = ""
    """The room that they name; empty when there is none."""


class BridgeComplete(PhoneRequest, frozen=True, kw_only=True, tag="bridgeComplete"):
    """The phone is out of its bridge, or never got in, and asks what to do.

    `bridgeComplete` or `bridgeTargetComplete`, by which of the two calls was told to bridge.
    """

    attempt: int
    cause: str = ""


class AskedToRetry(PhoneRequest, frozen=True, tag="turnedAway"):
    """A phone was asked to come back, for the store was away: written down when it is there again.

    Should the phone not come back, it is known all the same that it called.
    """

    outage_hangup_at: float = 0
    """When it was told that we are sorry and was hung up, after too many rounds; 0 where it was not."""


class TransferAnswer(msgspec.Struct, frozen=True, tag="transferAnswer"):
    """The B leg has answered; the reply runs on the B leg alone, and its end joins the two."""

    at: float
    attempt: int
    leg_id: str
    tag: str
    event_time: float = 0
    """As in `Redirected`."""
    accepted_without_call: bool = False
    """Whether the leg was answered without knowing the call: by now the phone has talked on it."""


class TransferComplete(msgspec.Struct, frozen=True, tag="transferComplete"):
    """The B leg is over or never came about, and the phone is still there."""

    at: float
    attempt: int
    cause: str
    error_id: str = ""
    sip_call_id: str = ""
    short_leg: float = 5.0
    """Seconds; a leg that lasted less was not talked on."""


class TransferDisconnect(msgspec.Struct, frozen=True, tag="transferDisconnect"):
    """The B leg is over, whatever has become of the phone."""

    at: float
    attempt: int
    cause: str
    error_id: str = ""
    sip_call_id: str = ""
    sip_response_code: int | None = None


class LegNoted(msgspec.Struct, frozen=True, tag="legNoted"):
    """Something about the B leg that changes nothing: its end is told by `transferDisconnect`."""

    at: float
    event_type: str
    leg_id: str
    tag: str = ""
    """The tag that it keeps, where it wants a reply."""
    wants_reply: bool = False


class LegAnswer(msgspec.Struct, frozen=True, tag="legAnswer"):
    """The call of ours into WebRTC has answered, or asks again what to do."""

    at: float
    attempt: int
    leg_id: str
    event_time: float = 0
    """As in `Redirected`."""


class LegBridgeComplete(msgspec.Struct, frozen=True, tag="legBridgeComplete"):
    """That call is out of the bridge, or never got in: then `cause` says why."""

    at: float
    attempt: int
    cause: str = ""


class LegDisconnect(msgspec.Struct, frozen=True, tag="legDisconnect"):
    """That call has ended, or was never answered."""

    at: float
    attempt: int
    cause: str
    leg_id: str = ""
    error_id: str = ""
    sip_call_id: str = ""
    sip_response_code: int | None = None


class MachineDetected(msgspec.Struct, frozen=True, tag="machineDetectionComplete"):
    at: float
    value: str


class Disconnect(PhoneEvent, frozen=True, kw_only=True, tag="disconnect"):
    """The phone is gone."""

    cause: str
    error_id: str = ""
    sip_response_code: int | None = None


class FoundEnded(Disconnect, frozen=True, kw_only=True, tag="foundEnded"):
    """The phone is gone, as Bandwidth says on being asked; its webhook never came."""


class UnknownWebhook(msgspec.Struct, frozen=True, tag="unknown"):
    """A webhook that this release does not know."""

    at: float
    event_type: str


# Outcomes of what was asked for -----------------------------------------------------------------------------


class Joined(msgspec.Struct, frozen=True, kw_only=True, tag="joined"):
    """The attempt's participant is in the session of its room, with its subscription."""

    at: float
    attempt: int
    room: str
    session_id: str
    participant_id: str
    token_until: float
    leg_id: str = ""
    """Of our call into WebRTC, where the way in is <Bridge>."""
    announcement: str = ""
    """Of the room; empty for that of the call."""
    from_pool: bool = False
    """Whether the participant was made ahead, for whoever would come."""
    silence_ms: float = 0
    requests: int = 0
    retries: int = 0
    request_records: tuple[RequestRecord, ...] = ()


class JoinFailed(msgspec.Struct, frozen=True, kw_only=True, tag="joinFailed"):
    at: float
    attempt: int
    room: str
    reason: str
    is_temporary: bool = False
    """Whether that may be over in a moment."""
    silence_ms: float = 0
    requests: int = 0
    retries: int = 0
    request_records: tuple[RequestRecord, ...] = ()


class FoundEmpty(msgspec.Struct, frozen=True, kw_only=True, tag="foundEmpty"):
    """Nobody is in the room, and the room is one to wait for."""

    at: float
    attempt: int
    room: str
    waiting: WaitingSettings


class Moved(msgspec.Struct, frozen=True, kw_only=True, tag="moved"):
    """The participant is in the session of another room."""

    at: float
    attempt: int
    seat_no: int
    room: str
    session_id: str


class MoveFailed(msgspec.Struct, frozen=True, kw_only=True, tag="moveFailed"):
    """It could not get there and is where it was."""

    at: float
    attempt: int
    seat_no: int
    room: str
    reason: str


class Placed(msgspec.Struct, frozen=True, tag="placed"):
    """createCall has given an outbound call its id."""

    at: float
    call_id: str
    request_records: tuple[RequestRecord, ...] = ()


class NotPlaced(msgspec.Struct, frozen=True, tag="notPlaced"):
    """There is no call, and there will be none: it was never asked for, or refused."""

    at: float
    reason: str
    request_records: tuple[RequestRecord, ...] = ()


class DialingTimedOut(msgspec.Struct, frozen=True, tag="dialingOver"):
    """An outbound call has not been answered for so long that it has ended without our hearing of it."""

    at: float


class TimeUp(msgspec.Struct, frozen=True, tag="timeUp"):
    """The call has lasted as long as it may."""

    at: float


class TimeNearlyUp(msgspec.Struct, frozen=True, tag="timeShort"):
    """The call has nearly lasted as long as it may."""

    at: float


class HoldTimeUp(msgspec.Struct, frozen=True, tag="holdUp"):
    """The call has been on hold for as long as it may, or with `is_warning` nearly so."""

    at: float
    attempt: int
    is_warning: bool


# Orders of operators ----------------------------------------------------------------------------------------


class Dial(msgspec.Struct, frozen=True, kw_only=True, tag="dial"):
    """Somebody wants a number to be called and brought into a room."""

    at: float
    ref: str
    room: str
    from_number: str
    to_number: str
    dial_until: float
    """When Bandwidth must have told us what became of it (seconds since the epoch)."""
    early_join_until: float = 0
    """Until when a replica makes the participant in advance; 0 for when the phone answers."""
    interconnect: InterconnectMode | None = None
    announcement: str = ""
    fallback_number: str = ""
    tag: str = ""
    placed_by: str = ""
    max_duration: float = 0
    page_gone_after: float = 0
    """For a call that a page has placed; see Call."""
    on_machine: OnMachine = OnMachine.JOIN
    machine_message: str = ""


class OrderHold(msgspec.Struct, frozen=True, tag="orderHold"):
    """Out of the room and on hold. `limit`: seconds after which the call is ended; 0 for no limit."""

    at: float
    limit: float = 0


class OrderJoin(msgspec.Struct, frozen=True, tag="orderJoin"):
    """Into a room, out of whatever the phone is doing."""

    at: float
    room: str
    interconnect: InterconnectMode | None = None


class OrderTransfer(msgspec.Struct, frozen=True, tag="orderTransfer"):
    at: float
    number: str


class OrderHangup(msgspec.Struct, frozen=True, tag="orderHangup"):
    at: float


class OrderSubscriptions(msgspec.Struct, frozen=True, tag="orderSubscriptions"):
    """Whom the phone hears: the participants with these ids, or everybody."""

    at: float
    hears: tuple[str, ...] | None


# What rooms say ---------------------------------------------------------------------------------------------


class Summoned(msgspec.Struct, frozen=True, tag="summoned"):
    """Somebody has come into the room that the call waits for."""

    at: float
    room: str


class LeftAlone(msgspec.Struct, frozen=True, kw_only=True, tag="leftAlone"):
    """Everybody else has been gone for a while."""

    at: float
    attempt: int
    room: str
    then: AloneAction


class RoomClosed(msgspec.Struct, frozen=True, kw_only=True, tag="evicted"):
    """The room has been closed."""

    at: float
    attempt: int
    room: str


class PageGone(msgspec.Struct, frozen=True, tag="pageGone"):
    """Nobody has been on the page of the room for a while."""

    at: float
    room: str


class ParticipantVanished(msgspec.Struct, frozen=True, tag="participantVanished"):
    """Bandwidth no longer knows the participant of a call that is in a session."""

    at: float
    attempt: int


Order = OrderHold | OrderJoin | OrderTransfer | OrderHangup | OrderSubscriptions
"""What an operator may tell a call that exists; one that does not fit is refused."""

Event = (
    Initiate
    | Answer
    | Redirected
    | Gathered
    | BridgeComplete
    | AskedToRetry
    | TransferAnswer
    | TransferComplete
    | TransferDisconnect
    | LegNoted
    | LegAnswer
    | LegBridgeComplete
    | LegDisconnect
    | MachineDetected
    | Disconnect
    | FoundEnded
    | CallChecked
    | UnknownWebhook
    | Joined
    | JoinFailed
    | FoundEmpty
    | Moved
    | MoveFailed
    | Placed
    | NotPlaced
    | DialingTimedOut
    | TimeUp
    | TimeNearlyUp
    | HoldTimeUp
    | Dial
    | Order
    | Summoned
    | LeftAlone
    | RoomClosed
    | PageGone
    | ParticipantVanished
)


def asked_to_retry(event: PhoneRequest, *, outage_hangup_at: float = 0) -> AskedToRetry:
    said = {name: getattr(event, name) for name in PhoneRequest.__struct_fields__}
    return AskedToRetry(**said, outage_hangup_at=outage_hangup_at)


def event_name(event: Event) -> str:
    return str(event.__struct_config__.tag)
