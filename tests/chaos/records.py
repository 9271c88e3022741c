"""What browsers and listeners of a turn did and saw. Times are monotonic seconds."""

from typing import Any, Literal

import msgspec

from tests.chaos.times import NEVER
from tests.event_listener import ReceivedEvent

Kind = Literal["api", "page"]


class SeatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request about a seat: `beat`, `look` (whether it is there), `leave`. `status` None: no answer came.

    `asked`: whether it went out at all; a heartbeat that is lost on its way does not.
    """

    kind: Literal["beat", "look", "leave"]
    sent_at: float
    over: float
    status: int | None
    asked: bool = True


class PostedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A participant event that Bandwidth has posted. `status` None: it was lost, or nobody has answered."""

    name: str
    sent_at: float
    over: float
    status: int | None


class BrowserSeat(msgspec.Struct, kw_only=True):
    """One seat of one browser, from the answer that gave it to the browser."""

    number: int
    """Of the life."""
    kind: Kind
    room: str
    participant_id: str
    asked_at: float
    given_at: float
    requests: list[SeatRequest] = []
    events: list[PostedEvent] = []
    next_asked_at: float = NEVER
    """When the same visit asked for another seat, which ends this one."""
    vanished_at: float = NEVER
    """When Bandwidth has deleted the participant, as it does when a device has gone."""
    is_in_session: bool | None = None
    """At the end of a turn, in calm weather: whether API and Bandwidth say that it is in its room's session.
    None where nobody has looked."""
    looked_at: float = NEVER
    view: str = ""
    """What was seen when they did not."""


class InvitationUse(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an invitation. `tries`: how often it was sent; `status`: that of the last answer.

    `used`: it had opened the room before, and was answered so. `invited_at`: when it was asked for.
    """

    number: int
    room: str
    tries: int
    status: int | None
    used: bool = False
    invited_at: float = NEVER
    over: float = NEVER


class ListenerConnection(msgspec.Struct, kw_only=True):
    """One connection of a listener. `last`: the id it came with, empty for none."""

    host: str
    begun: float
    last: str
    status: int | None = None
    """None: nobody has answered."""
    over: float = NEVER
    heard: list[ReceivedEvent] = []
    """All events, marks and snapshots included."""


class ListenerRecord(msgspec.Struct, kw_only=True):
    """Somebody who listens to a room, or to all of them, over several connections."""

    number: int
    room: str | None
    visit: bool = False
    """Whether it is the page of a visitor, not an operator."""
    connections: list[ListenerConnection] = []
    stayed: bool = False
    """Whether it listened until the turn was over and settled, and heard something after that."""
    stays: bool = False
    """Whether it meant to."""


class AwaitedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order of which the operator waited for the effect at the phone, the browser or the room.

    `came`: monotonic seconds at which it was seen. `explained`: why it was not to be expected any more, empty
    where nothing explains it.
    """

    method: str
    path: str
    body: object
    asked_at: float
    over: float
    came: float | None
    explained: str = ""


class Records(msgspec.Struct):
    browsers: list[BrowserSeat] = []
    invitation_uses: list[InvitationUse] = []
    listeners: list[ListenerRecord] = []
    awaited: list[AwaitedOrder] = []
    erased: dict[str, dict[str, Any]] = {}
    """What the API has said last of calls that had ended, and that an operator then asked to erase; by call
    id."""
    refs: dict[str, str] = {}
    """By call id, kind the API called each call that an operator then asked to erase, whether it had ended or
    not: it may end between the look and the request, and nobody can ask any more."""
