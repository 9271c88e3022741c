"""Defines a call: what is known of it, as a frozen value that is also its stored form."""

from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec.structs import fields, replace

from service.calls.browser import is_browser
from service.calls.looks import Looks
from service.calls.room_settings import InterconnectMode, WaitingSettings

SCHEMA: Final = 1
"""Raised when a stored call gains something that an older release must not lose by writing it back."""


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Phone(StrEnum):
    """The A leg, the call between Bandwidth and the phone."""

    DIALING = "dialing"  # outbound: asked for, not answered yet
    RINGING = "ringing"
    UP = "up"
    GONE = "gone"


class Media(StrEnum):
    """How far the call is into WebRTC: its participant, and the leg that carries its sound there."""

    NONE = "none"
    JOINING = "making"  # a join is under way: seat, session, participant
    READY = "ready"  # a seat is kept, its participant too if it was made in advance, until the phone answers
    TRANSFERRING = "transferring"  # the leg into WebRTC has been asked for and has not answered
    BRIDGED = "bridged"
    LEAVING = "leaving"  # the B leg is over, and Bandwidth will ask what the phone does next


class Intent(StrEnum):
    """What is wanted of the call, whatever it happens to be doing."""

    PIN = "ask"  # digits that name a room
    BRIDGE = "bridge"
    WAIT = "wait"  # to be in a room as soon as somebody else is
    HOLD = "hold"
    TRANSFER = "elsewhere"  # to another number, the fallback for one
    HANGUP = "hangup"


class Leg(StrEnum):
    """The call of ours into WebRTC, where the way in is <Bridge>."""

    NONE = "none"  # not known to be answered
    UP = "up"
    GONE = "gone"


class OnMachine(StrEnum):
    """What to do when a machine answers an outbound call."""

    JOIN = "join"
    HANGUP = "hangup"
    MESSAGE = "message"  # say something to it, then hang up


class Status(StrEnum):
    """The one word that people see: projected from the above, never stored."""

    DIALING = "dialing"
    INITIATED = "initiated"
    JOINING = "joining"
    TRANSFERRING = "transferring"
    BRIDGED = "bridged"
    DETACHED = "detached"
    ENDED = "ended"


class Blame(StrEnum):
    """Whose fault the end of a call was: the first thing an on-call engineer asks."""

    NOBODY = "nobody"
    CALLER = "caller"
    CALLEE = "callee"
    LIMIT = "limit"
    SERVICE = "service"
    BANDWIDTH = "bandwidth"


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a call ended: a value, not a log line."""

    blame: Blame
    reason: str
    cause: str = ""
    """Bandwidth's own word (voice API, `cause` of the disconnect webhook)."""
    error_id: str = ""
    sip_response_code: int | None = None


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What belongs to one attempt to bring a call into its room, and ends with it.

    `Call` has these fields beside its own: a stored call is one flat object, which other releases read too.
    Times are seconds since the epoch.
    """

    attempt: int = 0
    """Counts the joins and transfers. It is in every URL they are given, so that what belongs to an older one
    is told apart."""
    seat_no: int = msgspec.field(default=0, name="place")
    """Which of the attempt's seats is held: a participant that is moved from room to room takes a new one."""
    last_seat_no: int = msgspec.field(default=0, name="places")
    """The last number given to a seat of the attempt."""
    next_room: str = ""
    """The room that the participant is being moved to, into its last seat; empty when it is not."""
    is_early_join: bool = msgspec.field(default=False, name="prepares")
    """Whether the join under way is for a phone that has not answered."""
    lease_until: float = 0
    """While media is making: until then a live replica is taken to be working on it."""
    token_until: float = 0
    """While media is ready or transferring: until then its token, or the leg asked for, may be used."""
    session_id: str = ""
    participant_id: str = ""
    from_pool: bool = msgspec.field(default=False, name="stocked")
    """Whether that was made ahead, for whoever would come."""
    leg_id: str = ""
    """Bandwidth's call id of the leg into WebRTC."""
    uses_bridge: bool = msgspec.field(default=False, name="own_leg")
    """Whether that is a call of ours, to be bridged with the phone, and not the B leg of a transfer."""
    leg: Leg = Leg.NONE
    """What is known of a leg of our own."""
    phone_runs_bridge: bool = msgspec.field(default=False, name="phone_bridges")
    """Whether it was the phone that was told to run the bridge with it."""
    hears: tuple[str, ...] | None = None
    """Ids of the participants that the phone receives; None for everybody in the session."""


class Call(Attempt, frozen=True, omit_defaults=True):
    """One phone call and its way into WebRTC. Times are seconds since the epoch."""

    ref: str
    call_id: str
    direction: Direction
    room: str
    created_at: float
    phone: Phone
    media: Media = Media.NONE
    intent: Intent = Intent.BRIDGE
    schema: int = SCHEMA

    interconnect: InterconnectMode | None = msgspec.field(default=None, name="way")
    """How to get into WebRTC, where somebody has said it for this call; otherwise the room decides."""
    skips_pool: bool = msgspec.field(default=False, name="refuses_stock")
    """Set when a transfer with a participant `from_pool` was rejected. Older releases try once more."""

    from_number: str = ""
    to_number: str = ""
    announcement: str = ""
    announced: bool = False
    """Whether it has been said to a phone that waits for our call into WebRTC."""
    fallback_number: str = msgspec.field(default="", name="fallback")
    """The number that a caller is sent to when the way into WebRTC fails; empty once it is used."""
    transfer_to: str = msgspec.field(default="", name="elsewhere")
    failure: str = ""
    """Why the call is hung up, or its way into WebRTC failed, as a slug."""
    closing_message: str = msgspec.field(default="", name="farewell")
    """What is said before the phone is hung up, where it is not our failure that is to be told."""

    pin_attempts: int = msgspec.field(default=0, name="tries")
    """How often the digits that were entered have named no room."""
    waits_for_others: bool = msgspec.field(default=False, name="waits")
    """Whether to stay outside while nobody else is there, if the room is set so."""
    waiting: WaitingSettings | None = None
    wait_until: float = 0
    """While waiting for somebody to come: until then."""
    summoned_attempt: int = msgspec.field(default=0, name="summoned")
    """The last attempt during which somebody has come."""

    tag: str = ""
    """Of whoever placed the call, for their own use."""
    placed_by: str = ""
    """Name of the API key that placed the call."""
    on_machine: OnMachine = OnMachine.JOIN
    machine_message: str = msgspec.field(default="", name="message")
    """What is said to a machine."""
    machine: str = ""
    """What machine detection has found (voice API, `machineDetectionResult`)."""
    machine_settled: bool = False
    """Whether what it finds later is only written down: a person was heard, or an operator has acted."""
    max_duration: float = 0
    """Seconds after which the call is ended, an outbound one from its answer; 0 for no limit."""
    page_gone_after: float = msgspec.field(default=0, name="page_alone")
    """Seconds for which it goes on with nobody left on the page that has placed it; 0 for no limit."""
    ends_soon: bool = False
    """Whether the caller, who talks to nobody, has still to be told that the call ends soon."""

    answered_at: float = 0
    """When the phone of an outbound call was answered."""
    bridged_at: float = 0
    """When a leg into WebRTC answered for the first time."""
    leg_requested_at: float = msgspec.field(default=0, name="transferred_at")
    """When the latest leg was asked for, by a reply that may have had something said before."""
    leg_answered_at: float = 0
    """When that of the present attempt did."""
    leg_event_time: float = msgspec.field(default=0, name="told_at")
    """When the phone was told of its present leg, or that leg answered, by Bandwidth's clock: a redirect from
    before that is a late copy."""
    leg_lost_at: float = msgspec.field(default=0, name="broken_at")
    """When the last one broke off, with no new one since."""
    short_legs: int = 0
    """How many legs in a row have ended as soon as they began."""
    answered_attempt: int = 0
    """The last attempt whose leg answered: a transfer that is over without it has failed."""
    join_retries: int = msgspec.field(default=0, name="put_off")
    """How often in a row the caller was asked to wait for what Bandwidth did not find."""
    not_found: Looks = Looks()
    """When Bandwidth said that it does not know the call, with no word of it since."""
    ended_at: float = 0
    silence_ms: float = 0
    """From the first webhook to the end of its join: what the caller waited in silence."""
    outage_waits: int = msgspec.field(default=0, name="rounds")
    """How often the caller was told to wait for a moment while the store was away."""
    outage_hangup_at: float = msgspec.field(default=0, name="let_go_at")
    """When the caller was told, with the store still away, that we are sorry, and was hung up."""
    requests: int = 0
    retries: int = 0
    outcome: Outcome | None = None

    @property
    def seat(self) -> str:
        """The place in the room of the present attempt."""
        return seat_of(self.ref, self.attempt, self.seat_no)

    @property
    def next_seat(self) -> str:
        """The place in the room that the participant is being moved to."""
        return seat_of(self.ref, self.attempt, self.last_seat_no)

    @property
    def live(self) -> bool:
        return self.phone is not Phone.GONE

    @property
    def status(self) -> Status:
        if not self.live:
            return Status.ENDED
        if self.phone is Phone.DIALING:
            return Status.DIALING
        if self.media is Media.NONE and not self.bridged_at and self.intent in {Intent.PIN, Intent.WAIT}:
            return Status.INITIATED
        return _STATUS[self.media]


_STATUS: Final = {
    Media.NONE: Status.DETACHED,
    Media.JOINING: Status.JOINING,
    Media.READY: Status.JOINING,
    Media.TRANSFERRING: Status.TRANSFERRING,
    Media.BRIDGED: Status.BRIDGED,
    Media.LEAVING: Status.DETACHED,
}


_NEW_ATTEMPT: Final = {field.name: field.default for field in fields(Attempt)}


def begin_attempt(call: Call, *, number: int, **changes: Any) -> Call:
    """Leave nothing of the attempt before. `changes` are fields of the call, as for `replace`."""
    return replace(call, **{**_NEW_ATTEMPT, "attempt": number, **changes})


_ATTEMPT_DIGITS_LIMIT: Final = 10
"""Of an attempt there are fewer."""


def seat_of(ref: str, attempt: int, seat_no: int = 0) -> str:
    return f"{ref}.{attempt}-{seat_no}" if seat_no else f"{ref}.{attempt}"


def parse_seat(seat: str) -> tuple[str, int]:
    """The ref and the attempt that a seat belongs to; empty and 0 where it is no call's, as a browser's."""
    ref, _, number = seat.rpartition(".")
    attempt = number.partition("-")[0]
    is_number = attempt.isascii() and attempt.isdigit() and len(attempt) < _ATTEMPT_DIGITS_LIMIT
    return (ref, int(attempt)) if ref and is_number and not is_browser(seat) else ("", 0)
