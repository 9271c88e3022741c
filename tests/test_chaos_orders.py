"""The eye of the storm that looks for orders which have not come about, on turns that are made up."""

import msgspec
import pytest

from tests.chaos.checks.orders import MOVE_FAILED, came_about, placed, traced
from tests.chaos.snapshots import owing
from tests.chaos_history_builder import ROOM_A, ROOM_B, TurnHistoryBuilder
from tests.party_state import PLEASE_HOLD

JOIN = {"room": "b"}


@pytest.fixture
def turn() -> TurnHistoryBuilder:
    turn = TurnHistoryBuilder()
    turn.talks("x", ROOM_A, "s")
    return turn


def lost(turn: TurnHistoryBuilder) -> list[str]:
    return [one.excuse or one.what for one in came_about(turn.history(), turn.calls, by_nothing)]


def by_nothing(*_which: object) -> bool:
    return False


def untraced(turn: TurnHistoryBuilder) -> list[str]:
    return [one.what for one in traced(turn.history(), turn.calls)]


@pytest.mark.parametrize("what", ["join", "remove", "transfer", "hangup"])
def test_nothing_came_of_it(turn: TurnHistoryBuilder, what: str) -> None:
    turn.talks("y", "+15551110001", "t")
    turn.member("X", "s")
    turn.asks("POST", f"/calls/x/{what}", JOIN)
    assert lost(turn) == []
    turn.looks()
    # Whose session it is follows from another who is in it for certain.
    turn.talks("z", ROOM_A, "s")
    turn.looks()
    [what_was_found] = lost(turn)
    assert what_was_found.startswith("x should be")


@pytest.mark.parametrize(
    ("what", "stage"), [("remove", "answered"), ("transfer", "bridged"), ("hangup", "ended")]
)
def test_it_came_about(turn: TurnHistoryBuilder, what: str, stage: str) -> None:
    turn.asks("POST", f"/calls/x/{what}", JOIN)
    turn.member("X", None)
    turn.phone("x", stage)
    turn.looks()
    assert lost(turn) == []


def test_an_order_that_was_answered_while_somebody_looked(turn: TurnHistoryBuilder) -> None:
    turn.phone("x", "bridged")
    began = turn.now
    turn.asks("POST", "/calls/x/hangup")
    turn.looks(since=began + 0.5)
    assert lost(turn) == []
    turn.looks()
    assert len(lost(turn)) == 1


@pytest.mark.parametrize("status", [409, None, 503])
def test_refused_or_of_unknown_fate(turn: TurnHistoryBuilder, status: int | None) -> None:
    turn.asks("POST", "/calls/x/hangup", None, status)
    turn.looks()
    assert lost(turn) == []


def test_whose_session_has_vanished_is_not_astray(turn: TurnHistoryBuilder) -> None:
    turn.asks("POST", "/calls/x/join", JOIN)
    turn.member("X", None)
    turn.looks()
    assert lost(turn) == []


def test_a_later_order_came_first(turn: TurnHistoryBuilder) -> None:
    turn.asks("POST", "/calls/x/remove", None)
    turn.asks("POST", "/calls/x/join", {"room": "a"})
    turn.looks()
    assert lost(turn) == []


def held(turn: TurnHistoryBuilder) -> None:
    turn.member("X", None)
    turn.phone("x", "answered")
    turn.hears("x", PLEASE_HOLD)


@pytest.mark.parametrize(("order", "count"), [("remove", 0), ("hold", 0), ("transfer", 1), ("", 1)])
def test_on_hold_is_who_was_put_there(turn: TurnHistoryBuilder, order: str, count: int) -> None:
    if order:
        turn.asks("POST", f"/calls/x/{order}", {})
    held(turn)
    turn.looks()
    turn.looks()
    assert len(lost(turn)) == count


def test_who_calls_and_is_put_on_hold_at_once(turn: TurnHistoryBuilder) -> None:
    turn.dials("y", ROOM_A)
    turn.phone("y", "answered")
    turn.hears("y", PLEASE_HOLD)
    turn.looks()
    [what] = lost(turn)
    assert what.startswith("y should be <room a>")


def test_a_sentence_that_is_not_for_those_on_hold(turn: TurnHistoryBuilder) -> None:
    """Whoever is on the way may hear anything."""
    turn.dials("y", ROOM_A)
    turn.phone("y", "answered")
    turn.hears("y", "Welcome.")
    turn.looks()
    assert lost(turn) == []


@pytest.mark.parametrize("order", ["join", "transfer", "hangup"])
def test_who_stays_on_hold_though_sent_elsewhere(turn: TurnHistoryBuilder, order: str) -> None:
    turn.asks("POST", "/calls/x/remove", {})
    held(turn)
    turn.asks("POST", f"/calls/x/{order}", JOIN)
    turn.looks("call:ref-x")
    assert lost(turn) == []
    turn.looks()
    [what] = lost(turn)
    assert what.startswith("x should be")
    # Once, until it is sent elsewhere again.
    turn.looks()
    assert len(lost(turn)) == 1


def test_who_stays_with_another_number_though_sent_to_a_room(turn: TurnHistoryBuilder) -> None:
    """Told once."""
    turn.asks("POST", "/calls/x/transfer", {})
    turn.member("X", None)
    turn.phone("x", "bridged")
    turn.asks("POST", "/calls/x/join", JOIN)
    turn.looks()
    turn.looks()
    [what] = lost(turn)
    assert what.startswith("x should be <room b>")


@pytest.mark.parametrize(
    ("event", "count"),
    [
        ("redirected", 0),
        ("asks", 0),
        ("hears", 0),
        ("transferring", 0),
        ("asked after", 1),
        ("told again", 1),
    ],
)
def test_who_was_on_hold_and_is_on_the_way(turn: TurnHistoryBuilder, event: str, count: int) -> None:
    """Until the phone has asked, and has heard anew what to do, nothing is known of it."""
    turn.asks("POST", "/calls/x/remove", {})
    held(turn)
    turn.asks("POST", "/calls/x/join", JOIN)
    match event:
        case "redirected":
            turn.request("updateCall", callId="x")
        case "asks":
            turn.webhook("x")
        case "hears":
            turn.hears("x", "Welcome.")
        case "transferring":
            turn.phone("x", event)
        case "asked after":
            turn.request("getCall", callId="x")
        case "told again":
            turn.request("updateCall", callId="x")
            turn.webhook("x")
            turn.hears("x", PLEASE_HOLD)
    turn.looks()
    assert len(lost(turn)) == count


def test_two_operators_one_of_whom_puts_it_on_hold(turn: TurnHistoryBuilder) -> None:
    """Either may have come last."""
    turn.asks("POST", "/calls/x/join", JOIN)
    turn.asks("POST", "/calls/x/remove", {})
    first, second = turn.asked
    turn.asked = [msgspec.structs.replace(first, answered_at=second.answered_at + 0.1), second]
    held(turn)
    turn.looks()
    assert lost(turn) == []


@pytest.mark.parametrize(
    ("reason", "struck", "closed", "excused"),
    [
        ("bandwidth-error", True, False, True),
        ("bandwidth-error", False, True, False),
        ("room-closed", True, False, False),
        ("room-closed", False, True, True),
    ],
)
def test_a_move_that_failed(
    turn: TurnHistoryBuilder, reason: str, struck: bool, closed: bool, excused: bool
) -> None:
    turn.talks("y", ROOM_A, "s")
    # What was closed before is no excuse.
    turn.asks("DELETE", "/rooms/b", None, 404)
    turn.asks("POST", "/calls/x/join", JOIN)
    if closed:
        turn.asks("DELETE", "/rooms/b", None, 404)
    turn.calls["x"]["timeline"].append({"event": "moveFailed", "reason": reason})
    turn.looks()
    asked: list[tuple[object, ...]] = []

    def were_struck(*which: object) -> bool:
        asked.append(which)
        return struck

    [found] = came_about(turn.history(), turn.calls, were_struck)
    assert found.excuse == (MOVE_FAILED if excused else "")
    known = ("ref-x", "X", turn.asked[1:2], reason, turn.stills[-1].over)
    assert asked == ([known] if reason == "bandwidth-error" else [])


@pytest.mark.parametrize("struck", [True, False])
@pytest.mark.parametrize("told", [True, False])
def test_a_second_move_that_failed_before_anybody_looked(
    turn: TurnHistoryBuilder, *, told: bool, struck: bool
) -> None:
    """Its session may be that of either room before, and is not that of the one where it should be."""
    turn.asks("POST", "/calls/x/join", {"room": "c"})
    turn.member("X", "t")
    turn.asks("POST", "/calls/x/join", JOIN)
    if told:
        turn.calls["x"]["timeline"].append({"event": "moveFailed", "reason": "bandwidth-error"})
    turn.looks()
    turn.looks()
    [found] = came_about(turn.history(), turn.calls, lambda *_which: struck)
    assert found.what.startswith("x should be <room b>")
    assert found.excuse == (MOVE_FAILED if told and struck else "")


@pytest.mark.parametrize(("given_up", "excuse"), [(True, MOVE_FAILED), (False, "")])
def test_a_room_that_is_closed_late(turn: TurnHistoryBuilder, given_up: bool, excuse: str) -> None:
    """The operator had given the request up before the call was sent there."""
    turn.talks("y", ROOM_A, "s")
    turn.asks("DELETE", "/rooms/b", None, None, given_up=given_up)
    turn.asks("POST", "/calls/x/join", JOIN)
    turn.calls["x"]["timeline"].append({"event": "moveFailed", "reason": "room-closed"})
    turn.looks()
    [found] = came_about(turn.history(), turn.calls, by_nothing)
    assert found.excuse == excuse


@pytest.mark.parametrize(("limit", "excuse"), [(1, MOVE_FAILED), (2, "")])
def test_a_room_that_is_full(turn: TurnHistoryBuilder, limit: int, excuse: str) -> None:
    turn.asks("PUT", "/rooms/b", {"limit": 1}, 200)
    turn.asks("PUT", "/rooms/b", {"limit": limit}, 200)
    turn.talks("y", ROOM_A, "s")
    turn.talks("z", ROOM_B, "t")
    turn.asks("POST", "/calls/x/join", JOIN)
    # One fails later, for another reason.
    failed = [{"event": "moveFailed", "reason": one} for one in ("room-full", "bandwidth-error")]
    turn.calls["x"]["timeline"] += failed
    turn.looks()
    [found] = came_about(turn.history(), turn.calls, by_nothing)
    assert found.excuse == excuse


def test_a_room_that_visitors_have_filled(turn: TurnHistoryBuilder) -> None:
    turn.asks("PUT", "/rooms/b", {"limit": 1}, 200)
    turn.asks("POST", "/calls/x/join", JOIN)
    turn.calls["x"]["timeline"].append({"event": "moveFailed", "reason": "room-full"})
    turn.looks()
    for visitors, excuse in (([], ""), ([("w", "b")], MOVE_FAILED), ([("w", "a")], "")):
        [found] = came_about(turn.history(), turn.calls, by_nothing, visitors)
        assert found.excuse == excuse


@pytest.mark.parametrize(("status", "count"), [(202, 1), (None, 0), (404, 1)])
def test_a_room_that_was_closed(turn: TurnHistoryBuilder, status: int | None, count: int) -> None:
    turn.asks("DELETE", "/rooms/a", None, status)
    if status != 404:
        turn.looks()
    assert len(lost(turn)) == count


def test_who_comes_after_a_room_was_closed(turn: TurnHistoryBuilder) -> None:
    turn.asks("DELETE", "/rooms/a")
    turn.phone("x", "ended")
    turn.talks("y", ROOM_A, "t")
    turn.looks()
    assert lost(turn) == []


def test_who_comes_while_a_room_is_being_closed(turn: TurnHistoryBuilder) -> None:
    """The first request closes it, and is answered after the second, which finds nobody."""
    turn.asks("POST", "/rooms/a/participants", {}, 201, reply={"participantId": "W"})
    turn.asks("DELETE", "/rooms/a")
    turn.member("W", "s")
    turn.asks("DELETE", "/rooms/a", None, 404)
    turn.asked[1] = msgspec.structs.replace(turn.asked[1], answered_at=turn.asked[2].answered_at + 0.5)
    assert lost(turn) == []


@pytest.mark.parametrize(("path", "found"), [("/rooms/a", 0), ("/rooms/c", 1)])
def test_a_room_that_another_request_has_closed(turn: TurnHistoryBuilder, path: str, found: int) -> None:
    """It was under way as well, and was answered later."""
    turn.asks("DELETE", "/rooms/b", None, 202)
    turn.asks("DELETE", "/rooms/a", None, 404)
    sent_at = turn.asked[1].sent_at
    turn.asked[0] = msgspec.structs.replace(
        turn.asked[0], path=path, sent_at=sent_at + 0.001, answered_at=sent_at + 60
    )
    said = [one for one in lost(turn) if "nobody is there" in one]
    assert len(said) == found


def test_a_browser_that_never_came(turn: TurnHistoryBuilder) -> None:
    turn.asks("POST", "/rooms/a/participants", {}, 201, reply={"participantId": "W"})
    [what] = lost(turn)
    assert "browser W" in what


@pytest.mark.parametrize("owns", [True, False])
def test_a_browser_that_was_sent_out(turn: TurnHistoryBuilder, owns: bool) -> None:
    turn.asks("POST", "/rooms/a/participants", {}, 201, reply={"participantId": "W"})
    turn.member("W", "s")
    turn.asks("DELETE", "/rooms/a/participants/W", None, 204)
    turn.looks(*(["room:a"] if owns else []))
    assert bool(lost(turn)) is not owns


@pytest.mark.parametrize(
    ("status", "entry", "count"),
    [
        (202, "orderJoin", 0),
        (202, "", 1),
        (409, "", 0),
        (409, "orderJoin", 1),
        (None, "orderJoin", 0),
        (None, "", 0),
    ],
)
def test_an_order_is_in_the_timeline_or_not(
    turn: TurnHistoryBuilder, status: int | None, entry: str, count: int
) -> None:
    turn.asks("POST", "/calls/x/join", JOIN, status, entry=entry, reply={"room": "a", "state": "bridged"})
    assert len(untraced(turn)) == count


def test_who_is_sent_where_it_is_leaves_no_trace(turn: TurnHistoryBuilder) -> None:
    reply = {"room": "b", "state": "bridged", "nextRoom": None}
    turn.asks("POST", "/calls/x/join", JOIN, reply=reply)
    assert untraced(turn) == []
    turn.asks("POST", "/calls/x/join", JOIN, reply={**reply, "state": "detached"})
    assert len(untraced(turn)) == 1


def test_who_has_ended_is_hung_up_without_a_trace(turn: TurnHistoryBuilder) -> None:
    turn.asks("POST", "/calls/x/hangup", None, reply={"room": "a", "state": "ended"})
    assert untraced(turn) == []


def test_a_browser_that_a_room_has_yet_to_take_out() -> None:
    turn = TurnHistoryBuilder()
    turn.request("createParticipant", 200, body={"tag": "web-1.1"}, created="P")
    turn.member("P", "s")
    turn.asks("POST", "/rooms/a/participants", {}, 201, reply={"participantId": "P"})
    turn.member("P", "s")
    turn.asks("DELETE", "/rooms/a/participants/P", None, 204)
    turn.looks("seat:web-1.1")
    assert lost(turn) == []
    turn.looks("seat:web-2.1")
    assert len(lost(turn)) == 1


def test_what_a_room_owes_concerns_all_or_one_seat() -> None:
    assert {*owing("room:a", ["check-room", "free-seat:web-1.1", ".tries"])} == set()
    assert {*owing("room:a", ["subscribe:web-1.1"])} == {"seat:web-1.1"}
    assert {*owing("room:a", ["evict:p00-1.1", "remove-participant:web-1.1", "delete-participant:P"])} == {
        *("room:a", "seat:web-1.1", "seat:P")
    }
    assert {*owing("call:p00-1", ["hang-up", "ask-after"])} == {"call:p00-1"}
    assert {*owing("call:p00-1", ["ask-after"])} == set()


CALL = {"to": "+15553330001", "room": "a"}


@pytest.mark.parametrize(
    ("statuses", "rings", "right"),
    [
        ([201], 1, True),
        ([201], 0, False),
        ([201], 2, False),
        ([202], 0, True),
        ([None, 201], 1, True),
        ([None, 201], 2, False),
        ([429, 201], 1, True),
        ([409], 0, True),
        ([409], 1, False),
    ],
)
def test_a_number_rings_once_for_a_key(statuses: list[int | None], rings: int, right: bool) -> None:
    turn = TurnHistoryBuilder()
    for status in statuses:
        reply = {"id": "ref"} if status in {201, 202} else None
        turn.asks("POST", "/calls", CALL, status, reply=reply, idempotency_key="key")
    for number in range(rings):
        turn.dials(f"call-{number}", CALL["to"], direction="outbound")
    assert bool(list(placed(turn.history()))) is not right


@pytest.mark.parametrize(
    ("statuses", "right"),
    [
        ([201, 201], False),
        ([202, 201], False),
        ([429, 202, 201], True),
        ([502, 202, 201], True),
        ([429, 201, 201], False),
    ],
)
def test_one_key_is_one_call(statuses: list[int], right: bool) -> None:
    """Every answer names another call; one of unknown fate that was refused never was one."""
    turn = TurnHistoryBuilder()
    for number, status in enumerate(statuses):
        reply = {"id": f"ref-{number}"} if status in {201, 202} else None
        turn.asks("POST", "/calls", CALL, status, reply=reply, idempotency_key="key")
    turn.dials("call", CALL["to"], direction="outbound")
    assert bool(list(placed(turn.history()))) is not right
