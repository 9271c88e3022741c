"""The judge of browsers: made-up turns, each with one thing wrong, or with what explains it."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.chaos.api import OperatorRequest
from tests.chaos.checks import browsers
from tests.chaos.evidence import Evidence, ReplicaLogLine
from tests.chaos.fleet import Kill
from tests.chaos.previous_release import VERSION
from tests.chaos.records import BrowserSeat, InvitationUse, Kind, PostedEvent, Records, SeatRequest
from tests.chaos.replica import PATIENCE
from tests.chaos.store_history import Step
from tests.chaos.times import NEVER
from tests.chaos.troubles import Troubles
from tests.simulator.journal import MemberChanged, Request
from tests.store_step_builders import PARTITION, step

ID = "participant"
SESSION = "session"


def request(operation: str, at: float, *, created: str | None = None, **ids: str) -> Request:
    return Request(
        operation=operation,
        method="",
        path="",
        ids=ids,
        status=200,
        at=at,
        ms=1,
        scheme=None,
        body={"tag": "a"},
        received=True,
        created=created,
    )


def sign(what: Any, at: float, status: int | None = 204, *, asked: bool = True) -> SeatRequest:
    return SeatRequest(kind=what, sent_at=at, over=at + 0.01, status=status, asked=asked)


def event(name: str, at: float, status: int | None = 200) -> PostedEvent:
    return PostedEvent(name=name, sent_at=at, over=at + 0.01, status=status)


def closed(at: float, status: int | None = 202, *, given_up: bool = False) -> OperatorRequest:
    return OperatorRequest(
        method="DELETE",
        path="/rooms/a",
        body=None,
        host="",
        sent_at=at,
        answered_at=at + 0.1,
        status=status,
        given_up=given_up,
    )


def closed_late(made: "BrowserEvidence", *, ended: float = NEVER) -> None:
    """`ended`: when the process had ended that was asked."""
    made.asked.append(closed(9, None, given_up=True))
    made.kills = [Kill(ended, "")]


def seat(kind: Kind = "api", id_: str = ID, **more: Any) -> BrowserSeat:
    given = {"asked_at": 10.0, "given_at": 11.0, "number": 1, "room": "a", **more}
    return BrowserSeat(kind=kind, participant_id=id_, **given)


class BrowserEvidence:
    """A turn of one browser in room a, which came in at 11 and was deleted at `out`."""

    def __init__(self, *seats: BrowserSeat, out: float = 60.0) -> None:
        self.records = Records(browsers=list(seats))
        self.requests = [
            request("createSession", 9, created=SESSION),
            *(request("deleteParticipant", out, participantId=one.participant_id) for one in seats),
        ]
        self.happenings: list[Any] = [MemberChanged(10_500, one.participant_id, SESSION, ()) for one in seats]
        self.asked: list[OperatorRequest] = []
        self.rooms: list[Any] = []
        self.alive: list[str] = []
        self.troubles = Troubles()
        self.kills: list[Kill] = []
        self.written: list[Step] = []
        self.logs: list[ReplicaLogLine] = []

    def found(self) -> list[str]:
        evidence = SimpleNamespace(
            records=self.records,
            simulator=SimpleNamespace(requests=self.requests, started=0.0),
            happenings=self.happenings,
            operator_requests=self.asked,
            rooms=self.rooms,
            alive=SimpleNamespace(participants=self.alive),
            troubles=self.troubles,
            fleet=SimpleNamespace(kills=self.kills, stops=[]),
            logs=self.logs,
            store_steps=self.written,
        )
        return [one.what for one in browsers.check(cast("Evidence", evidence))]


def beating(until: int, *more: SeatRequest, kind: Kind = "api", **fields: Any) -> BrowserSeat:
    return seat(kind, requests=[*(sign("beat", at) for at in range(11, until)), *more], **fields)


def test_nothing_is_wrong() -> None:
    assert BrowserEvidence(beating(50, sign("leave", 50), sign("look", 51, 404)), out=50.2).found() == []


def test_thrown_out_while_it_beats() -> None:
    [found] = BrowserEvidence(beating(50), out=40).found()
    assert "was thrown out at 40.000" in found


def runs(made: BrowserEvidence, version: str) -> None:
    """A replica of this release has let the browser in."""
    for fields in (
        {"event": "service.started", "version": version},
        {"event": "participant.admitted", "participant_id": ID},
    ):
        made.logs.append(ReplicaLogLine("a", "replica-a0.log", "", fields))


@pytest.mark.parametrize(("version", "count"), [(VERSION, 0), ("0.2.0", 1)])
def test_who_was_let_in_by_the_release_before_after_their_room_was_closed(version: str, count: int) -> None:
    made = BrowserEvidence(beating(50), out=40)
    runs(made, version)
    assert len(made.found()) == 1, "nobody has closed it"
    made.asked.append(closed(5))
    assert len(made.found()) == count


@pytest.mark.parametrize(("version", "count"), [(VERSION, 0), ("0.2.0", 1)])
def test_an_invitation_of_the_release_before_to_a_room_that_was_closed(version: str, count: int) -> None:
    made = BrowserEvidence(beating(50, sign("leave", 50)), out=50.2)
    runs(made, version)
    made.asked.append(closed(4))
    entry = InvitationUse(number=1, room="a", tries=1, status=403, invited_at=5, over=6)
    made.records.invitation_uses.append(entry)
    assert len(made.found()) == count


def test_told_that_it_is_out_while_it_beats() -> None:
    [found] = BrowserEvidence(beating(30, sign("beat", 30, 404))).found()
    assert "was thrown out at 30.010" in found


def test_heartbeats_that_are_lost_do_not_count() -> None:
    silent = [sign("beat", at, None, asked=False) for at in range(30, 50)]
    assert BrowserEvidence(beating(30, *silent), out=39).found() == []


@pytest.mark.parametrize(("after", "count"), [(0.6, 1), (0.98, 1), (1.0, 0), (5.0, 0)])
def test_given_up_before_it_was_silent_for_long_enough(after: float, count: int) -> None:
    """As parts of the time for which it may be silent; the last heartbeat is one of second 29."""
    silent = [sign("beat", at, None, asked=False) for at in range(30, 80)]
    assert (
        len(
            BrowserEvidence(
                beating(30, *silent), out=29 + after * (PATIENCE.browser_absence - browsers.TOLERANCE)
            ).found()
        )
        == count
    )


@pytest.mark.parametrize(("after", "count"), [(0.6, 1), (0.98, 1), (1.0, 0), (5.0, 0)])
def test_given_up_before_it_was_heard_of(after: float, count: int) -> None:
    one = seat()
    assert (
        len(
            BrowserEvidence(
                one, out=one.asked_at + after * (PATIENCE.unused_seat - browsers.TOLERANCE)
            ).found()
        )
        == count
    )


def test_it_keeps_its_seat_for_too_long() -> None:
    """As the store's journal has it; told once for each seat."""
    made = BrowserEvidence(beating(50, sign("leave", 50)), out=50.2)
    room, owed, look = f"{PARTITION}room:r", f"{PARTITION}owed:room:r", "check-presence:web-x.1"
    for number in (1, 2):
        due = f"{number} 99000 {look} 0 99000 {{}}"
        made.written.append(
            step(
                ("HSET", room, "seat:web-x.1", "in p", "seen:web-x.1", "1000 0 0 0"),
                ("HSET", owed, look, due),
            )
        )
    [found] = made.found()
    assert "98000 ms after it was heard of" in found


@pytest.mark.parametrize(
    "explains",
    [
        lambda made: made.records.browsers[0].requests.append(sign("leave", 39.9, None)),
        lambda made: made.records.browsers[0].events.append(event("onLeave", 39.9)),
        lambda made: setattr(made.records.browsers[0], "vanished_at", 39.0),
        lambda made: setattr(made.records.browsers[0], "next_asked_at", 39.0),
        lambda made: made.asked.append(closed(39.9)),
        lambda made: made.asked.append(closed(39.9, None)),
        closed_late,
    ],
    ids=["leaves", "onLeave", "vanishes", "another tab", "room closed", "perhaps closed", "closed late"],
)
def test_what_explains_that_it_is_out(explains: Callable[[BrowserEvidence], None]) -> None:
    made = BrowserEvidence(beating(40), out=40)
    explains(made)
    assert made.found() == []


@pytest.mark.parametrize(
    "explains",
    [
        lambda made: made.records.browsers[0].requests.append(sign("leave", 40.1)),
        lambda made: made.asked.append(closed(40.1)),
        lambda made: made.asked.append(closed(9)),
        lambda made: made.asked.append(closed(9, None)),
        lambda made: closed_late(made, ended=9.9),
        lambda made: made.asked.append(closed(39, 404)),
    ],
    ids=["left later", "closed later", "closed before it came", "refused", "ended", "nothing to close"],
)
def test_what_does_not(explains: Callable[[BrowserEvidence], None]) -> None:
    made = BrowserEvidence(beating(40), out=40)
    explains(made)
    assert len(made.found()) == 1


def test_known_by_events_alone() -> None:
    known = seat(events=[event("onConnect", 12)])
    assert len(BrowserEvidence(known, out=40).found()) == 1
    known.events.append(event("onDisconnect", 30))
    assert BrowserEvidence(known, out=40).found() == []


@pytest.mark.parametrize(
    ("kind", "found"), [("store-away", 0), ("store-frozen", 0), ("cut-store", 0), ("clock", 1)]
)
def test_an_event_that_the_store_did_not_hear_of(kind: str, found: int) -> None:
    made = BrowserEvidence(seat(events=[event("onConnect", 12)]), out=40)
    made.troubles.begin(kind, 11.9).over = 12.1
    assert len(made.found()) == found


@pytest.mark.parametrize("how", ["leave", "onLeave", "closed"])
def test_there_after_it_has_left(how: str) -> None:
    one = beating(30, sign("beat", 31))
    made = BrowserEvidence(one, out=30.5)
    if how == "leave":
        one.requests.append(sign("leave", 30))
    elif how == "onLeave":
        one.events.append(event("onLeave", 30))
    else:
        made.asked.append(closed(30))
    [found] = made.found()
    assert "is there at 31.000, and left at 30." in found


def test_the_visit_has_two_seats() -> None:
    old = beating(32, kind="page", next_asked_at=29.0)
    new = seat("page", "another", asked_at=29.0, given_at=30.0, requests=[sign("leave", 40)])
    made = BrowserEvidence(old, new, out=40)
    assert ["is there at 31.000" in one for one in made.found()] == [True]


@pytest.mark.parametrize("status", [500, 403, 409])
def test_a_wrong_answer(status: int) -> None:
    assert (
        len(BrowserEvidence(beating(20, sign("beat", 20, status), sign("leave", 21)), out=21.1).found()) == 1
    )


def test_in_no_session_when_it_is_told_that_it_is_in() -> None:
    made = BrowserEvidence(beating(20, sign("leave", 20)), out=21)
    made.happenings = [MemberChanged(11_500, ID, SESSION, ())]
    assert len(made.found()) == 1


def test_in_the_session_of_another_room() -> None:
    made = BrowserEvidence(beating(20, sign("leave", 20)), out=21)
    made.happenings.append(MemberChanged(12_000, ID, "other", ()))
    assert len(made.found()) == 1


def test_not_in_its_session_when_all_is_calm() -> None:
    one = beating(20, sign("leave", 20), is_in_session=False, looked_at=19.0)
    assert len(BrowserEvidence(one, out=21).found()) == 1


def test_still_there_when_all_is_over() -> None:
    made = BrowserEvidence(beating(20, sign("leave", 20)), out=21)
    made.rooms = [{"room": "a", "members": [{"participantId": ID}]}]
    made.alive = [ID]
    assert len(made.found()) == 2


@pytest.mark.parametrize(
    ("tries", "status", "wrong"), [(1, 200, 0), (1, 403, 1), (2, 403, 0), (2, None, 0), (1, 500, 1)]
)
def test_an_invitation(tries: int, status: int | None, wrong: int) -> None:
    made = BrowserEvidence()
    made.records.invitation_uses.append(InvitationUse(number=1, room="a", tries=tries, status=status))
    assert len(made.found()) == wrong


@pytest.mark.parametrize(
    ("at", "status", "wrong"), [(5, 403, 0), (9.9, 403, 0), (4, 403, 1), (12, 403, 1), (5, 500, 1)]
)
def test_an_invitation_to_a_room_that_was_closed(at: float, status: int, wrong: int) -> None:
    """Between its being asked for and its being answered, or nothing else explains it."""
    made = BrowserEvidence()
    entry = InvitationUse(number=1, room="a", tries=1, status=status, invited_at=5, over=10)
    made.records.invitation_uses.append(entry)
    made.asked.append(closed(at))
    assert len(made.found()) == wrong


@pytest.mark.parametrize(("status", "wrong"), [(403, 0), (503, 0), (None, 0), (200, 1), (500, 1)])
def test_an_invitation_that_was_used(status: int | None, wrong: int) -> None:
    made = BrowserEvidence()
    made.records.invitation_uses.append(InvitationUse(number=1, room="a", tries=1, status=status, used=True))
    assert len(made.found()) == wrong
