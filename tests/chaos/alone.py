"""When each phone was the last in a session.

A session that vanishes at Bandwidth takes nobody away: its members will be in another one.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec

from tests.chaos.browser_signs import outs_of, silent_from
from tests.chaos.call_histories import CallHistories, CallHistory
from tests.chaos.times import NEVER
from tests.simulator.journal import Happening, MemberChanged, PhoneChanged

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

Span = tuple[float, float]


class _Left(msgspec.Struct, frozen=True):
    """A browser has left its room, or may have, and does not come back to this seat."""

    participant_id: str


def spans_alone(evidence: "Evidence", histories: CallHistories) -> dict[str, list[Span]]:
    """By call id: while its phone was bridged into a session in which nobody else was.

    It goes on when the phone ends, until its participant is put out: who does not know of the end takes it
    to be there. While another phone is there, it is not alone. Of a phone that was on its way when the last
    of the others left it begins with that: it was coming because somebody was there.
    """
    browsers = {seat.participant_id for seat in evidence.records.browsers}
    sessions = _Sessions(browsers, {call_id: one.began for call_id, one in histories.of.items()})
    for at, one in sorted([*_put_out(evidence), *_left(evidence), *_changes(evidence)], key=itemgetter(0)):
        match one:
            case PhoneChanged() if one.call_id in histories.of:
                last = _last_participant(evidence, histories.of[one.call_id])
                sessions.phone(one, last if one.stage == "ended" else "", at)
            case MemberChanged():
                sessions.member(one, at)
            case _Left():
                sessions.left(one.participant_id, at)
            case _:
                continue
    return sessions.spans()


class _Sessions:
    def __init__(self, browsers: set[str], began: Mapping[str, float]) -> None:
        """`began`: by call id, when its phone was first on its way."""
        self._browsers = browsers
        self._began = began
        self._bridged: dict[str, str] = {}
        """Participants, by call id."""
        self._owners: dict[str, str] = {}
        """Call ids, by participant."""
        self._ended: dict[str, str] = {}
        """Call ids of phones that have ended, by the participant that each has left behind."""
        self._sessions: dict[str, str] = {}
        """Where each participant is, or was when its session vanished."""
        self._members: dict[str, set[str]] = defaultdict(set)
        self._came: set[str] = set()
        """Who has been in a session."""
        self._since: dict[str, dict[str, float]] = defaultdict(dict)
        """By session: which calls are alone there, and since when."""
        self._occupied: set[str] = set()
        self._emptied: dict[str, float] = {}
        """By session: when the last who was there had left."""
        self._found: dict[str, list[Span]] = defaultdict(list)

    def phone(self, change: PhoneChanged, last: str, at: float) -> None:
        """`last`: the participant that it has left behind, if it has ended while it was not bridged."""
        before, now = self._bridged.pop(change.call_id, ""), change.participant_id or ""
        self._owners.pop(before, None)
        if now:
            self._bridged[change.call_id], self._owners[now] = now, change.call_id
        if change.stage == "ended":
            before = before or last
            self._ended[before] = change.call_id
        self._look({self._sessions.get(before, ""), self._sessions.get(now, "")}, at)

    def member(self, change: MemberChanged, at: float) -> None:
        before, now = self._sessions.pop(change.participant_id, ""), change.session_id or ""
        self._members[before].discard(change.participant_id)
        if now:
            self._came.add(change.participant_id)
            self._sessions[change.participant_id] = now
            self._members[now].add(change.participant_id)
        self._look({before, now}, at)

    def left(self, participant: str, at: float) -> None:
        """It does not count any more, though it may be moved to another session before it is put out.

        Of two seats that a visit asks for at once either stays: one that has yet to come in may be it.
        """
        if participant in self._came:
            self._browsers.discard(participant)
        self.member(MemberChanged(at * 1000, participant, None, None), at)

    def spans(self) -> dict[str, list[Span]]:
        for since in self._since.values():
            for call_id, began in since.items():
                self._found[call_id].append((began, NEVER))
        return self._found

    def _look(self, touched: set[str], at: float) -> None:
        for session in touched - {""}:
            alone, was = self._alone(session), self._since[session]
            emptied = self._emptied.get(session, NEVER)
            self._since[session] = {
                call_id: was.get(call_id, emptied if self._began[call_id] <= emptied < at else at)
                for call_id in alone
            }
            for call_id in was.keys() - alone:
                self._found[call_id].append((was[call_id], at))
            if self._there(session):
                self._occupied.add(session)
            elif session in self._occupied:
                self._occupied.remove(session)
                self._emptied[session] = at

    def _there(self, session: str) -> list[str]:
        return [who for who in self._members[session] if who in self._owners or who in self._browsers]

    def _alone(self, session: str) -> set[str]:
        members, there = self._members[session], self._there(session)
        if not there:
            return {self._ended[who] for who in members if who in self._ended}
        return {self._owners[there[0]]} if len(there) == 1 and there[0] in self._owners else set()


def _last_participant(evidence: "Evidence", history: CallHistory) -> str:
    """Of the last leg of a phone; empty for none.

    To the service the phone is in the room from when this one was put there, bridged or not.
    """
    legs = [leg for leg in history.legs if leg.begun <= history.ended_at]
    return (legs and evidence.simulator.engine.calls[legs[-1].leg_id].participant_id) or ""


def _changes(evidence: "Evidence") -> Iterator[tuple[float, Happening]]:
    """But those of members whose session has vanished, or who are in `_put_out` or `_left`."""
    for one in evidence.happenings:
        if not (isinstance(one, MemberChanged) and one.session_id is None):
            yield evidence.simulator.started + one.at_ms / 1000, one


def _put_out(evidence: "Evidence") -> Iterator[tuple[float, MemberChanged]]:
    """When the service had each member taken out of its session, be it for another one."""
    for one in evidence.simulator.requests:
        # Not found, it is in another session, or in none.
        if one.operation in {"removeParticipantFromSession", "deleteParticipant"} and one.status != 404:
            yield one.at, MemberChanged(one.at * 1000, one.ids.get("participantId", ""), None, None)


def _left(evidence: "Evidence") -> Iterator[tuple[float, _Left]]:
    times: list[tuple[float, str]] = []
    outs = outs_of(evidence)
    for seat in evidence.records.browsers:
        times += ((one.sent_at, seat.participant_id) for one in seat.requests if one.kind == "leave")
        times += ((one.sent_at, seat.participant_id) for one in seat.events if one.name == "onLeave")
        ends = (seat.vanished_at, seat.next_asked_at, silent_from(evidence, seat, outs(seat)))
        times += ((at, seat.participant_id) for at in ends if at < NEVER)
    times += (
        (one.sent_at, one.path.rpartition("/")[2])
        for one in evidence.operator_requests
        if one.method == "DELETE" and "/participants/" in one.path
    )
    for at, participant in times:
        yield at, _Left(participant)
