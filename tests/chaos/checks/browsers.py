"""A browser that says that it is there stays in its room, one that has gone is out, and both are told so."""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.chaos.browser_signs import outs_of, silent_from, told_gone, told_the_store
from tests.chaos.closings import Closes, closes_of, may_be_closed
from tests.chaos.finding import Finding
from tests.chaos.previous_release_rules import PreviousReleaseRules
from tests.chaos.records import BrowserSeat
from tests.chaos.silent_browsers import too_late
from tests.chaos.store_history import UnknownCommand
from tests.chaos.times import NEVER
from tests.simulator.journal import MemberChanged

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

TOLERANCE = 1.0
"""Seconds: what is shared is kept to about a second of what has passed."""


def check(evidence: "Evidence") -> Iterator[Finding]:
    judge, before = _SeatJudge(evidence), PreviousReleaseRules(evidence)
    for seat in evidence.records.browsers:
        yield from judge.stays(seat)
        yield from judge.leaves(seat)
        yield from judge.is_in_its_session(seat)
        yield from judge.is_gone(seat)
        yield from _wrong_answers(seat)
    yield from _stays_too_long(evidence)
    for entry in evidence.records.invitation_uses:
        if entry.used:
            if entry.status not in {403, None, 503}:
                what = f"visitor {entry.number} got {entry.status} for one to {entry.room} that was used"
                yield Finding(what=what)
            continue
        # Of an invitation that was sent again nobody knows whether it was used up by an answer that got lost.
        # With the room it ends as well. Of one that the release before has issued nobody knows when that was.
        since = 0.0 if before.ran else entry.invited_at
        unsure = entry.tries > 1 or may_be_closed(evidence, entry.room, since=since, until=entry.over)
        if entry.status not in {200, None, 503} and not (entry.status == 403 and unsure):
            yield Finding(what=f"visitor {entry.number} got {entry.status} for an invitation to {entry.room}")


def _stays_too_long(evidence: "Evidence") -> Iterator[Finding]:
    """Once for each seat. The release before waits for as long as in production, and so do its seats."""
    found = set[str]()
    with suppress(UnknownCommand):  # the eye for keys tells it
        for late in too_late(evidence.store_steps):
            if late.seat not in found and not PreviousReleaseRules(evidence).ran:
                found.add(late.seat)
                yield Finding(what=f"the browser of {late.seat} in {late.room} {late.what}", ids=(late.seat,))


class _SeatJudge:
    def __init__(self, evidence: "Evidence") -> None:
        self._evidence = evidence
        self._before = PreviousReleaseRules(evidence)
        self._closes = closes_of(evidence)
        self.out = outs_of(evidence)
        self._entered, self._strays = _entered(evidence)
        self._next_given = _next_given(evidence.records.browsers)
        self._listed = {
            member["participantId"]: room["room"] for room in evidence.rooms for member in room["members"]
        }

    def stays(self, seat: BrowserSeat) -> Iterator[Finding]:
        out = self.out(seat)
        if (
            out < NEVER
            and not _cause(self._evidence, seat, out, self._closes)
            and not self._came_back(seat, out)
        ):
            yield _finding(seat, f"was thrown out at {out:.3f}, and nothing explains it", out)

    def _came_back(self, seat: BrowserSeat, out: float) -> bool:
        """Whether the release before may have let it in whose visit had ended with the room."""
        closed = may_be_closed(self._evidence, seat.room, since=0.0, until=out)
        return closed and self._before.lets_in_after_closing(seat.participant_id)

    def leaves(self, seat: BrowserSeat) -> Iterator[Finding]:
        left = min(
            _left(self._evidence, seat, self._closes), self._next_given.get(seat.participant_id, NEVER)
        )
        for sign in seat.requests:
            if sign.kind != "leave" and sign.status in {200, 204} and sign.sent_at > left:
                yield _finding(seat, f"is there at {sign.sent_at:.3f}, and left at {left:.3f}", left)

    def is_in_its_session(self, seat: BrowserSeat) -> Iterator[Finding]:
        id_ = seat.participant_id
        if self._entered.get(id_, NEVER) > seat.given_at:
            yield _finding(seat, "was in no session when it was given its seat", seat.given_at)
        if id_ in self._strays:
            yield _finding(seat, f"was in the session of another room: {self._strays[id_]}")
        if seat.is_in_session is False and self.out(seat) > seat.looked_at:
            yield _finding(seat, "is not in its room's session when all is calm", seat.looked_at)

    def is_gone(self, seat: BrowserSeat) -> Iterator[Finding]:
        id_ = seat.participant_id
        if id_ in self._listed:
            yield _finding(seat, f"has a seat in {self._listed[id_]} when all is over")
        if id_ in self._evidence.alive.participants:
            yield _finding(seat, "has a participant when all is over")


def _cause(evidence: "Evidence", seat: BrowserSeat, out: float, closes: Closes) -> str:
    """What explains that it is out by then; empty where nothing does."""
    if any(one.kind == "leave" and one.sent_at <= out for one in seat.requests):
        return "it has left"
    if any(one.name == "onLeave" and one.sent_at <= out for one in seat.events):
        return "Bandwidth says that it has left"
    if seat.next_asked_at <= out:
        return "its visit has taken another seat"
    if seat.vanished_at <= out:
        return "Bandwidth does not have it any more"
    if may_be_closed(evidence, seat.room, since=seat.asked_at, until=out):
        return "its room was closed"
    return "nothing was heard of it" if silent_from(evidence, seat, out) - TOLERANCE <= out else ""


def _left(evidence: "Evidence", seat: BrowserSeat, closes: Closes) -> float:
    """From when on the service has to say that it is not there."""
    left = [one.over for one in seat.requests if one.kind == "leave" and one.status == 204]
    left += [
        one.over
        for one in seat.events
        if one.name == "onLeave" and told_the_store(evidence, one.sent_at, one.over, one.status)
    ]
    rooms = closes.get(seat.room, [])
    first = bisect_right(rooms, seat.given_at, key=lambda one: one.sent_at)
    left += [one.answered_at for one in rooms[first:] if one.status == 202][:1]
    left.append(told_gone(seat))
    return min(left)


def _next_given(seats: list[BrowserSeat]) -> dict[str, float]:
    """By participant, when its visit was given another seat."""
    found: dict[str, float] = {}
    latest: dict[int, BrowserSeat] = {}
    for seat in seats:
        if seat.kind == "page":
            before = latest.get(seat.number)
            # Of two that are asked for at the same time either may be the one that stays.
            if before is not None and before.given_at < seat.asked_at:
                found[before.participant_id] = seat.given_at
            latest[seat.number] = seat
    return found


def _wrong_answers(seat: BrowserSeat) -> Iterator[Finding]:
    """Statuses that these requests may not get. That none came is the weather's doing, or the machine's."""
    gone = {404} if seat.kind == "api" else {410}
    expected = {"beat": {204} | gone, "look": {200, 404}, "leave": {204, 404}}
    for one in seat.requests:
        if one.status not in expected[one.kind] | {None, 503}:
            yield _finding(seat, f"got {one.status} to its {one.kind} at {one.sent_at:.3f}", one.sent_at)


def _entered(evidence: "Evidence") -> tuple[dict[str, float], dict[str, str]]:
    """By participant: when it was in a session for the first time, and in which of another room it was."""
    tags = {
        one.created: (one.body or {}).get("tag")
        for one in evidence.simulator.requests
        if one.operation == "createSession"
    }
    rooms = {seat.participant_id: seat.room for seat in evidence.records.browsers}
    entered: dict[str, float] = {}
    strays: dict[str, str] = {}
    for one in evidence.happenings:
        if not isinstance(one, MemberChanged) or one.session_id is None or one.participant_id not in rooms:
            continue
        entered.setdefault(one.participant_id, evidence.simulator.started + one.at_ms / 1000)
        if tags.get(one.session_id) != rooms[one.participant_id]:
            strays[one.participant_id] = f"{one.session_id} of {tags.get(one.session_id)}"
    return entered, strays


def _finding(seat: BrowserSeat, what: str, at: float | None = None) -> Finding:
    return Finding(
        what=f"browser {seat.number} ({seat.kind}) in {seat.room} {what}: {seat}",
        ids=(seat.participant_id,),
        at=at,
    )
