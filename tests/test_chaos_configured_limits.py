"""What operators have laid down explains that a call was let go, and nothing else does: on made-up turns."""

import pytest

from tests.chaos.checks import ends, replies
from tests.chaos.finding import Finding
from tests.chaos.records import SeatRequest
from tests.chaos.replica import PATIENCE
from tests.chaos_evidence_builder import CALL, HANGUP, REF, EvidenceBuilder

TIME_UP = "<SpeakSentence>The time for this call is over. Goodbye.</SpeakSentence>" + HANGUP
LEFT = "<SpeakSentence>Everybody else has left this conference. Goodbye.</SpeakSentence>" + HANGUP
FULL = (
    "<SpeakSentence>We are sorry, this conference is full. Please try again later.</SpeakSentence>" + HANGUP
)
MESSAGE = "<SpeakSentence>Call us back.</SpeakSentence>" + HANGUP
HUMAN = "human"
MACHINE = "answering-machine"


def _placed(**options: object) -> EvidenceBuilder:
    turn = EvidenceBuilder()
    turn.phone(inbound=False)
    turn.order(0.5, "/calls", {"to": "+15551110000", "room": "a", **options})
    turn.stage(1.0, "ringing")
    turn.stage(2.0, "answered")
    turn.calls[CALL] = {"id": REF}
    return turn


def _replied(turn: EvidenceBuilder) -> list[Finding]:
    return list(replies.check(turn.evidence()))


@pytest.mark.parametrize(
    ("then", "value", "reply", "found"),
    [
        ("hangup", MACHINE, HANGUP, 0),
        ("hangup", HUMAN, HANGUP, 1),
        ("join", MACHINE, HANGUP, 1),
        ("hangup", MACHINE, MESSAGE, 1),
        ("message", MACHINE, MESSAGE, 0),
        ("message", MACHINE, HANGUP, 1),
    ],
)
def test_a_machine_took_the_call(then: str, value: str, reply: str, found: int) -> None:
    turn = _placed(machineDetection={"then": then, "message": "Call us back."})
    turn.webhook("answer", 2.0, reply, machineDetectionResult={"value": value})
    turn.stage(3.0, "ended", "hangup")
    assert len(_replied(turn)) == found


@pytest.mark.parametrize(("until", "found"), [(6.5, 0), (4.0, 1)])
def test_its_time_was_up(until: float, found: int) -> None:
    turn = _placed(maxDuration=4)
    turn.webhook("redirect", until, TIME_UP)
    turn.stage(until + 1, "ended", "hangup")
    assert len(_replied(turn)) == found


def test_a_call_without_a_limit_has_time() -> None:
    turn = _placed()
    turn.webhook("redirect", 90.0, TIME_UP)
    turn.stage(91.0, "ended", "hangup")
    assert len(_replied(turn)) == 1


@pytest.mark.parametrize(
    ("then", "others", "found"),
    [("hangup", 3.0, 0), ("wait", 3.0, 1), ("hangup", 5.8, 1), ("hangup", None, 1)],
)
@pytest.mark.parametrize("vanished_at", [None, 3.5])
def test_everybody_else_has_left(
    then: str, others: float | None, found: int, vanished_at: float | None
) -> None:
    """`others`: when another browser has left. `vanished_at`: when the session has vanished."""
    turn = _placed()
    turn.order(0.1, "/rooms/a", {"alone": {"after": 2, "then": then}}, method="PUT", status=200)
    turn.browser("B", "a", 0.2)
    turn.member(1.5, "B", "s")
    turn.member(1.6, "P", "s")
    turn.stage(2.5, "bridged", participant="P")
    if others is not None:
        turn.request("removeParticipantFromSession", others, participantId="B", sessionId="s")
        turn.member(others, "B", None)
    if vanished_at is not None:
        turn.member(vanished_at, "B", None)
        turn.member(vanished_at, "P", None)
    turn.stage(6.0, "answered")
    turn.webhook("redirect", 6.1, LEFT)
    turn.stage(7.0, "ended", "hangup")
    assert len(_replied(turn)) == found


def test_everybody_has_left_a_session_that_replaced_another() -> None:
    """Out of the one before its participant is taken once more, and not found."""
    turn = _placed()
    turn.order(0.1, "/rooms/a", {"alone": {"after": 2, "then": "hangup"}}, method="PUT", status=200)
    turn.browser("B", "a", 0.2)
    turn.member(1.5, "B", "s")
    turn.member(1.6, "P", "s")
    turn.stage(2.1, "bridged", participant="P")
    turn.request("removeParticipantFromSession", 2.2, status=404, participantId="P", sessionId="r")
    turn.request("removeParticipantFromSession", 3.0, participantId="B", sessionId="s")
    turn.member(3.0, "B", None)
    turn.stage(6.0, "answered")
    turn.webhook("redirect", 6.1, LEFT)
    turn.stage(7.0, "ended", "hangup")
    assert _replied(turn) == []


def _with_a_browser() -> EvidenceBuilder:
    """Its phone and B are in room a, which hangs up on who is alone there for two seconds."""
    turn = _placed()
    turn.order(0.1, "/rooms/a", {"alone": {"after": 2, "then": "hangup"}}, method="PUT", status=200)
    turn.browser("B", "a", 0.2)
    turn.member(1.5, "B", "s")
    turn.member(1.6, "P", "s")
    turn.stage(2.5, "bridged", participant="P")
    return turn


@pytest.mark.parametrize(("heard_at", "found"), [(3.0, 0), (None, 0), (5.0, 1)])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_browser_fell_silent_that_bandwidth_has_for_longer(
    heard_at: float | None, found: int, *, replaced: bool
) -> None:
    """`heard_at`: when it was heard of last. `replaced`: whether its session is, after that."""
    turn = _with_a_browser()
    if heard_at is not None:
        turn.records.browsers[0].requests.append(
            SeatRequest(kind="beat", sent_at=heard_at, over=heard_at + 0.1, status=204)
        )
    if replaced:
        for one in ("P", "B"):
            turn.request("removeParticipantFromSession", 11.1, participantId=one, sessionId="s")
            turn.member(11.2, one, "t")
    told = 3.0 + PATIENCE.browser_absence + 2.1
    turn.stage(told, "answered")
    turn.webhook("redirect", told, LEFT)
    turn.stage(told + 1, "ended", "hangup")
    turn.request("removeParticipantFromSession", 30.0, participantId="B", sessionId="s")
    turn.request("deleteParticipant", 30.1, participantId="B")
    assert len(_replied(turn)) == found


@pytest.mark.parametrize(("left_at", "found"), [(3.0, 0), (3.2, 0), (4.9, 1), (None, 1)])
def test_a_browser_that_has_left_is_moved_to_another_session(left_at: float | None, found: int) -> None:
    """It was to be moved when it left, and is put out later."""
    turn = _with_a_browser()
    if left_at is not None:
        turn.records.browsers[0].requests.append(
            SeatRequest(kind="leave", sent_at=left_at, over=left_at + 0.1, status=204)
        )
    for one in ("P", "B"):
        turn.request("removeParticipantFromSession", 3.1, participantId=one, sessionId="s")
        turn.member(3.1, one, None)
        turn.member(3.3, one, "t")
    turn.stage(5.5, "answered")
    turn.webhook("redirect", 5.6, LEFT)
    turn.stage(6.0, "ended", "hangup")
    assert len(_replied(turn)) == found


@pytest.mark.parametrize(("asked_at", "found"), [(0.4, 1), (3.0, 0)])
def test_the_visit_of_the_last_browser_asked_for_another_seat(asked_at: float, found: int) -> None:
    """Of two that are asked for at once this one may be it."""
    turn = _with_a_browser()
    turn.records.browsers[0].next_asked_at = asked_at
    turn.stage(6.0, "answered")
    turn.webhook("redirect", 6.1, LEFT)
    turn.stage(7.0, "ended", "hangup")
    assert len(_replied(turn)) == found


@pytest.mark.parametrize(("others", "found"), [(3.0, 0), (0.9, 1)])
def test_everybody_had_left_while_it_was_on_its_way(others: float, found: int) -> None:
    """`others`: when the only browser has left; the phone of this turn is up since 1.0."""
    turn = _placed()
    turn.order(0.1, "/rooms/a", {"alone": {"after": 2, "then": "hangup"}}, method="PUT", status=200)
    turn.browser("B", "a", 0.2)
    turn.member(0.5, "B", "s")
    turn.request("removeParticipantFromSession", others, participantId="B", sessionId="s")
    turn.member(others, "B", None)
    turn.member(4.9, "P", "s")
    turn.stage(5.0, "bridged", participant="P")
    turn.stage(5.3, "answered")
    turn.webhook("redirect", 5.4, LEFT)
    turn.stage(6.0, "ended", "hangup")
    assert len(_replied(turn)) == found


@pytest.mark.parametrize(("limit", "found"), [(1, 0), (2, 1), (None, 1)])
def test_the_room_was_full(limit: int | None, found: int) -> None:
    turn = _placed()
    turn.order(0.1, "/rooms/a", {"limit": 0}, method="PUT", status=200)
    turn.order(0.3, "/rooms/a", {} if limit is None else {"limit": limit}, method="PUT", status=200)
    turn.browser("B", "a", 0.5)
    turn.webhook("answer", 2.0, FULL)
    turn.stage(3.0, "ended", "hangup")
    assert len(_replied(turn)) == found


@pytest.mark.parametrize(
    ("reply", "reason", "found"),
    [
        (TIME_UP, "time-limit", 0),
        (TIME_UP, "left-alone", 1),
        (HANGUP, "answering-machine", 0),
        (HANGUP, "cancelled", 1),
    ],
)
def test_the_outcome_is_why_it_was_let_go(reply: str, reason: str, found: int) -> None:
    turn = _placed(maxDuration=1, machineDetection={"then": "hangup"})
    value = MACHINE if reply == HANGUP else HUMAN
    turn.webhook("answer", 4.0, reply, machineDetectionResult={"value": value})
    turn.stage(5.0, "ended", "hangup")
    turn.webhook("disconnect", 5.0, status=204)
    turn.ended("limit" if reason == "time-limit" else "nobody", reason, "hangup")
    assert len(list(ends.check(turn.evidence()))) == found


def test_who_hangs_up_before_it_is_told_had_its_time_all_the_same() -> None:
    turn = _placed(maxDuration=2)
    turn.stage(5.0, "ended", "hangup", hung_up=True)
    turn.webhook("disconnect", 5.0, status=204)
    turn.ended("limit", "time-limit", "hangup")
    assert list(ends.check(turn.evidence())) == []
