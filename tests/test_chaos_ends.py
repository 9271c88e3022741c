"""The eye for ends: what it finds, and what it lets pass."""

import msgspec
import pytest

from tests.chaos.checks import ends
from tests.chaos.evidence import ReplicaLogLine
from tests.chaos.finding import Finding
from tests.chaos.fleet import Kill, Stop
from tests.chaos.previous_release import VERSION
from tests.chaos_evidence_builder import (
    BRIDGE,
    CALL,
    CLOSED,
    COME_BACK,
    HANGUP,
    KEEP,
    LEG,
    REF,
    SORRY,
    WAIT,
    A,
    B,
    EvidenceBuilder,
    transfer,
)
from tests.simulator.webhooks import TIMED_OUT


def _turn(*, inbound: bool = True) -> EvidenceBuilder:
    turn = EvidenceBuilder()
    turn.phone(inbound=inbound)
    turn.stage(1.0, "ringing")
    turn.webhook("initiate" if inbound else "answer", 1.0, transfer("t"))
    return turn


def _connect(turn: EvidenceBuilder) -> None:
    turn.stage(1.2, "transferring")
    turn.webhook("transferAnswer", 1.3, KEEP, call_id=LEG, url=f"{A}/voice/{REF}/1")
    turn.stage(1.5, "bridged")


def _hang_up(turn: EvidenceBuilder, at: float = 5.0, cause: str = "hangup") -> None:
    turn.stage(at, "ended", cause, hung_up=True)
    turn.webhook("disconnect", at, status=204)


def _found(turn: EvidenceBuilder) -> list[Finding]:
    return list(ends.check(turn.evidence()))


# One line for each ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lines", "found"), [(0, 1), (1, 0), (2, 1)])
def test_one_line_says_so(lines: int, found: int) -> None:
    turn = _turn()
    _hang_up(turn)
    turn.ended("caller", "abandoned", "hangup", lines=lines)
    assert [one.excuse for one in _found(turn)] == [""] * found


def test_the_line_says_the_same() -> None:
    turn = _turn()
    _hang_up(turn)
    turn.ended("caller", "abandoned", "hangup", said="busy")
    assert [one.excuse for one in _found(turn)] == [""]


@pytest.mark.parametrize(
    ("reply", "heard_at", "blame", "said", "excuse"),
    [
        (SORRY, 6.0, "caller", "abandoned", "let-go-after-its-line"),
        # Nothing that would be right without it.
        (SORRY, 6.0, "caller", "wrong-pin", ""),
        (SORRY, 6.0, "caller", "busy", ""),
        # It was written down before anybody heard of the end.
        (SORRY, 30.0, "caller", "abandoned", ""),
        # Nobody has let it go.
        (COME_BACK, 6.0, "caller", "abandoned", ""),
    ],
)
def test_the_line_came_before_it_was_known_that_they_were_let_go(
    reply: str, heard_at: float, blame: str, said: str, excuse: str
) -> None:
    turn = EvidenceBuilder()
    turn.phone()
    turn.stage(1.0, "ringing")
    turn.troubles.begin("store-away", 0.9).over = 5.0
    turn.webhook("initiate", 1.0, COME_BACK)
    turn.webhook("redirect", 4.0, reply, url=f"{A}/voice/{REF}?again=3", number=2)
    turn.stage(6.0, "ended", "hangup")
    turn.webhook("disconnect", heard_at, status=204)
    for n in range(20):
        turn.webhook("initiate", 7.0 + n / 2, transfer("u"), call_id=f"c-{n + 5}", url=f"{A}/voice")
    turn.ended("service", "internal-error", "hangup")
    turn.logs[0].fields.update(blame=blame, reason=said)
    found = [one.excuse for one in _found(turn) if "its line says" in one.what]
    assert found == [excuse]


@pytest.mark.parametrize(("heard_at", "excuse"), [(5.1, "let-go-after-its-line"), (5.0, "")])
def test_a_caller_that_hung_up_as_it_was_let_go(heard_at: float, excuse: str) -> None:
    turn = EvidenceBuilder()
    turn.phone()
    turn.stage(1.0, "ringing")
    turn.troubles.begin("store-away", 0.9).over = 8.0
    turn.stage(5.0, "ended", "hangup")
    turn.webhook("redirect", 5.05, SORRY, url=f"{A}/voice/{REF}?again=3", number=2)
    turn.webhook("disconnect", heard_at, status=204)
    turn.ended("service", "internal-error", "hangup")
    turn.logs[0].fields.update(blame="caller", reason="abandoned")
    found = [one.excuse for one in _found(turn) if "its line says" in one.what]
    assert found == [excuse]


@pytest.mark.parametrize(("served", "excuse"), [(0, "end-not-logged-before-kill"), (1, ""), (2, "")])
def test_no_line_as_the_replica_was_killed_before(served: int, excuse: str) -> None:
    """Each webhook that it has answered since was sent after the one before was answered."""
    turn = _turn()
    _hang_up(turn)
    turn.ended("caller", "abandoned", "hangup", lines=0)
    for n in range(2 * served):
        turn.webhook("initiate", 5.2 + n / 5, transfer("u"), call_id=f"c-{n + 5}", url=f"{A}/voice")
    turn.kills.append(Kill(8.0, "127.0.0.1"))
    assert [one.excuse for one in _found(turn)] == [excuse]


def test_the_other_replica_was_killed() -> None:
    turn = _turn()
    _hang_up(turn)
    turn.ended("caller", "abandoned", "hangup", lines=0)
    turn.kills.append(Kill(5.05, "localhost"))
    assert [one.excuse for one in _found(turn)] == [""]


# What it was ------------------------------------------------------------------------------------------------


def test_the_cause_is_the_one_that_bandwidth_gave() -> None:
    turn = _turn()
    _hang_up(turn)
    turn.ended("caller", "abandoned", "cancel")
    assert len(_found(turn)) == 1


@pytest.mark.parametrize(
    ("inbound", "cause", "outcome"),
    [
        (True, "hangup", ("caller", "abandoned")),
        (True, "cancel", ("caller", "abandoned")),
        (False, "hangup", ("callee", "abandoned")),
        (False, "cancel", ("nobody", "cancelled")),
        (False, "busy", ("callee", "busy")),
        (False, "timeout", ("callee", "no-answer")),
        (False, "rejected", ("callee", "rejected")),
    ],
)
def test_who_was_in_no_room(inbound: bool, cause: str, outcome: tuple[str, str]) -> None:
    turn = _turn(inbound=inbound)
    _hang_up(turn, cause=cause)
    right, swapped = msgspec.convert([outcome, (outcome[0] + "r", outcome[1])], list[tuple[str, str]])
    turn.ended(*right, cause)
    assert _found(turn) == []
    turn.logs.clear()
    turn.ended(*swapped, cause)
    assert len(_found(turn)) == 1


@pytest.mark.parametrize(
    ("outcome", "found"),
    [(("nobody", "completed"), 0), (("caller", "abandoned"), 1), (("caller", "busy"), 1)],
)
def test_who_was_in_a_room(outcome: tuple[str, str], found: int) -> None:
    turn = _turn()
    _connect(turn)
    _hang_up(turn)
    turn.ended(*outcome, "hangup")
    assert len(_found(turn)) == found


@pytest.mark.parametrize("outcome", [("nobody", "completed"), ("caller", "abandoned")])
def test_who_hung_up_just_as_the_leg_answered(outcome: tuple[str, str]) -> None:
    turn = _turn()
    turn.stage(1.2, "transferring")
    turn.webhook("transferAnswer", 4.9, KEEP, call_id=LEG, url=f"{A}/voice/{REF}/1", seconds=0.2)
    _hang_up(turn)
    turn.ended(*outcome, "hangup")
    assert _found(turn) == []


@pytest.mark.parametrize("outcome", [("nobody", "completed"), ("callee", "abandoned")])
def test_who_hung_up_before_a_frozen_replica_bridged_them(outcome: tuple[str, str]) -> None:
    """The replica takes up the phone's question after its thaw, and hears then that the phone has gone."""
    turn = _asks_a_frozen_replica()
    turn.parked_leg(1.5, 9.5, address=B)
    turn.ended(*outcome, "hangup")
    assert _found(turn) == []


def test_who_hung_up_while_a_frozen_replica_was_asked_for_their_leg() -> None:
    turn = EvidenceBuilder()
    turn.phone(inbound=False)
    turn.stage(1.0, "answered")
    turn.webhook("answer", 1.0, WAIT)
    turn.parked_leg(1.5, 9.5, status=None)
    turn.troubles.begin("frozen", 1.2, host="127.0.0.1").over = 9.0
    _hang_up(turn)
    turn.ended("nobody", "completed", "hangup")
    assert _found(turn) == []


def test_who_hung_up_while_all_their_webhooks_were_answered() -> None:
    turn = _asks_a_frozen_replica(status=200)
    turn.parked_leg(1.5, 9.5, address=B)
    turn.ended("nobody", "completed", "hangup")
    assert len(_found(turn)) == 1


@pytest.mark.parametrize("leg", [None, 4.0])
def test_who_hung_up_while_no_leg_was_up_to_bridge_them_with(leg: float | None) -> None:
    turn = _asks_a_frozen_replica()
    if leg:
        turn.parked_leg(1.5, leg, cause="error", address=B)
    turn.ended("nobody", "completed", "hangup")
    assert len(_found(turn)) == 1


@pytest.mark.parametrize(
    ("frozen", "error"), [("", TIMED_OUT), ("localhost", TIMED_OUT), ("127.0.0.1", "ClientError")]
)
def test_who_hung_up_while_no_frozen_replica_was_asked(frozen: str, error: str) -> None:
    turn = _asks_a_frozen_replica(frozen, error=error)
    turn.parked_leg(1.5, 9.5, address=B)
    turn.ended("nobody", "completed", "hangup")
    assert len(_found(turn)) == 1


def test_who_hung_up_when_the_replica_had_thawed_and_caught_up() -> None:
    """What it did with the question was written down by then."""
    turn = _asks_a_frozen_replica(thaws=2.0, unanswered_for=1.5)
    turn.parked_leg(1.5, 9.5, address=B)
    turn.ended("nobody", "completed", "hangup")
    assert _found(turn) == []
    for n in range(8):
        turn.webhook("initiate", 2.5 + n / 4, transfer("u"), call_id=f"c-{n + 5}", url=f"{A}/voice")
    assert len(_found(turn)) == 1


def test_who_was_connected_in_spite_of_a_frozen_replica_has_not_given_up() -> None:
    turn = _asks_a_frozen_replica(unanswered_for=1.0)
    turn.parked_leg(1.5, 9.5, address=B)
    turn.webhook("answer", 2.0, BRIDGE, url=f"{B}/voice/{REF}")
    turn.stage(2.1, "bridged")
    turn.ended("callee", "abandoned", "hangup")
    assert len(_found(turn)) == 1


def _asks_a_frozen_replica(
    host: str = "127.0.0.1",
    *,
    status: int | None = None,
    error: str = TIMED_OUT,
    thaws: float = 9.0,
    unanswered_for: float = 6.0,
) -> EvidenceBuilder:
    """A phone of ours answers while the replica stands still that is asked, and hangs up at 5.0."""
    turn = EvidenceBuilder()
    turn.phone(inbound=False)
    turn.stage(1.0, "answered")
    if host:
        turn.troubles.begin("frozen", 0.5, host=host).over = thaws
    turn.webhook("answer", 1.0, WAIT, seconds=0.1 if status else unanswered_for, status=status, error=error)
    turn.stage(5.0, "ended", "hangup", hung_up=True)
    turn.webhook("disconnect", 5.0, seconds=6.0, status=None)
    return turn


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [(SORRY, ("bandwidth", "bandwidth-error")), (CLOSED, ("nobody", "room-closed"))],
)
def test_who_was_told(reply: str, outcome: tuple[str, str]) -> None:
    turn = _turn()
    turn.webhook("redirect", 3.0, reply)
    turn.stage(4.0, "ended", "hangup")
    turn.ended(*outcome, "hangup")
    assert _found(turn) == []
    turn.logs.clear()
    turn.ended("caller", "abandoned", "hangup")
    assert len(_found(turn)) == 1


@pytest.mark.parametrize(("at", "found"), [(4.0, 0), (6.0, 1)])
def test_whose_room_was_closed_before_they_were_told(at: float, found: int) -> None:
    turn = _turn()
    _connect(turn)
    turn.order(at, "/rooms/a", method="DELETE", status=204)
    _hang_up(turn)
    turn.ended("nobody", "room-closed", "hangup")
    assert len(_found(turn)) == found


@pytest.mark.parametrize(("sent_at", "found"), [(2.0, 0), (4.0, 1)])
def test_whose_room_was_closed_to_which_they_were_sent(sent_at: float, found: int) -> None:
    """Who was sent there afterwards came into a room that was open again."""
    turn = _turn()
    _connect(turn)
    turn.order(sent_at, f"/calls/{CALL}/join", {"room": "b"})
    turn.order(3.0, "/rooms/b", method="DELETE", status=204)
    _hang_up(turn)
    turn.ended("nobody", "room-closed", "hangup")
    assert len(_found(turn)) == found


@pytest.mark.parametrize(
    ("orders", "found"),
    [
        ([], 0),
        # The leg has ended as the phone was put on hold.
        ([(3.0, "remove", 202)], 1),
        ([(3.0, "hold", 202)], 1),
        # It may have broken all the same.
        ([(3.0, "remove", 503)], 0),
        ([(4.95, "remove", 202)], 0),
        ([(3.0, "remove", 202), (4.0, "join", 202)], 0),
        ([(2.0, "join", 202), (3.0, "remove", 202)], 1),
        ([(2.0, "join", 503), (3.0, "remove", 202)], 0),
    ],
)
def test_whose_leg_broke(orders: list[tuple[float, str, int]], found: int) -> None:
    turn = _turn()
    _connect(turn)
    for at, kind, status in orders:
        turn.order(at, f"/calls/{CALL}/{kind}", {}, status=status)
    turn.leg(1.2, "ringing")
    turn.leg(1.5, "bridged")
    turn.leg(3.2, "ended", "hangup")
    turn.stage(3.2, "answered")
    _hang_up(turn)
    turn.ended("bandwidth", "transfer-failed", "hangup")
    assert len(_found(turn)) == found


@pytest.mark.parametrize("outcome", [("nobody", "cancelled"), ("caller", "abandoned")])
@pytest.mark.parametrize("hung_up", [True, False])
def test_who_was_hung_up_on_by_an_order(outcome: tuple[str, str], hung_up: bool) -> None:
    """Where both hang up at once either is right."""
    turn = _turn()
    turn.stage(1.2, "answered")
    turn.order(4.9, f"/calls/{CALL}/hangup", {})
    turn.stage(5.0, "ended", "hangup", hung_up=hung_up)
    turn.ended(*outcome, "hangup")
    assert (_found(turn) == []) == (hung_up or outcome[0] == "nobody")


@pytest.mark.parametrize(
    ("version", "reason", "excuse"),
    [
        (VERSION, "abandoned", "ended-by-the-release-before"),
        (VERSION, "rejected", "ended-by-the-release-before"),
        ("0.2.0", "abandoned", ""),
        (VERSION, "busy", ""),
    ],
)
def test_who_was_hung_up_on_while_the_release_before_ran(version: str, reason: str, excuse: str) -> None:
    turn = _turn()
    turn.stage(1.2, "answered")
    turn.order(4.9, f"/calls/{CALL}/hangup", {})
    turn.stage(5.0, "ended", "hangup")
    turn.ended("caller", reason, "hangup")
    started = {"event": "service.started", "version": version}
    turn.logs.append(ReplicaLogLine("a", "replica-a0.log", "", started))
    assert [one.excuse for one in _found(turn)] == [excuse]


def test_who_was_let_go_by_a_replica_that_was_killed() -> None:
    turn = _turn()
    turn.webhook("redirect", 3.0, SORRY, url=f"{A}/voice/{REF}?again=3")
    turn.stage(4.0, "ended", "hangup")
    turn.ended("caller", "abandoned", "hangup")
    assert [one.excuse for one in _found(turn)] == [""]
    turn.kills.append(Kill(4.5, "127.0.0.1"))
    assert [one.excuse for one in _found(turn)] == ["end-known-to-a-killed-replica"]


@pytest.mark.parametrize("closed_at", [2.5, 6.0])
def test_whose_room_was_closed_as_a_replica_without_the_store_let_them_go(closed_at: float) -> None:
    """The other one has closed it, and cannot know that the phone is gone, or is told something else."""
    turn = _let_go_without_the_store()
    turn.order(closed_at, "/rooms/a", method="DELETE", status=204)
    assert _found(turn) == []


def test_whose_room_nobody_has_closed_as_a_replica_without_the_store_let_them_go() -> None:
    assert len(_found(_let_go_without_the_store())) == 1


def test_whose_room_was_closed_when_it_was_written_down_that_they_were_let_go() -> None:
    turn = _let_go_without_the_store()
    for n in range(8):
        turn.webhook("initiate", 8.5 + n / 2, transfer("u"), call_id=f"c-{n + 5}", url=f"{A}/voice")
    turn.order(20.0, "/rooms/a", method="DELETE", status=204)
    assert len(_found(turn)) == 1


def test_whose_room_was_closed_when_the_other_replica_knew_of_their_end() -> None:
    turn = _let_go_without_the_store(ended_at=f"{B}/voice/{REF}")
    turn.order(6.0, "/rooms/a", method="DELETE", status=204)
    assert len(_found(turn)) == 1


def test_whose_room_was_closed_as_they_were_let_go_with_the_store_at_hand() -> None:
    turn = _let_go_without_the_store(again="")
    turn.order(2.5, "/rooms/a", method="DELETE", status=204)
    assert len(_found(turn)) == 1


def _let_go_without_the_store(again: str = "?again=3", ended_at: str = f"{A}/voice/{REF}") -> EvidenceBuilder:
    """A replica is cut off from the store until 8.0, and lets the phone go; it is told as a closed room."""
    turn = _turn()
    turn.troubles.begin("cut-store", 2.0, host="127.0.0.1").over = 8.0
    turn.webhook("redirect", 3.0, SORRY, url=f"{A}/voice/{REF}{again}")
    turn.stage(4.0, "ended", "hangup")
    turn.webhook("disconnect", 4.0, status=204, url=ended_at)
    turn.ended("nobody", "room-closed", "hangup")
    return turn


def test_whose_webhook_was_answered_by_nobody() -> None:
    turn = _turn()
    turn.webhook("redirect", 3.0, HANGUP, status=None)
    turn.stage(4.0, "ended", "callback-error")
    turn.ended("service", "webhook-unanswered", "callback-error")
    assert _found(turn) == []


@pytest.mark.parametrize(("limit", "status", "found"), [(1, None, 0), (2, None, 1), (1, 200, 1)])
def test_whose_webhook_was_handled_when_nobody_waited_for_it(
    limit: int, status: int | None, found: int
) -> None:
    """The phone had gone by then, and the room was full."""
    turn = EvidenceBuilder()
    turn.phone()
    turn.order(0.1, "/rooms/a", {"limit": limit}, method="PUT", status=200)
    turn.browser("B", "a", 0.5)
    turn.stage(1.0, "ringing")
    turn.webhook("initiate", 1.0, WAIT, status=status)
    turn.stage(2.0, "ended", "cancel")
    turn.webhook("disconnect", 3.0, status=204)
    turn.ended("limit", "room-full", "cancel")
    assert len(_found(turn)) == found


# Whose end was not known ------------------------------------------------------------------------------------


def test_who_seemed_to_be_left_alone_as_nobody_heard_that_they_had_hung_up() -> None:
    assert _found(_left_in_the_room()) == []


def test_who_was_known_to_have_hung_up_was_not_left_alone() -> None:
    assert len(_found(_left_in_the_room(disconnect=204))) == 1


def test_who_had_been_alone_for_long_enough_when_they_hung_up() -> None:
    """Also where the end was told at once."""
    assert _found(_left_in_the_room(disconnect=204, others_leave=1.8)) == []


@pytest.mark.parametrize("others_leave", [None, 50.0])
def test_who_was_with_others_was_not_left_alone(others_leave: float | None) -> None:
    turn = _left_in_the_room(others_leave=others_leave)
    _learns(turn, 20.0)
    assert len(_found(turn)) == 1


def test_who_was_taken_out_before_was_not_left_alone() -> None:
    turn = _left_in_the_room()
    turn.member(7.0, "P", None)
    turn.request("removeParticipantFromSession", 7.0, participantId="P", sessionId="s")
    assert len(_found(turn)) == 1


def test_nobody_was_left_alone_in_a_room_that_does_not_hang_up_on_the_last() -> None:
    assert len(_found(_left_in_the_room(then="wait"))) == 1


@pytest.mark.parametrize(("at", "found"), [(6.5, 1), (12.0, 0)])
def test_bandwidth_was_asked_before_they_seemed_to_be_left_alone(at: float, found: int) -> None:
    turn = _left_in_the_room()
    _learns(turn, at)
    assert len(_found(turn)) == found


@pytest.mark.parametrize(
    "why", ["killed", "cut off", "fault", "only checks", "other", "too early", "not yet"]
)
def test_bandwidth_was_asked_and_the_service_need_not_have_learned_of_the_end(why: str) -> None:
    turn = _left_in_the_room()
    fault = "500" if why == "fault" else None
    match why:
        case "killed":
            turn.kills.append(Kill(6.6, "127.0.0.1"))
        case "cut off":
            turn.troubles.begin("cut-store", 6.4, host="127.0.0.1").over = 6.6
        case "only checks":
            turn.request("updateCall", 6.3, status=404, callId=CALL)
        case _:
            pass
    _learns(
        turn,
        4.9 if why == "too early" else 6.5,
        fault=fault,
        call_id="c-9" if why == "other" else CALL,
        served=1 if why == "not yet" else 2,
    )
    assert _found(turn) == []


def test_what_is_asked_again_after_a_check_tells_of_the_end() -> None:
    turn = _left_in_the_room()
    turn.request("updateCall", 6.1, status=404, callId=CALL)
    turn.request("getCall", 6.2, callId=CALL)
    _learns(turn, 6.5)
    assert len(_found(turn)) == 1


@pytest.mark.parametrize(("disconnect", "found"), [(None, 0), (204, 1)])
def test_who_hung_up_on_the_way_in_seemed_to_be_left_alone(disconnect: int | None, found: int) -> None:
    """The service counts them in from when their participant is."""
    assert len(_found(_left_in_the_room(disconnect=disconnect, bridged=False))) == found


def _left_in_the_room(
    *,
    disconnect: int | None = None,
    others_leave: float | None = 6.0,
    then: str = "hangup",
    bridged: bool = True,
) -> EvidenceBuilder:
    """A phone hangs up at 5.0, and is told as left alone, in a room that hangs up on who is that for four."""
    turn = _turn()
    turn.order(0.1, "/rooms/a", {"alone": {"after": 4, "then": then}}, method="PUT", status=200)
    turn.browser("B", "a", 0.2)
    turn.member(0.5, "B", "s")
    turn.member(1.1, "P", "s")
    turn.stage(1.2, "transferring")
    turn.leg(1.2, "ringing", participant="P")
    if bridged:
        turn.webhook("transferAnswer", 1.3, KEEP, call_id=LEG, url=f"{A}/voice/{REF}/1")
        turn.stage(1.5, "bridged", participant="P")
    turn.leg(5.0, "ended", "hangup")
    turn.stage(5.0, "ended", "hangup", hung_up=True)
    turn.webhook("disconnect", 5.0, status=disconnect)
    if others_leave is not None:
        turn.request("removeParticipantFromSession", others_leave, participantId="B", sessionId="s")
        turn.member(others_leave, "B", None)
    turn.ended("nobody", "left-alone", "hangup")
    return turn


def _learns(
    turn: EvidenceBuilder, at: float, *, fault: str | None = None, call_id: str = CALL, served: int = 2
) -> None:
    """A replica asks Bandwidth, which says that the call has ended, and answers so many webhooks since."""
    turn.request("getCall", at, fault=fault, callId=call_id)
    for n in range(served):
        turn.webhook(
            "initiate", at + 0.2 + n / 5, transfer("u"), call_id=f"c-{at}-{n}", url=f"{A}/voice", number=n
        )


@pytest.mark.parametrize(("disconnect", "learned", "found"), [(None, 9.0, 0), (None, 5.5, 1), (204, 9.0, 1)])
@pytest.mark.parametrize(
    ("orders", "blame", "reason"),
    [
        (["hangup"], "nobody", "cancelled"),
        (["transfer", "hangup"], "nobody", "completed"),
        (["room"], "nobody", "room-closed"),
        ([], "limit", "time-limit"),
    ],
)
def test_what_else_came_before_their_end_was_known(
    orders: list[str], blame: str, reason: str, disconnect: int | None, learned: float, found: int
) -> None:
    turn = EvidenceBuilder()
    turn.phone(inbound=False)
    turn.order(0.5, "/calls", {"to": "+15551110000", "room": "a", "maxDuration": 7})
    turn.stage(1.0, "answered")
    turn.webhook("answer", 1.0, WAIT)
    turn.stage(5.0, "ended", "hangup", hung_up=True)
    turn.webhook("disconnect", 5.0, status=disconnect)
    _learns(turn, learned)
    for n, kind in enumerate(orders):
        path, method = ("/rooms/a", "DELETE") if kind == "room" else (f"/calls/{CALL}/{kind}", "POST")
        turn.order(7.0 + n, path, {"number": "+15553334444"}, method=method)
    turn.ended(blame, reason, "hangup")
    assert len(_found(turn)) == found


def test_who_was_not_to_be_sent_elsewhere_has_completed_nothing() -> None:
    turn = _turn()
    turn.stage(5.0, "ended", "hangup", hung_up=True)
    turn.webhook("disconnect", 5.0, status=None)
    turn.order(7.0, f"/calls/{CALL}/hangup", {})
    turn.ended("nobody", "completed", "hangup")
    assert len(_found(turn)) == 1


# Of whom nothing is known -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("killed", "served", "excuse"),
    [
        (None, 0, ""),
        (1.05, 0, "turned-away"),
        # The store is back, and the replica is not known to have written it yet.
        (4.0, 1, "turned-away"),
        (9.0, 8, ""),
        (0.5, 0, ""),
    ],
)
@pytest.mark.parametrize("ends", ["kills", "stops"])
def test_who_was_turned_away_is_known(killed: float | None, served: int, excuse: str, ends: str) -> None:
    turn = _turned_away()
    for n in range(served):
        turn.webhook("initiate", 3.5 + n / 2, transfer("u"), call_id=f"c-{n + 5}", url=f"{A}/voice")
    if killed and ends == "kills":
        turn.kills.append(Kill(killed, "127.0.0.1"))
    elif killed:
        turn.stops.append(Stop(0.2, killed, "127.0.0.1", 0.0, killed))
    assert [one.excuse for one in _found(turn)] == [excuse]


def test_who_was_let_go_is_known_by_who_has_let_it_go() -> None:
    turn = _turned_away()
    turn.kills.append(Kill(1.05, "127.0.0.1"))
    turn.webhook("redirect", 2.0, COME_BACK, url=f"{B}/voice/{REF}?again=1")
    assert [one.excuse for one in _found(turn)] == ["turned-away"]
    turn.webhook("redirect", 3.0, SORRY, url=f"{B}/voice/{REF}?again=3")
    assert [one.excuse for one in _found(turn)] == [""]


def _turned_away() -> EvidenceBuilder:
    turn = EvidenceBuilder()
    turn.phone()
    turn.stage(1.0, "ringing")
    turn.troubles.begin("store-away", 0.9).over = 3.0
    turn.webhook("initiate", 1.0, COME_BACK)
    turn.stage(4.0, "ended", "cancel")
    return turn
