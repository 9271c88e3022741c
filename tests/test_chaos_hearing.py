"""The eye of the storm that looks for strangers and for silence, on turns that are made up."""

from types import SimpleNamespace
from typing import cast

import pytest

from tests.chaos.checks.hearing import NOT_MISSED, heard
from tests.chaos.evidence import Evidence, ReplicaLogLine
from tests.chaos.turn_history import calls_with_moves_of, failed_moves_of
from tests.chaos_history_builder import ROOM_A, ROOM_B, TurnHistoryBuilder


@pytest.fixture
def turn() -> TurnHistoryBuilder:
    return TurnHistoryBuilder()


def found(turn: TurnHistoryBuilder) -> list[str]:
    return [one.excuse or one.what for one in heard(turn.history())]


def test_two_who_talk(turn: TurnHistoryBuilder) -> None:
    turn.talks("x", ROOM_A, "s")
    turn.talks("y", ROOM_A, "s")
    turn.looks()
    assert found(turn) == []


def test_strangers(turn: TurnHistoryBuilder) -> None:
    turn.talks("x", ROOM_A, "s")
    turn.talks("y", ROOM_B, "s")
    assert "strangers in session s" in found(turn)[0]


def test_strangers_who_come_one_after_the_other(turn: TurnHistoryBuilder) -> None:
    """A session is one room's, also when those of before have left it."""
    turn.talks("x", ROOM_A, "s")
    turn.member("X", None)
    turn.talks("y", ROOM_B, "s")
    [what] = found(turn)
    assert "y <room b> is in session s of another room" in what


@pytest.mark.parametrize(("status", "strangers"), [(202, False), (None, False), (409, True)])
def test_who_was_sent_there(turn: TurnHistoryBuilder, status: int | None, strangers: bool) -> None:
    turn.talks("x", ROOM_A, "s")
    turn.talks("y", ROOM_B, "t")
    turn.asks("POST", "/calls/y/join", {"room": "a"}, status)
    turn.member("Y", "s")
    assert bool(found(turn)) is strangers


def test_who_was_there_does_not_come_back(turn: TurnHistoryBuilder) -> None:
    turn.talks("x", ROOM_A, "s")
    turn.talks("y", ROOM_B, "t")
    turn.asks("POST", "/calls/y/join", {"room": "a"})
    turn.member("Y", "s")
    assert found(turn) == []
    turn.member("Y", "t")
    assert found(turn) == ["y <room a> is in session t of another room"]


@pytest.mark.parametrize(
    ("given_up", "ended", "fine"),
    [(True, False, True), (False, False, False), (True, True, False)],
    ids=["frozen", "not there", "ended before"],
)
def test_an_order_that_is_carried_out_after_a_later_one(
    turn: TurnHistoryBuilder, given_up: bool, ended: bool, *, fine: bool
) -> None:
    """Nobody answered for too long, and the operator asked the other replica: the first was only frozen."""
    turn.talks("x", ROOM_A, "s")
    turn.talks("y", ROOM_B, "t")
    turn.asks("POST", "/calls/y/join", {"room": "a"}, None, given_up=given_up)
    turn.asks("POST", "/calls/y/join", {"room": "a"}, host="other")
    turn.member("Y", "s")
    if ended:
        turn.ends.append(("", turn.now))
    turn.asks("POST", "/calls/y/join", {"room": "b"}, host="other")
    turn.member("Y", "t")
    turn.looks()
    turn.looks()
    assert found(turn) == []
    turn.member("Y", "s")
    assert (found(turn) == []) is fine
    turn.talks("z", "+15550009999", "u")
    turn.member("Y", "u")
    assert any("strangers in session u" in one for one in found(turn))


def test_who_is_where_it_was_as_a_move_has_failed(turn: TurnHistoryBuilder) -> None:
    turn.talks("x", ROOM_A, "s")
    turn.talks("y", ROOM_B, "t")
    turn.asks("POST", "/calls/y/join", {"room": "a"})
    turn.member("Y", None)
    turn.member("Y", "t")
    turn.looks()
    turn.looks()
    turn.talks("z", ROOM_B, "t")
    turn.looks()
    assert found(turn) == []
    turn.member("Y", "s")
    assert "strangers in session s" in found(turn)[0]


@pytest.mark.parametrize(("failed", "back", "fine"), [(1, 1, True), (0, 1, False), (1, 2, False)])
def test_who_comes_back_as_a_move_has_failed(
    turn: TurnHistoryBuilder, failed: int, back: int, *, fine: bool
) -> None:
    """Seen where it was sent: then the answer to that could not be read, and it was taken back."""
    turn.talks("x", ROOM_A, "s")
    turn.talks("y", ROOM_B, "t")
    turn.failed_moves["y"] = failed
    for _ in range(back):
        turn.asks("POST", "/calls/y/join", {"room": "a"})
        turn.member("Y", "s")
        turn.member("Y", "t")
        turn.looks()
    turn.talks("z", ROOM_B, "t")
    assert (found(turn) == []) is fine


@pytest.mark.parametrize(("failed", "fine"), [(1, True), (0, False)])
def test_who_is_put_back_before_all_others_into_a_new_session(
    turn: TurnHistoryBuilder, failed: int, *, fine: bool
) -> None:
    """The session of the room that it was to leave was replaced meanwhile."""
    turn.talks("x", ROOM_A, "s")
    turn.talks("y", ROOM_B, "t")
    turn.talks("z", ROOM_B, "t")
    turn.failed_moves["y"] = failed
    turn.asks("POST", "/calls/y/join", {"room": "a"})
    turn.member("Y", "s")
    turn.member("Y", "u")
    turn.member("Z", "u")
    turn.looks()
    assert (found(turn) == []) is fine


@pytest.mark.parametrize(("made_for", "apart"), [("a", "x"), ("b", "z")])
def test_who_is_the_first_in_a_new_session_as_a_move_has_failed_before_anybody_looked(
    turn: TurnHistoryBuilder, made_for: str, apart: str
) -> None:
    """It owed something all the while, until the session of its room had been replaced."""
    turn.talks("x", ROOM_A, "s")
    turn.talks("y", ROOM_B, "t")
    turn.asks("POST", "/calls/y/join", {"room": "a"})
    turn.failed_moves["y"] = 1
    turn.looks("call:ref-y")
    turn.request("createSession", 200, body={"tag": made_for}, created="u")
    turn.member("Y", "u")
    turn.looks()
    turn.talks("z", ROOM_B, "v")
    turn.looks()
    silent = {what.partition(" in")[0] for what in found(turn)}
    assert silent == {f"y does not hear {apart}", f"{apart} does not hear y"}


def test_moves_that_have_failed_are_told_by_timeline_or_log() -> None:
    """For good, or to be tried again."""
    timeline = [{"event": "moveFailed"}, {"event": "moved"}, {"event": "effectFailed"}]
    again = {"event": "effect.retried", "ref": "ref-x", "effect": "move-participant"}
    logs = [
        ReplicaLogLine("a", "a0", "", fields)
        for fields in (again, again | {"ref": "ref-y"}, again | {"effect": "hang-up"}, again | {"event": "x"})
    ]
    calls = {"x": {"id": "ref-x", "timeline": timeline}, "z": {"id": "ref-z", "timeline": []}}
    evidence = SimpleNamespace(logs=logs, calls=calls, refs={"x": "ref-x", "z": "ref-z"})
    assert failed_moves_of(cast("Evidence", evidence)) == {"x": 2, "z": 0}


def test_moves_of_an_erased_call_that_have_failed_are_told_by_the_log() -> None:
    failed = {"event": "move.failed", "reason": "room-full"}
    logs = [ReplicaLogLine("a", "a0", "", failed | {"ref": ref}) for ref in ("ref-x", "ref-y")]
    calls = {"x": {"id": "ref-x", "timeline": [{"event": "moveFailed", "reason": "room-full"}]}}
    refs = {"x": "ref-x", "y": "ref-y", "z": "ref-z"}
    evidence = cast("Evidence", SimpleNamespace(logs=logs, calls=calls, refs=refs))
    assert failed_moves_of(evidence) == {"x": 1, "y": 1}, "one that is known by its timeline alone"
    assert calls_with_moves_of(evidence)["y"]["timeline"][0]["reason"] == "room-full"


def test_bridged_to_what_was_never_in_a_session(turn: TurnHistoryBuilder) -> None:
    turn.dials("x", ROOM_A)
    turn.phone("x", "bridged", "X")
    [what] = found(turn)
    assert "never been in a session" in what


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("participant {} is in no session", 1),
        ("participant {} has no subscription", 1),
        ("token of no live participant", 0),
    ],
)
def test_a_leg_that_was_not_admitted(turn: TurnHistoryBuilder, text: str, count: int) -> None:
    participant = "12345678-1234-1234-1234-123456789abc"
    turn.rejections.append(text.format(participant))
    assert len(found(turn)) == count
    turn.member(participant, "s")
    turn.member(participant, None)
    assert len(found(turn)) == ("subscription" in text)


def test_silence(turn: TurnHistoryBuilder) -> None:
    turn.talks("x", ROOM_A, "s")
    turn.talks("y", ROOM_A, "t")
    assert found(turn) == []
    turn.looks()
    assert [what.partition(" in")[0] for what in found(turn)] == ["x does not hear y", "y does not hear x"]


def test_no_silence_while_something_is_owed(turn: TurnHistoryBuilder) -> None:
    turn.talks("x", ROOM_A, "s")
    turn.talks("y", ROOM_A, "t")
    turn.looks("room:a")
    turn.looks("call:ref-x")
    assert found(turn) == []


@pytest.mark.parametrize(("room", "right"), [("call-ref-x", True), ("call-ref-y", False)])
def test_a_room_of_one_call_owes_something(turn: TurnHistoryBuilder, room: str, right: bool) -> None:
    turn.talks("x", "+15550000000", "s")
    turn.member("X", None)
    turn.request("addParticipantToSession", 404, sessionId="s", participantId="other")
    turn.looks(f"room:{room}")
    turn.looks(f"room:{room}")
    assert (found(turn) == []) is right


def test_a_session_that_nobody_knows_to_have_vanished(turn: TurnHistoryBuilder) -> None:
    turn.talks("x", ROOM_A, "s")
    turn.member("X", None)
    turn.looks()
    assert found(turn) == [NOT_MISSED]


def test_a_session_that_is_known_to_have_vanished(turn: TurnHistoryBuilder) -> None:
    turn.talks("x", ROOM_A, "s")
    turn.member("X", None)
    turn.request("addParticipantToSession", 404, sessionId="s", participantId="other")
    # What comes of it may not be in the store at the first look.
    turn.looks()
    turn.looks()
    excused, what = found(turn)
    assert excused == NOT_MISSED
    assert "which is in no session" in what


def test_that_somebody_was_not_there_to_be_taken_out_tells_nothing_of_the_session(
    turn: TurnHistoryBuilder,
) -> None:
    turn.talks("x", ROOM_A, "s")
    turn.member("X", None)
    turn.request("removeParticipantFromSession", 404, sessionId="s", participantId="other")
    turn.looks()
    turn.looks()
    assert found(turn) == [NOT_MISSED]


@pytest.mark.parametrize(("owing", "fine"), [("room:a", True), ("room:b", False)])
def test_a_room_in_doubt_of_its_session_whose_people_are_sent_elsewhere(
    turn: TurnHistoryBuilder, owing: str, *, fine: bool
) -> None:
    turn.talks("x", ROOM_A, "s")
    turn.asks("POST", "/calls/x/join", {"room": "c"})
    turn.member("X", None)
    turn.request("addParticipantToSession", 404, sessionId="s", participantId="other")
    turn.looks(owing)
    turn.looks(owing)
    assert (found(turn) == []) is fine


@pytest.mark.parametrize(
    ("seat", "owed", "is_dead"),
    [
        ("other.1", "other.1", True),
        ("other.1", "other.1-2", True),
        ("other.1", "another.1", False),
        ("web-o", "web-o", True),
        ("web-o", "web-p", False),
        ("stock", "other.1", True),
    ],
)
def test_the_one_that_was_told_that_a_session_has_vanished_may_be_dead(
    turn: TurnHistoryBuilder, seat: str, owed: str, *, is_dead: bool
) -> None:
    """What it was about is owed until another is told, too."""
    turn.request("createParticipant", 201, body={"tag": seat}, created="other")
    turn.talks("x", ROOM_A, "s")
    turn.member("X", None)
    turn.request("updateParticipantSubscriptions", 404, sessionId="s", participantId="other")
    turn.looks(f"seat:{owed}")
    turn.looks(f"seat:{owed}")
    assert (found(turn) == [NOT_MISSED]) is is_dead
    turn.looks()
    excused, what = found(turn)
    assert excused == NOT_MISSED
    assert "which is in no session" in what


def test_taken_out_by_a_request(turn: TurnHistoryBuilder) -> None:
    turn.talks("x", ROOM_A, "s")
    turn.request("removeParticipantFromSession", sessionId="s", participantId="X")
    turn.now -= 0.8
    turn.member("X", None)
    turn.looks()
    [what] = found(turn)
    assert "which is in no session" in what


def test_who_is_to_hear_nobody(turn: TurnHistoryBuilder) -> None:
    turn.talks("x", ROOM_A, "s")
    turn.talks("y", ROOM_A, "s")
    turn.asks("PUT", "/calls/x/subscriptions", {"hears": "nobody"}, reply={"hears": "nobody"})
    turn.looks()
    assert [what.partition(" in")[0] for what in found(turn)] == ["x hears y"]
    turn.member("X", "s", None)
    turn.stills.clear()
    turn.looks()
    assert found(turn) == []


@pytest.mark.parametrize("status", [None, 500])
@pytest.mark.parametrize("asked", ["nobody", ["Z"]])
@pytest.mark.parametrize("hears", [None, ()])
def test_whose_order_to_hear_nobody_was_not_answered(
    turn: TurnHistoryBuilder, status: int | None, asked: str | list[str], hears: tuple[str, ...] | None
) -> None:
    """Its replica may have ended before it had written that down, and after it."""
    turn.talks("x", ROOM_A, "s")
    turn.talks("y", ROOM_A, "s")
    turn.asks("PUT", "/calls/x/subscriptions", {"hears": asked}, status)
    turn.member("X", "s", hears)
    turn.looks()
    assert found(turn) == []


@pytest.mark.parametrize(
    ("asked", "status"), [("everyone", None), ("everyone", 503), ("nobody", 409), (["Y"], None)]
)
def test_who_hears_nobody_and_was_not_to(
    turn: TurnHistoryBuilder, asked: str | list[str], status: int | None
) -> None:
    turn.talks("x", ROOM_A, "s")
    turn.talks("y", ROOM_A, "s")
    turn.asks("PUT", "/calls/x/subscriptions", {"hears": asked}, status)
    turn.member("X", "s", None)
    turn.looks()
    assert [what.partition(" in")[0] for what in found(turn)] == ["x does not hear y"]


def test_who_stays_as_a_move_has_failed_hears_whom_it_heard(turn: TurnHistoryBuilder) -> None:
    turn.talks("x", ROOM_A, "s")
    turn.talks("y", ROOM_A, "s")
    turn.asks("PUT", "/calls/x/subscriptions", {"hears": "nobody"}, reply={"hears": "nobody"})
    turn.member("X", "s", None)
    turn.looks()
    turn.asks("POST", "/calls/x/join", {"room": "b"})
    turn.looks()
    turn.looks()
    assert found(turn) == []
    turn.member("X", "s")
    turn.looks()
    assert [what.partition(" in")[0] for what in found(turn)] == ["x hears y"]


@pytest.mark.parametrize(
    ("asked", "hears", "back", "right"),
    [
        ("nobody", None, None, True),
        ("nobody", None, (), False),
        (["Y"], ("Y",), None, True),
        (["Y"], ("Y",), (), False),
        ("everyone", (), (), True),
    ],
)
def test_who_is_put_back_keeps_its_subscriptions(
    turn: TurnHistoryBuilder,
    asked: str | list[str],
    hears: tuple[str, ...] | None,
    back: tuple[str, ...] | None,
    *,
    right: bool,
) -> None:
    """Before anybody looks, and with nobody else there; a session that vanishes takes all out."""
    turn.talks("x", ROOM_A, "s")
    turn.asks("PUT", "/calls/x/subscriptions", {"hears": asked}, reply={"hears": asked})
    turn.member("X", "s", hears)
    turn.looks()
    turn.member("X", None, None)
    turn.member("X", "t", back)
    lost = [what for what in found(turn) if "without its subscriptions" in what]
    assert lost == ([] if right else ["x was put back into session t without its subscriptions"])


@pytest.mark.parametrize("order", ["everyone", "room b"])
def test_who_is_put_back_hears_everybody_as_that_was_ordered(turn: TurnHistoryBuilder, order: str) -> None:
    """Also while it is not known whether that came about."""
    turn.talks("x", ROOM_A, "s")
    turn.asks("PUT", "/calls/x/subscriptions", {"hears": "nobody"}, reply={"hears": "nobody"})
    turn.member("X", "s", None)
    turn.looks()
    if order == "everyone":
        turn.asks("PUT", "/calls/x/subscriptions", {"hears": "everyone"}, None)
    else:
        turn.asks("POST", "/calls/x/join", {"room": "b"})
    turn.member("X", "t")
    assert found(turn) == []


def test_who_is_joined_anew_hears_everybody(turn: TurnHistoryBuilder) -> None:
    """With a participant that has never heard few, which may be put back as well."""
    turn.talks("x", ROOM_A, "s")
    turn.asks("PUT", "/calls/x/subscriptions", {"hears": "nobody"}, reply={"hears": "nobody"})
    turn.member("X", "s", None)
    turn.looks()
    turn.member("X", None, None)
    turn.member("Z", "s")
    turn.phone("x", "bridged", "Z")
    turn.member("Z", None, None)
    turn.member("Z", "t")
    assert found(turn) == []


def test_who_stays_as_a_second_move_has_failed_before_anybody_looked(turn: TurnHistoryBuilder) -> None:
    """It may be where the first one led, or where it was before."""
    turn.talks("y", ROOM_B, "u")
    turn.looks()
    turn.talks("x", ROOM_A, "s")
    turn.asks("POST", "/calls/x/join", {"room": "c"})
    turn.member("X", "t")
    turn.asks("POST", "/calls/x/join", {"room": "b"})
    turn.failed_moves["x"] = 1
    turn.looks()
    turn.looks()
    assert found(turn) == []
    # Another who is there tells which it is.
    turn.talks("z", ROOM_B, "u")
    turn.asks("POST", "/calls/z/join", {"room": "c"})
    turn.member("Z", "t")
    turn.looks()
    assert found(turn) == []
    turn.member("Z", "v")
    turn.looks()
    assert [what.partition(" in")[0] for what in found(turn)] == ["x does not hear z", "z does not hear x"]


def test_a_browser(turn: TurnHistoryBuilder) -> None:
    turn.talks("x", ROOM_A, "s")
    turn.asks("POST", "/rooms/a/participants", {}, 201, reply={"participantId": "W"})
    turn.member("W", "s")
    turn.looks()
    assert found(turn) == []
    turn.talks("y", ROOM_B, "s")
    assert len(found(turn)) == 3


def test_a_browser_that_has_gone(turn: TurnHistoryBuilder) -> None:
    turn.asks("POST", "/rooms/a/participants", {}, 201, reply={"participantId": "W"})
    turn.member("W", "s")
    turn.request("deleteParticipant", participantId="W")
    turn.member("W", None)
    turn.looks()
    assert found(turn) == []


def test_a_browser_whose_subscriptions_a_room_has_yet_to_change(turn: TurnHistoryBuilder) -> None:
    turn.request("createParticipant", 200, body={"tag": "web-1.1"}, created="P")
    turn.talks("x", ROOM_A, "s")
    turn.asks("POST", "/rooms/a/participants", {}, 201, reply={"participantId": "P"})
    turn.member("P", "s")
    turn.looks()
    turn.asks(
        "PUT", "/rooms/a/participants/P/subscriptions", {"hears": "nobody"}, 202, reply={"hears": "nobody"}
    )
    turn.looks("seat:web-1.1")
    assert found(turn) == []
    turn.looks()
    assert len(found(turn)) == 1
