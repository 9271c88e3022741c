"""What was accepted of operators has come about, what was refused has changed nothing, nobody rang twice.

Of an order that was accepted the call's timeline has an entry. Whenever nothing is under way for a call, it
is where it was sent last. Who is told to hold was put on hold, and has not been sent elsewhere since.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.chaos.api import OperatorRequest
from tests.chaos.configured_limits import RoomSettingsHistory
from tests.chaos.finding import Finding
from tests.chaos.model_replay import ModelReplay, accepted_of
from tests.chaos.moves import Moves
from tests.chaos.room_members import FullRooms, full_rooms_of
from tests.chaos.snapshots import Snapshot
from tests.chaos.turn_history import (
    CallBegan,
    OrderAnswered,
    OrderSent,
    SnapshotTaken,
    TurnHistory,
    calls_with_moves_of,
    carried_out_by,
    history_of,
)
from tests.party_state import OVER, CloseOrder, JoinOrder, Location, PartyState

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

Json = dict[str, Any]
ENTRIES = {
    "join": "orderJoin",
    "remove": "orderHold",
    "hold": "orderHold",
    "transfer": "orderTransfer",
    "hangup": "orderHangup",
    "subscriptions": "orderSubscriptions",
}
"""What a timeline calls them."""
MOVE_FAILED = "move-failed"
"""A move that Bandwidth, a closed room or the death of its replica has hindered: the call is where it was."""
NOT_FOUND = 404
UNAVAILABLE = 503
CARRIED_OUT_LATE = 5.0
"""Seconds after which nothing is carried out any more that was answered with 503, or by nobody."""
ACCEPTED = 202
REFUSED = (502, 503)
"""Bandwidth's refusal, or the store's failure before anybody was asked."""
CREATED = 201
WereStruck = Callable[[str, str, Sequence[OperatorRequest], str, float], bool]


def check(evidence: "Evidence") -> Iterator[Finding]:
    history = history_of(evidence)
    visitors = [(one.participant_id, one.room) for one in evidence.records.browsers]
    full = full_rooms_of(evidence)
    yield from came_about(history, calls_with_moves_of(evidence), Moves(evidence).were_struck, visitors, full)
    yield from traced(history, evidence.calls)
    yield from placed(history)


def traced(history: TurnHistory, calls: Mapping[str, Json]) -> Iterator[Finding]:
    """Each order that was accepted is in the timeline of its call, and no other."""
    wanted: dict[tuple[str, str], list[OperatorRequest]] = defaultdict(list)
    for one in history.asked:
        match one.path.split("/")[1:]:
            case ["calls", id_, what] if what in ENTRIES:
                wanted[history.calls.get(id_, id_), ENTRIES[what]].append(one)
    for id_, call in calls.items():
        entries = Counter(str(entry["event"]) for entry in call["timeline"])
        for name in dict.fromkeys(ENTRIES.values()):
            asked = wanted.get((id_, name), [])
            accepted = [one for one in asked if accepted_of(one)]
            least = sum(not _is_idle(one) for one in accepted)
            most = len(accepted) + sum(accepted_of(one) is None for one in asked)
            if not least <= entries[name] <= most:
                answers = [(one.path.rpartition("/")[2], one.body, one.status) for one in asked]
                yield Finding(
                    what=f"{id_} has {entries[name]} times {name}, and not {least} to {most}: {answers}",
                    ids=(id_, str(call["id"])),
                    at=asked[-1].answered_at if asked else None,
                )


def _is_idle(asked: OperatorRequest) -> bool:
    """Whether it changes nothing: a call is sent to where it is or comes to, or has ended already."""
    reply = asked.reply or {}
    if not asked.path.endswith("/join"):
        return bool(asked.path.endswith("/hangup") and reply.get("state") == "ended")
    return (reply.get("room"), reply.get("nextRoom")) == (asked.body["room"], None) and reply.get(
        "state"
    ) in {
        "dialing",
        "joining",
        "transferring",
        "bridged",
    }


def placed(history: TurnHistory) -> Iterator[Finding]:
    """A number that was called rang once for each key, and not at all where that was refused."""
    rang = Counter(line.to for line in history.lines if line.direction == "outbound")
    by_number: dict[str, list[OperatorRequest]] = defaultdict(list)
    for one in history.asked:
        if (one.method, one.path) == ("POST", "/calls"):
            by_number[one.body["to"]].append(one)
    for number, asked in by_number.items():
        keys: dict[str, list[OperatorRequest]] = defaultdict(list)
        for count, one in enumerate(asked):
            keys[one.idempotency_key or f"without {count}"].append(one)
        least = sum(any(one.status == CREATED for one in all_) for all_ in keys.values())
        most = sum(any(accepted_of(one) is not False for one in all_) for all_ in keys.values())
        ids = set[str]().union(*map(_calls_of, keys.values()))
        if not least <= rang[number] <= most or len(ids) > most:
            yield Finding(
                what=f"{number} rang {rang[number]} times as {len(ids)} calls, and not {least} to {most}: "
                f"{[(one.idempotency_key, one.status) for one in asked]}",
                ids=tuple(sorted(ids)),
                at=asked[-1].answered_at,
            )


def _calls_of(asked: Iterable[OperatorRequest]) -> set[str]:
    """Those that were placed under one key.

    A copy that came while the first was being answered is told of a call of unknown fate. Where the first was
    then refused there never was one, and the key is free again.
    """
    refused = any(accepted_of(one) is False or one.status in REFUSED for one in asked)
    sure = {CREATED} if refused else {CREATED, ACCEPTED}
    return {one.reply["id"] for one in asked if one.status in sure}


def came_about(
    history: TurnHistory,
    calls: Mapping[str, Json],
    were_struck: WereStruck,
    visitors: Iterable[tuple[str, str]] = (),
    full: FullRooms | None = None,
) -> Iterator[Finding]:
    """`were_struck`: as of `Moves`.

    `visitors`: participants of browsers, with the room of each, also of those that came by an invitation.
    `full`: None where nobody knows, and whoever has come into a room may be there still.
    """
    eye = _Orders(history, calls, were_struck, visitors, full)
    for event in eye.replay.play():
        match event:
            case CallBegan(_, id_, standings):
                eye.begun(id_, standings)
            case OrderSent(_, asked):
                eye.sent(asked)
            case OrderAnswered(at, asked):
                yield from eye.answered(asked, at)
            case SnapshotTaken(_, still):
                yield from eye.looked(still)
    for participant, room in history.browsers.items():
        if participant not in eye.replay.members:
            what = f"browser {participant} of room {room} has never been in a session"
            yield Finding(what=what, ids=(participant,))


class _Orders:
    def __init__(
        self,
        history: TurnHistory,
        calls: Mapping[str, Json],
        were_struck: WereStruck,
        visitors: Iterable[tuple[str, str]],
        full: FullRooms | None,
    ) -> None:
        self.replay = ModelReplay(history)
        self._calls = calls
        self._were_struck = were_struck
        self._full = full
        self._inside: dict[int, list[str]] = {}
        """Who was in a room for certain when a request to close it was sent, by its identity."""
        self._joins: dict[str, list[OperatorRequest]] = defaultdict(list)
        """Of each call, in order."""
        self._closings: dict[str, list[float]] = defaultdict(list)
        """When requests to close each room were answered."""
        self._given_up: dict[str, list[OperatorRequest]] = defaultdict(list)
        """Requests to close each room that may have been carried out late."""
        self._closing: dict[str, list[OperatorRequest]] = defaultdict(list)
        """All requests to close each room, by their path."""
        for one in history.asked:
            if one.method != "DELETE":
                continue
            self._closing[one.path].append(one)
            if one.given_up:
                self._given_up[one.path.removeprefix("/rooms/")].append(one)
        self._rooms = RoomSettingsHistory(history.asked)
        self._came: dict[str, set[str]] = defaultdict(set)
        """Who may have come into each room so far; its browsers from the beginning."""
        for participant, room in (*history.browsers.items(), *visitors):
            self._came[room].add(participant)

    def begun(self, id_: str, standings: Iterable[PartyState]) -> None:
        for one in standings:
            self._came[one.room].add(id_)

    def sent(self, asked: OperatorRequest) -> None:
        ordered = self.replay.open.get(id(asked))
        match ordered.order if ordered else None:
            case CloseOrder() if ordered:
                self._inside[id(asked)] = [id_ for id_, (_, certain) in ordered.steps.items() if certain]
            case JoinOrder() if ordered:
                for id_ in ordered.steps:
                    self._joins[id_].append(asked)
                self._came[asked.body["room"]].update(ordered.steps)

    def answered(self, asked: OperatorRequest, at: float) -> Iterator[Finding]:
        if asked.method != "DELETE":
            return
        room = asked.path.split("/")[2]
        self._closings[room].append(at)
        there = [id_ for id_ in self._inside.get(id(asked), []) if self.replay.room_of(id_) == room]
        if there and asked.status == NOT_FOUND and not self._is_closed_by_another(asked, at):
            yield Finding(what=f"{asked.path} said that nobody is there: {there}", ids=(*there,), at=at)

    def _is_closed_by_another(self, asked: OperatorRequest, at: float) -> bool:
        """Whether the room may have been closed while this was under way, by a request that was, too."""
        return any(
            one is not asked
            and one.sent_at <= at
            and (one.given_up or asked.sent_at <= one.answered_at + CARRIED_OUT_LATE)
            and (one.status in {None, UNAVAILABLE} or one.answered_at >= asked.sent_at)
            for one in self._closing[asked.path]
        )

    def looked(self, still: Snapshot) -> Iterator[Finding]:
        """Those who are not where they were sent, with nothing under way."""
        model = self.replay.model
        for id_ in self.replay.settled(still):
            party, seen = model.parties[id_], self.replay.seen(id_)
            # Whoever is on the way, or waits for a moment, is seen later; on hold is who was put there. One
            # whose participant is in no session is in silence, wherever it was sent: that is for the eye that
            # looks for it.
            silent = seen.session is None and seen.participant is not None and party.may_be_at(Location.ROOM)
            judged = seen.on_hold or (seen.stage == "bridged" and not silent)
            if not (judged or party.states == {OVER}) or model.matches(id_, seen):
                continue
            excuse = MOVE_FAILED if seen.rooms and self._was_hindered(id_, still) else ""
            yield Finding(what=f"{id_} should be {party}: {seen}", ids=(id_,), at=still.over, excuse=excuse)
            # It is told once.
            if seen.on_hold:
                model.set_state(id_, PartyState(Location.HELD))
            elif seen.rooms:
                model.rule_out_moves(id_, seen.rooms)
            elif seen.stage == "bridged" and seen.participant is None:
                model.set_state(id_, PartyState(Location.TRANSFERRED))

    def _was_hindered(self, id_: str, still: Snapshot) -> bool:
        """Whether the call says that a move has failed, and what is to blame came after it was ordered."""
        # One that was refused leads nowhere.
        joins = [one for one in self._joins.get(id_, ()) if accepted_of(one) is not False]
        call = self._calls.get(id_)
        entries = call["timeline"] if call else []
        # Later ones may have failed for other reasons.
        reasons = {str(one.get("reason")) for one in entries if one["event"] == "moveFailed"}
        return bool(joins) and any(self._hinders(one, id_, joins, still) for one in reasons)

    def _hinders(self, reason: str, id_: str, joins: Sequence[OperatorRequest], still: Snapshot) -> bool:
        join = joins[-1]
        room = join.body["room"]
        if reason == "room-full" and self._full is not None:
            return self._full.was_full(room, join.sent_at, still.over)
        if reason == "room-full":
            return len(self._came[room] - {id_}) >= self._rooms.limit(room, join.sent_at, still.over)
        if reason == "room-closed":
            closings = self._closings[room]
            later = bisect_left(closings, join.sent_at)
            return (later < len(closings) and closings[later] <= still.over) or any(
                one.sent_at <= still.over and join.sent_at <= carried_out_by(one, self.replay.history.ends)
                for one in self._given_up[room]
            )
        found = self.replay.member_of(id_)
        ref = self.replay.history.refs.get(id_, "")
        return found is not None and self._were_struck(ref, found[0], joins, reason, still.over)
