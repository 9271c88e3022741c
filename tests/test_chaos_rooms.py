"""How many are in a room, and when it is full, by the store's journal: on made-up turns."""

import pytest

from tests.chaos.checks import orders, replies, rooms
from tests.chaos.finding import Finding
from tests.chaos.marks import Moment, moments
from tests.chaos.room_members import full_rooms
from tests.chaos.store_history import Step
from tests.chaos_evidence_builder import CALL, HANGUP, REF, EvidenceBuilder
from tests.chaos_history_builder import ROOM_A, ROOM_B, TurnHistoryBuilder
from tests.store_step_builders import PARTITION, mark, step

ROOM = f"{PARTITION}room:a"
FULL = (
    "<SpeakSentence>We are sorry, this conference is full. Please try again later.</SpeakSentence>" + HANGUP
)


def limited(limit: int) -> Step:
    return step(("SET", f"{PARTITION}settings:a", f'{{"limit":{limit}}}'))


def takes(*seats: str) -> Step:
    return step(*(("HSET", ROOM, f"seat:{seat}", "reserved -") for seat in seats))


def is_now(seat: str, phase: str) -> Step:
    return step(("HSET", ROOM, f"seat:{seat}", f"{phase} participant"))


def frees(seat: str) -> Step:
    return step(f"HDEL {ROOM} seat:{seat}")


def seen(*written: Step) -> list[Finding]:
    turn = EvidenceBuilder()
    turn.written += written
    return list(rooms.check(turn.evidence()))


# When a step was written ------------------------------------------------------------------------------------


def test_a_step_lies_between_the_marks_around_it() -> None:
    first, second, last = takes("x"), takes("y"), takes("z")
    written = [first, mark(1, 500), second, mark(2, 400), mark(3, 700), last]
    found = {id(one): moment for one, moment in moments(written)}
    assert [one for one, _ in moments(written)] == written
    assert found[id(first)].before == 2, "the answer to the mark behind it was there by then"
    assert (found[id(second)].after, found[id(second)].before, found[id(second)].clock) == (1, 3, 500)
    assert found[id(last)].after == 3
    assert found[id(last)].before == float("inf")


def test_a_mark_takes_the_one_before_away() -> None:
    """A busy server does not come round to what has expired."""
    [one] = mark(3, 600)
    replaced = [[b"UNLINK", b"chaos:mark"], one]
    taken = takes("x")
    found = {id(one): moment for one, moment in moments([mark(1, 500), taken, replaced, mark(4, 700)])}
    assert found[id(taken)] == Moment(1, 4, 600)


# More than there may be -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ([limited(2), takes("x"), takes("y")], 0),
        ([limited(2), takes("x"), takes("y"), takes("z")], 1),
        ([limited(2), takes("x"), takes("y"), is_now("x", "leaving"), takes("z")], 1),
        ([limited(2), takes("x"), takes("y"), frees("x"), takes("z")], 0),
        ([limited(2), takes("x"), takes("y"), is_now("x", "closing"), takes("z")], 0),
        ([takes("x"), takes("y"), takes("z"), limited(2), is_now("x", "in")], 0),
        ([takes("x"), takes("y"), limited(2), takes("z")], 1),
        ([takes(*map(str, range(20)))], 0),
        ([takes(*map(str, range(21)))], 1),
        ([limited(100), takes(*map(str, range(21)))], 1),
    ],
)
def test_a_room_takes_no_more_than_it_may(written: list[Step], count: int) -> None:
    """A limit that is set lower puts nobody out."""
    assert len(seen(*written)) == count


# Full rooms -------------------------------------------------------------------------------------------------

SPELL = [
    limited(1),
    mark(1),
    takes("x"),
    mark(2),
    mark(3),
    frees("x"),
    mark(4),
    mark(5),
    takes("y"),
    frees("y"),
    mark(6),
    mark(7),
]
"""Full from 1 to 5, and for a moment between 5 and 7."""


@pytest.mark.parametrize(
    ("since", "until", "full"),
    [(0, 0.5, False), (0, 1, True), (2, 3, True), (4.9, 9, True), (5.5, 6, True), (7.1, 9, False)],
)
def test_when_a_room_may_have_been_full(since: float, until: float, full: bool) -> None:
    known = full_rooms(SPELL)
    assert known is not None
    assert known.was_full("a", since, until) is full
    assert not known.was_full("b", since, until)


def test_without_a_journal_nobody_knows_when_a_room_was_full() -> None:
    assert full_rooms([]) is None
    assert full_rooms([limited(1), step("BITOP AND a b")]) is None


@pytest.mark.parametrize(("freed", "found"), [(False, 0), (True, 1)])
def test_a_caller_is_told_that_a_room_is_full_which_others_have_left(freed: bool, found: int) -> None:
    turn = EvidenceBuilder()
    turn.phone(inbound=False)
    turn.order(6.5, "/calls", {"to": "+15551110000", "room": "a"})
    turn.stage(7.0, "ringing")
    turn.stage(7.5, "answered")
    turn.calls[CALL] = {"id": REF}
    turn.browser("B", "a", 0.5)
    turn.written += [
        limited(1),
        mark(1),
        takes("x"),
        mark(2),
        *([frees("x")] if freed else []),
        mark(3),
        mark(4),
    ]
    turn.webhook("answer", 8.0, FULL)
    turn.stage(9.0, "ended", "hangup")
    assert len(list(replies.check(turn.evidence()))) == found


@pytest.mark.parametrize(("freed", "excuse"), [(False, orders.MOVE_FAILED), (True, "")])
def test_a_move_failed_since_the_room_was_full(freed: bool, excuse: str) -> None:
    turn = TurnHistoryBuilder()
    turn.talks("x", ROOM_A, "s")
    turn.asks("PUT", "/rooms/b", {"limit": 1}, 200)
    turn.talks("z", ROOM_B, "t")
    turn.asks("POST", "/calls/x/join", {"room": "b"})
    turn.calls["x"]["timeline"].append({"event": "moveFailed", "reason": "room-full"})
    turn.looks()
    room = ROOM.replace(":a", ":b")
    written = [
        step(("SET", f"{PARTITION}settings:b", '{"limit":1}'), f"HSET {room} seat:z in"),
        mark(1),
        mark(2),
    ]
    written += [step(f"HDEL {room} seat:z")] * freed + [mark(3), mark(4)]
    full = full_rooms(written)
    [found] = orders.came_about(turn.history(), turn.calls, lambda *_: False, full=full)
    assert found.excuse == excuse
