"""Brings what happened in a turn into one order: phones, participants, operators, looks at the store."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import accumulate
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from tests.chaos.api import OperatorRequest
from tests.chaos.creates import AGAIN
from tests.chaos.finding_timeline import IDS
from tests.chaos.scenarios.rooms import NUMBERS, PIN_NUMBER, ROOMS
from tests.chaos.snapshots import Snapshot
from tests.chaos.times import NEVER
from tests.chaos.troubles import Trouble
from tests.party_state import PLEASE_HOLD, Location, PartyState, PinEntered
from tests.simulator.journal import (
    Delivery,
    Happening,
    MemberChanged,
    PhoneChanged,
    Request,
    SoundHeard,
    SpeechHeard,
)

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence, Json
    from tests.chaos.fleet import Fleet

_SETTINGS: Final = msgspec.convert(ROOMS, dict[str, dict[str, object]])
PINS: Final = {str(settings["pin"]): room for room, settings in _SETTINGS.items() if "pin" in settings}
WAITED_FOR: Final = {room for room, settings in _SETTINGS.items() if "waiting" in settings}


class PhoneCall(msgspec.Struct, frozen=True):
    """A phone, and who called whom."""

    call_id: str
    to: str
    direction: str


class CallBegan(msgspec.Struct, frozen=True):
    at: float
    call_id: str
    states: frozenset[PartyState]


class PhoneSeen(msgspec.Struct, frozen=True):
    at: float
    call_id: str
    stage: str
    participant: str | None


class PhoneHeard(msgspec.Struct, frozen=True):
    """Something was said or played to it."""

    at: float
    call_id: str
    hold: bool
    """Whether it was told to hold."""


class MemberSeen(msgspec.Struct, frozen=True):
    at: float
    participant: str
    session: str | None
    hears: tuple[str, ...] | None


class OrderSent(msgspec.Struct, frozen=True):
    """An operator's request is on its way."""

    at: float
    asked: OperatorRequest


class OrderAnswered(msgspec.Struct, frozen=True):
    at: float
    asked: OperatorRequest


class DigitsEntered(msgspec.Struct, frozen=True):
    """A caller has entered a PIN."""

    at: float
    call_id: str
    digits: PinEntered


class SnapshotTaken(msgspec.Struct, frozen=True):
    at: float
    snapshot: Snapshot


Event = (
    CallBegan
    | PhoneSeen
    | PhoneHeard
    | MemberSeen
    | OrderSent
    | OrderAnswered
    | DigitsEntered
    | SnapshotTaken
)


class Spans:
    """Times in which something was under way, as pairs of begin and end."""

    def __init__(self, spans: Iterable[tuple[float, float]]) -> None:
        ordered = sorted(spans)
        self._begun = [begun for begun, _ in ordered]
        self._longest = [*accumulate((end for _, end in ordered), max)]

    def touch(self, since: float, until: float) -> bool:
        """Whether one of them lay in that time at least in part."""
        count = bisect_right(self._begun, until)
        return bool(count) and self._longest[count - 1] >= since


NOTHING = Spans([])
NO_MOVES: Final[Mapping[str, int]] = MappingProxyType({})


class TurnHistory:
    """`events` are in order; `webhooks` and `requests` say what was under way, by id of whom it concerned."""

    def __init__(
        self,
        *,
        lines: Iterable[PhoneCall],
        happenings: Iterable[Happening],
        started: float,
        asked: Iterable[OperatorRequest],
        deliveries: Iterable[Delivery],
        requests: Iterable[Request],
        stills: Iterable[Snapshot],
        refs: Mapping[str, str],
        outages: Iterable[Trouble] = (),
        rejections: Iterable[str] = (),
        failed_moves: Mapping[str, int] = NO_MOVES,
        ends: Iterable[tuple[str, float]] = (),
    ) -> None:
        """`started`: monotonic seconds from which happenings count. `refs`: of calls, by their ids.

        `ends`: of processes, by the host of each.
        `failed_moves`: how many of each call, by its id, the service has told of, each try for itself.
        """
        self.lines = list(lines)
        self.rejections = list(rejections)
        """Why legs into WebRTC were not admitted, as `Interconnect.rejections`."""
        self.refs = refs
        self.failed_moves = failed_moves
        self.ends = list(ends)
        self.calls = {ref: call_id for call_id, ref in refs.items()}
        self.asked = sorted(asked, key=attrgetter("sent_at"))
        self.requests_by_id = _by_id(requests := list(requests))
        self.seats = _made_for(requests, "createParticipant")
        """By participant: the seat that it was made for."""
        self.made_for = _made_for(requests, "createSession")
        """By session: the room that it was made for."""
        self.requests = {
            id_: Spans((one.at, one.at + one.ms / 1000) for one in all_)
            for id_, all_ in self.requests_by_id.items()
        }
        self.webhooks = _webhooks(deliveries := list(deliveries))
        self._asks = _asks(deliveries)
        self._updates = {
            id_: Spans((one.at, one.at + one.ms / 1000) for one in all_ if one.operation == "updateCall")
            for id_, all_ in self.requests_by_id.items()
        }
        self.browsers = dict(_browsers(self.asked))
        """Rooms, by the participants that operators have put there."""
        self.outages = Spans((one.begun, one.over + AGAIN) for one in outages)
        events: list[Event] = [
            *_phones(self.lines, happenings := list(happenings), started, self.asked, refs),
            *_heard(self.lines, happenings, started),
            *_members(happenings, started),
            *(OrderSent(one.sent_at, one) for one in self.asked),
            *_answers(self.asked, self.ends),
            *_digits(deliveries),
            *(SnapshotTaken(one.over, one) for one in stills),
        ]
        self.events = sorted(events, key=attrgetter("at"))

    def busy(self, call_id: str, since: float, until: float) -> bool:
        """Whether a webhook of the call was under way."""
        ids = (call_id, self.refs.get(call_id, ""))
        return any(self.webhooks.get(id_, NOTHING).touch(since, until) for id_ in ids)

    def has_asked(self, call_id: str, since: float, until: float) -> bool:
        """Whether the phone has asked what it does next, or Bandwidth was told to have it ask, or ends it."""
        asks = self._asks.get(call_id, [])
        first = bisect_left(asks, since)
        return (first < len(asks) and asks[first] <= until) or (
            self._updates.get(call_id, NOTHING).touch(since, until)
        )

    def asking(self, ids: Iterable[str | None], since: float, until: float) -> bool:
        """Whether a request to Bandwidth about one of these was under way."""
        return any(self.requests.get(id_ or "", NOTHING).touch(since, until) for id_ in ids)


def history_of(evidence: "Evidence") -> TurnHistory:
    simulator = evidence.simulator
    return TurnHistory(
        lines=[PhoneCall(one.call_id, one.call.to, one.call.direction) for one in simulator.phones],
        happenings=evidence.happenings,
        started=simulator.started,
        asked=evidence.operator_requests,
        deliveries=simulator.deliveries,
        requests=simulator.requests,
        stills=evidence.snapshots,
        refs=evidence.refs,
        outages=evidence.troubles.of_store,
        rejections=simulator.interconnect.rejections,
        failed_moves=failed_moves_of(evidence),
        ends=ends_of(evidence.fleet),
    )


def ends_of(fleet: "Fleet") -> list[tuple[str, float]]:
    """When processes had ended, with the host of each."""
    return [*((one.host, one.at) for one in fleet.kills), *((one.host, one.over) for one in fleet.stops)]


def failed_moves_of(evidence: "Evidence") -> dict[str, int]:
    """For good, by the timeline, or to be tried again, by the log: it is back where it was meanwhile."""
    again = Counter(
        str(line.fields.get("ref"))
        for line in evidence.logs
        if line.event == "effect.retried" and line.fields.get("effect") == "move-participant"
    )
    return {
        call_id: again[str(call["id"])] + sum(entry["event"] == "moveFailed" for entry in call["timeline"])
        for call_id, call in calls_with_moves_of(evidence).items()
    }


def calls_with_moves_of(evidence: "Evidence") -> dict[str, "Json"]:
    """All calls with their timelines. Of an erased call the log alone says which of its moves have failed."""
    failed: dict[str, list[Json]] = defaultdict(list)
    for line in evidence.logs:
        if line.event == "move.failed":
            entry = {"event": "moveFailed", "reason": line.fields.get("reason")}
            failed[str(line.fields.get("ref"))].append(entry)
    erased = {
        call_id: {"id": ref, "timeline": failed[ref]}
        for call_id, ref in evidence.refs.items()
        if call_id not in evidence.calls and ref in failed
    }
    return {**evidence.calls, **erased}


def _phones(
    lines: Iterable[PhoneCall],
    happenings: Iterable[Happening],
    started: float,
    asked: Iterable[OperatorRequest],
    refs: Mapping[str, str],
) -> Iterable[Event]:
    """Without legs, and without our calls into WebRTC."""
    phones = {one.call_id: one for one in lines}
    rooms: dict[str, set[str]] = defaultdict(set)
    for order in asked:
        if (order.method, order.path) == ("POST", "/calls"):
            rooms[order.body["to"]].add(order.body["room"])
    known: set[str] = set()
    for one in happenings:
        if isinstance(one, PhoneChanged) and one.call_id in phones:
            at = started + one.at_ms / 1000
            if one.call_id not in known:
                known.add(one.call_id)
                yield CallBegan(at, one.call_id, _first(phones[one.call_id], rooms, refs))
            yield PhoneSeen(at, one.call_id, one.stage, one.participant_id)


def _first(line: PhoneCall, rooms: Mapping[str, set[str]], refs: Mapping[str, str]) -> frozenset[PartyState]:
    """Where a phone may be to begin with; nothing where nobody knows by whom it was called."""
    if line.direction == "outbound":
        return frozenset(PartyState(Location.RINGING, room) for room in rooms.get(line.to, ()))
    if line.to == PIN_NUMBER:
        return frozenset({PartyState(Location.OUTSIDE)})
    # Any other number is a room of the caller's own.
    room = NUMBERS.get(line.to, f"call-{refs.get(line.call_id, line.call_id)}")
    return frozenset({PartyState(Location.ROOM, room, waits_for_others=room in WAITED_FOR)})


def _heard(lines: Iterable[PhoneCall], happenings: Iterable[Happening], started: float) -> Iterable[Event]:
    phones = {one.call_id for one in lines}
    for one in happenings:
        if isinstance(one, SpeechHeard | SoundHeard) and one.call_id in phones:
            hold = isinstance(one, SpeechHeard) and one.text == PLEASE_HOLD
            yield PhoneHeard(started + one.at_ms / 1000, one.call_id, hold)


def _members(happenings: Iterable[Happening], started: float) -> Iterable[Event]:
    for one in happenings:
        if isinstance(one, MemberChanged):
            yield MemberSeen(started + one.at_ms / 1000, one.participant_id, one.session_id, one.hears)


def _answers(asked: Iterable[OperatorRequest], ends: Iterable[tuple[str, float]]) -> Iterable[Event]:
    """One that the operator has given up is on its way for as long as the process lives that was asked."""
    for one in asked:
        if (over := carried_out_by(one, ends)) < NEVER:
            yield OrderAnswered(over, one)


def carried_out_by(asked: OperatorRequest, ends: Iterable[tuple[str, float]]) -> float:
    """When it has been carried out, if it ever is; NEVER where nobody knows. `ends` as in `TurnHistory`."""
    if not asked.given_up:
        return asked.answered_at
    return min((at for host, at in ends if host == asked.host and at >= asked.answered_at), default=NEVER)


def _digits(deliveries: Iterable[Delivery]) -> Iterable[Event]:
    for one in deliveries:
        if one.event_type == "gather" and (room := PINS.get(one.payload.get("digits", ""))):
            yield DigitsEntered(one.sent_at, one.call_id, PinEntered(room))


def _browsers(asked: Iterable[OperatorRequest]) -> Iterable[tuple[str, str]]:
    for one in asked:
        parts = one.path.split("/")
        if (
            one.method == "POST"
            and parts[1] == "rooms"
            and parts[3:] == ["participants"]
            and one.status == 201
        ):
            yield one.reply["participantId"], parts[2]


def _made_for(requests: Iterable[Request], operation: str) -> dict[str, str]:
    """By what these requests have made: the tag that came with it."""
    return {
        one.created: str((one.body or {}).get("tag", ""))
        for one in requests
        if one.operation == operation and one.created is not None
    }


def _by_id(requests: Iterable[Request]) -> dict[str, list[Request]]:
    """By call, session and participant, in order."""
    found: dict[str, list[Request]] = defaultdict(list)
    for one in sorted(requests, key=attrgetter("at")):
        for name, id_ in one.ids.items():
            if name != "accountId":
                found[id_].append(one)
    return found


def _asks(deliveries: Iterable[Delivery]) -> dict[str, list[float]]:
    """By call: when its phone asked what it does next."""
    found: dict[str, list[float]] = defaultdict(list)
    for one in deliveries:
        if one.synchronous:
            found[one.call_id].append(one.sent_at)
    for times in found.values():
        times.sort()
    return found


def _webhooks(deliveries: Iterable[Delivery]) -> dict[str, Spans]:
    """By call and by ref; those of its legs are its own as well."""
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in deliveries:
        for id_ in {one.call_id, str(one.payload.get("parentCallId", "")), *IDS.findall(one.url)}:
            spans[id_].append((one.sent_at, one.sent_at + one.ms / 1000))
    return {id_: Spans(all_) for id_, all_ in spans.items()}
