"""What excuses a move that failed is what struck that move, and nothing else that went wrong."""

from datetime import UTC, datetime

import pytest

from tests.chaos.evidence import ReplicaLogLine
from tests.chaos.moves import Moves
from tests.chaos_evidence_builder import REF, EvidenceBuilder

A, B = "127.0.0.1", "localhost"
REASON = "bandwidth-error"


def line(
    at: float, *, host: str = A, room: str = "b", reason: str = REASON, ref: str = REF
) -> ReplicaLogLine:
    fields = {"event": "move.failed", "ref": ref, "next_room": room, "reason": reason}
    fields["timestamp"] = datetime.fromtimestamp(at, UTC).isoformat()
    return ReplicaLogLine(host, "replica-a0.log", "", fields)


@pytest.fixture
def turn() -> EvidenceBuilder:
    """Ordered at 10, it failed at 20, and was seen where it was at 30. Bandwidth was asked at 15."""
    turn = EvidenceBuilder()
    turn.order(10, f"/calls/{REF}/join", {"room": "b"})
    turn.request("createSession", 1, tag="b", created="t")
    turn.request("removeParticipantFromSession", 15, participantId="P", sessionId="s")
    turn.logs.append(line(20))
    return turn


def struck(turn: EvidenceBuilder, *, reason: str = REASON) -> bool:
    joins = [one for one in turn.asked if one.path.endswith("/join")]
    return Moves(turn.evidence()).were_struck(REF, "P", joins, reason, 30.0)


def test_nothing_struck(turn: EvidenceBuilder) -> None:
    assert not struck(turn)


@pytest.mark.parametrize(
    ("at", "participant", "excused"),
    [(16, "P", True), (16, "Q", False), (5, "P", False), (21, "P", False)],
    ids=["its own", "of another participant", "before the order", "after it had failed"],
)
def test_a_request_was_struck(turn: EvidenceBuilder, at: float, participant: str, excused: bool) -> None:
    fault = "status 500"
    turn.request("removeParticipantFromSession", at, status=500, fault=fault, participantId=participant)
    assert struck(turn) is excused


@pytest.mark.parametrize(("room", "excused"), [("b", True), ("c", False)])
def test_the_session_of_a_room_was_struck(turn: EvidenceBuilder, room: str, excused: bool) -> None:
    turn.request("createSession", 16, tag=room, status=500, fault="status 500")
    assert struck(turn) is excused


@pytest.mark.parametrize(("host", "excused"), [(A, True), (B, False)])
def test_a_token_was_struck(turn: EvidenceBuilder, host: str, excused: bool) -> None:
    turn.request("token", 16, status=500, fault="status 500", host=host)
    assert struck(turn) is excused


@pytest.mark.parametrize(("session", "excused"), [("t", True), ("u", False)])
def test_a_session_had_vanished(turn: EvidenceBuilder, session: str, excused: bool) -> None:
    """Somebody else was told so before, and nobody has been let into a new one since."""
    turn.request("createSession", 1, tag="c", created="u")
    turn.request("addParticipantToSession", 5, status=404, participantId="Q", sessionId=session)
    assert struck(turn) is excused


@pytest.mark.parametrize(
    ("kind", "host", "begun", "over", "excused"),
    [
        ("frozen", A, 12, 14, True),
        ("frozen", B, 12, 14, False),
        ("frozen", A, 21, 25, False),
        ("cut-bandwidth", A, 5, 11, True),
        ("cut-bandwidth", B, 5, 11, False),
        ("killed", A, 12, 14, True),
        ("killed", B, 12, 14, False),
        ("store-away", "", 12, 14, True),
        ("store-away", "", 2, 4, False),
        ("cut-store", B, 12, 14, False),
        ("slow-creates", "", 12, 14, False),
    ],
)
def test_a_replica_was_in_trouble(
    turn: EvidenceBuilder, kind: str, host: str, begun: float, over: float, excused: bool
) -> None:
    turn.troubles.begin(kind, begun, host=host).over = over
    assert struck(turn) is excused


def test_the_trouble_of_another_replica_that_had_begun_with_it(turn: EvidenceBuilder) -> None:
    turn.request("addParticipantToSession", 11, participantId="P", sessionId="t", host=B)
    turn.troubles.begin("killed", 12, host=B).over = 14
    assert struck(turn)


@pytest.mark.parametrize(
    "told",
    [line(9), line(31), line(20, room="c"), line(20, reason="room-full"), line(20, ref="other")],
    ids=["before the order", "after it was seen", "another room", "another reason", "another call"],
)
def test_no_replica_tells_that_it_failed(turn: EvidenceBuilder, told: ReplicaLogLine) -> None:
    turn.troubles.begin("frozen", 0, host=A)
    assert struck(turn)
    turn.logs[:] = [told]
    assert not struck(turn)


@pytest.mark.parametrize(
    ("orders", "failed", "excused"),
    [
        ([("b", 14)], [], True),
        ([("c", 13), ("b", 14)], [], False),
        ([("b", 14)], [13], False),
    ],
    ids=["ordered twice", "ordered elsewhere meanwhile", "ordered again after it had failed"],
)
def test_what_struck_before_the_last_order(
    turn: EvidenceBuilder, orders: list[tuple[str, float]], failed: list[float], excused: bool
) -> None:
    for room, at in orders:
        turn.order(at, f"/calls/{REF}/join", {"room": room})
    turn.logs[:0] = map(line, failed)
    turn.request("removeParticipantFromSession", 12, status=500, fault="status 500", participantId="P")
    assert struck(turn) is excused
