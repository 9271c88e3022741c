"""What the simulator and operators know of each call, put together once for all eyes.

Nothing in here comes from the service but the ref by which it names a call in URLs.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from tests.chaos.scenarios.rooms import NUMBERS, PIN_NUMBER
from tests.chaos.times import NEVER
from tests.simulator.interpreter import SPEECH_SECONDS_AT_MOST, SPEECH_SECONDS_PER_CHARACTER
from tests.simulator.journal import Delivery, PhoneChanged, SoundHeard, SpeechHeard

if TYPE_CHECKING:
    from tests.chaos.api import OperatorRequest
    from tests.chaos.evidence import Evidence

PIN_ROOM = "code"
_URL = re.compile(r"/callbacks/(voice|legs)/([^/?]+)(?:/(\d+))?")
_ORDER = re.compile(r"/calls/([^/]+)/(join|remove|hold|transfer|hangup)")
_ROOM = re.compile(r"/rooms/([^/]+)$")


class LegHistory(msgspec.Struct):
    """The B leg of a transfer, or the call of ours that the phone is bridged with.

    Times are monotonic seconds, NEVER where it has not come to that.
    """

    leg_id: str
    to: str
    begun: float = 0
    bridged_at: float = NEVER
    ended_at: float = NEVER
    cause: str = ""
    hung_up: bool = False
    """Whether the far end has hung up."""
    ours: bool = False
    """Whether it is a call of ours."""


class HeardSound(msgspec.Struct, frozen=True):
    at: float
    kind: str
    """`speak`, `ring` or `play`."""
    text: str = ""
    seconds: float = 0
    """How long it lasts, unless it is cut off."""


class OrderHistory(msgspec.Struct, frozen=True):
    """An operator's, that may have been carried out."""

    kind: str
    """`join`, `remove`, `transfer` or `hangup`."""
    sent_at: float
    host: str = ""
    """The replica that has taken it."""
    over: float = NEVER
    """When it was accepted; NEVER where nobody knows whether it was."""
    room: str = ""
    """Where it sends the call."""


class CallHistory(msgspec.Struct):
    """Of one phone's call, in order. Times are monotonic seconds, NEVER where it has not come to that."""

    call_id: str
    inbound: bool
    to: str
    ref: str = ""
    answered_at: float = NEVER
    ended_at: float = NEVER
    cause: str = ""
    hung_up: bool = False
    """Whether the end was brought about at the phone itself."""
    stages: list[tuple[float, str]] = []
    """When it came to each stage."""
    heard: list[HeardSound] = []
    legs: list[LegHistory] = []
    deliveries: list[Delivery] = []
    """Of the phone, its legs, and the call of ours that it is bridged with."""
    lost: list[Delivery] = []
    """Those that never arrived."""
    orders: list[OrderHistory] = []
    """Of this call alone."""
    rooms: set[str] = set()
    """In which it may be, or have been."""
    ordered_at: float = NEVER
    """When an operator asked for it first."""
    first_rooms: set[str] = set()
    """In which it may be from its beginning; orders have sent it to the others."""

    def sent_to(self, room: str) -> float:
        """From when on it may be in this room."""
        if room in self.first_rooms:
            return min(self.ordered_at, *(at for at, _ in self.stages[:1]), NEVER)
        return min((one.sent_at for one in self.orders if one.room == room), default=NEVER)

    def stage_at(self, at: float) -> str:
        """Empty before it has rung."""
        found = ""
        for since, stage in self.stages:
            if since > at:
                break
            found = stage
        return found

    @property
    def began(self) -> float:
        """From when on its time counts: one that we have placed begins when it is answered."""
        return self.stages[0][0] if self.inbound and self.stages else self.answered_at

    @property
    def bridged_at(self) -> float:
        return next((at for at, stage in self.stages if stage == "bridged"), NEVER)


class CallHistories(msgspec.Struct):
    of: dict[str, CallHistory]
    """By the call id of the phone."""
    by_ref: dict[str, CallHistory]
    closed: dict[str, list[tuple[float, float]]] = {}
    """When an operator asked to close each room, and had the answer, in order; NEVER where there was none."""
    arrivals: dict[str, list[float]] = {}
    """When those began that may have come into each room, in order."""

    def __iter__(self) -> Iterator[CallHistory]:
        return iter(self.of.values())

    def closed_by(self, history: CallHistory, until: float, *, since: float = 0.0) -> bool:
        """Whether an operator has closed a room by then, and since then, to which it had been sent before."""
        return any(
            sent_at <= until and over >= max(since, history.sent_to(room))
            for room in history.rooms
            for sent_at, over in self.closed.get(room, [])
        )

    def about(self, delivery: Delivery) -> CallHistory | None:
        """Whose phone it is about, or the leg of it."""
        parent = delivery.payload.get("parentCallId")
        found = self.of.get(parent) if isinstance(parent, str) else None
        if found is None:
            found = self.of.get(delivery.call_id) or self.by_ref.get(place_of(delivery.url)[1])
        return found


def place_of(url: str) -> tuple[str, str, int]:
    """`voice` or `legs`, the ref and the attempt that a URL of ours names; empty and 0 where it does not."""
    found = _URL.search(url)
    return (found[1], found[2], int(found[3] or 0)) if found else ("", "", 0)


def is_of_leg(delivery: Delivery) -> bool:
    """Whether its reply runs on a leg, and not on the phone."""
    return delivery.payload.get("parentCallId") not in {None, "", delivery.call_id} or (
        place_of(delivery.url)[0] == "legs"
    )


def over(delivery: Delivery) -> float:
    """When its reply was there, or it was given up."""
    return delivery.sent_at + delivery.ms / 1000


def histories_of(evidence: "Evidence") -> CallHistories:
    refs = evidence.refs
    of = {
        phone.call_id: CallHistory(
            call_id=phone.call_id,
            inbound=phone.call.direction == "inbound",
            to=phone.call.to,
            ref=refs.get(phone.call_id, ""),
            hung_up=phone.call.hung_up,
        )
        for phone in evidence.simulator.phones
    }
    deliveries = sorted(evidence.simulator.deliveries, key=lambda one: one.sent_at)
    for one in deliveries:
        kind, ref, _ = place_of(one.url)
        if kind == "voice" and one.call_id in of and not of[one.call_id].ref:
            of[one.call_id].ref = ref
    histories = CallHistories(of, {one.ref: one for one in of.values() if one.ref})
    for one in deliveries:
        if (history := histories.about(one)) is not None:
            history.deliveries.append(one)
    for one in evidence.simulator.webhooks.lost:
        if (history := histories.about(one)) is not None:
            history.lost.append(one)
    _play(evidence, histories)
    _order(evidence.operator_requests, histories)
    for history in of.values():
        history.first_rooms |= _first_rooms(history)
        history.rooms |= history.first_rooms
        for room in history.rooms:
            histories.arrivals.setdefault(room, []).extend(at for at, _ in history.stages[:1])
    for times in histories.arrivals.values():
        times.sort()
    return histories


def _play(evidence: "Evidence", histories: CallHistories) -> None:
    started = evidence.simulator.started
    scale = evidence.simulator.settings.time_scale
    legs: dict[str, LegHistory] = {}
    ours = {
        delivery.call_id: history
        for history in histories
        for delivery in history.deliveries
        if place_of(delivery.url)[0] == "legs"
    }
    for one in evidence.happenings:
        at = started + one.at_ms / 1000
        match one:
            case PhoneChanged(parent_call_id=None) if one.call_id in histories.of:
                _phone(histories.of[one.call_id], one, at)
            case PhoneChanged(parent_call_id=parent) if (
                history := histories.of.get(parent or "") or ours.get(one.call_id)
            ) is not None:
                if one.call_id not in legs:
                    call = evidence.simulator.engine.calls[one.call_id]
                    to = call.to if parent is None else call.transfer_to or ""
                    leg = LegHistory(one.call_id, to, at, hung_up=call.hung_up, ours=parent is None)
                    legs[one.call_id] = leg
                    history.legs.append(leg)
                _leg(legs[one.call_id], one, at)
            case SpeechHeard() if one.call_id in histories.of:
                histories.of[one.call_id].heard.append(
                    HeardSound(at, "speak", one.text, _spoken(one.text, scale))
                )
            case SoundHeard() if one.call_id in histories.of:
                histories.of[one.call_id].heard.append(HeardSound(at, one.kind, seconds=one.seconds))


def _spoken(text: str, scale: float) -> float:
    return min(SPEECH_SECONDS_PER_CHARACTER * len(text), SPEECH_SECONDS_AT_MOST) * scale


def _phone(history: CallHistory, change: PhoneChanged, at: float) -> None:
    history.stages.append((at, change.stage))
    if change.stage not in {"ringing", "ended"}:
        history.answered_at = min(history.answered_at, at)
    if change.stage == "ended":
        history.ended_at, history.cause = at, change.cause or ""


def _leg(leg: LegHistory, change: PhoneChanged, at: float) -> None:
    if change.stage == "bridged":
        leg.bridged_at = min(leg.bridged_at, at)
    if change.stage == "ended":
        leg.ended_at, leg.cause = at, change.cause or ""


def _order(asked: Iterable["OperatorRequest"], histories: CallHistories) -> None:
    for one in asked:
        accepted = one.status is not None and one.status < 300
        if one.status is not None and not accepted and one.status < 500:
            continue
        body: Mapping[str, Any] = one.body or {}
        if (found := _ORDER.search(one.path)) is not None:
            history = histories.of.get(found[1]) or histories.by_ref.get(found[1])
            if history is not None:
                room = str(body.get("room", ""))
                ends = one.answered_at if accepted else NEVER
                kind = "remove" if found[2] == "hold" else found[2]
                history.orders.append(OrderHistory(kind, one.sent_at, one.host, ends, room))
                history.rooms |= {room} - {""}
        elif one.method == "DELETE" and (found := _ROOM.search(one.path)) is not None:
            histories.closed.setdefault(found[1], []).append(
                (one.sent_at, one.answered_at if accepted else NEVER)
            )
    placed: dict[str, list[OperatorRequest]] = defaultdict(list)
    for one in asked:
        if one.method == "POST" and one.path == "/calls":
            placed[str(one.body["to"])].append(one)
    for history in histories.of.values():
        if not history.inbound:
            history.first_rooms |= {str(one.body["room"]) for one in placed[history.to]}
            history.ordered_at = min((one.sent_at for one in placed[history.to]), default=NEVER)


def _first_rooms(history: CallHistory) -> set[str]:
    if not history.inbound:
        return set()
    if history.to == PIN_NUMBER:
        return {PIN_ROOM}
    return {NUMBERS.get(history.to, f"call-{history.ref}")}
