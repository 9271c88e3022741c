"""The eyes for replies and for silence: what each finds, and what it lets pass."""

import pytest

from tests.chaos.checks import replies, silence
from tests.chaos.evidence import ReplicaLogLine
from tests.chaos.finding import Finding
from tests.chaos.fleet import Kill
from tests.chaos.previous_release import VERSION
from tests.chaos_evidence_builder import (
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

REDIRECT = {"state": "active"}
FALLBACK = f"{B}/voice/{REF}"


@pytest.fixture
def turn() -> EvidenceBuilder:
    """One phone that calls room a, and rings at 1.0."""
    turn = EvidenceBuilder()
    turn.phone()
    turn.stage(1.0, "ringing")
    turn.calls[CALL] = {"id": REF}
    return turn


def _found(turn: EvidenceBuilder) -> list[Finding]:
    return list(replies.check(turn.evidence()))


def _clean(turn: EvidenceBuilder) -> bool:
    return _found(turn) == []


# What Bandwidth takes ---------------------------------------------------------------------------------------


def test_a_reply_that_is_no_bxml(turn: EvidenceBuilder) -> None:
    turn.webhook("initiate", 1.0, "<Hold/>")
    [found] = _found(turn)
    assert "is no BXML" in found.what


def test_a_leg_is_not_told_to_transfer(turn: EvidenceBuilder) -> None:
    turn.webhook("transferAnswer", 1.0, transfer("t"), call_id=LEG)
    [found] = _found(turn)
    assert "is no BXML" in found.what


# The same webhook again -------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [transfer("t"), WAIT])
def test_the_same_reply(turn: EvidenceBuilder, reply: str) -> None:
    turn.webhook("initiate", 1.0, reply)
    turn.webhook("initiate", 3.0, reply, url=FALLBACK)
    assert _clean(turn)


def test_another_transfer(turn: EvidenceBuilder) -> None:
    turn.webhook("initiate", 1.0, transfer("t"))
    turn.webhook("initiate", 3.0, transfer("u", 2))
    [found] = _found(turn)
    assert found.excuse == ""


def test_asked_to_wait_while_the_first_is_worked_on(turn: EvidenceBuilder) -> None:
    turn.webhook("initiate", 1.0, transfer("t"), seconds=1.0)
    turn.webhook("initiate", 1.5, WAIT)
    assert _clean(turn)


def test_asked_to_wait_although_nothing_has_happened(turn: EvidenceBuilder) -> None:
    turn.webhook("initiate", 1.0, transfer("t"))
    turn.webhook("initiate", 3.0, WAIT)
    assert len(_found(turn)) == 1


def test_asked_to_wait_as_the_transfer_was_answered(turn: EvidenceBuilder) -> None:
    turn.webhook("initiate", 1.0, transfer("t"))
    turn.webhook("transferAnswer", 2.0, KEEP, call_id=LEG)
    turn.webhook("initiate", 3.0, WAIT)
    assert _clean(turn)


@pytest.mark.parametrize(
    ("at", "path", "clean"),
    [
        (2.0, "/rooms/a", True),
        (0.95, "/rooms/a", True),
        (2.0, "/rooms/b", False),
        (0.5, "/rooms/a", False),
        (4.0, "/rooms/a", False),
    ],
    ids=["in between", "answered in between", "another room", "before", "afterwards"],
)
def test_asked_to_wait_as_its_room_was_closed(
    turn: EvidenceBuilder, at: float, path: str, clean: bool
) -> None:
    turn.webhook("initiate", 1.0, transfer("t"))
    turn.order(at, path, method="DELETE")
    turn.webhook("initiate", 3.0, WAIT)
    assert _clean(turn) == clean


def test_a_copy_that_ends_what_was_asked_to_wait(turn: EvidenceBuilder) -> None:
    """Whatever explains the apology: the phone was to come back by itself."""
    turn.request("createParticipant", 1.1, status=500, tag=f"{REF}.1", fault="status 500")
    turn.webhook("redirect", 1.0, WAIT)
    turn.webhook("redirect", 1.5, SORRY)
    [found] = _found(turn)
    assert "nothing had happened in between" in found.what


@pytest.mark.parametrize(
    ("versions", "clean"), [([VERSION], True), (["0.2.0"], False), ([VERSION, "0.2.0"], False)]
)
@pytest.mark.parametrize("reply", [HANGUP, SORRY, transfer("u", 2)])
def test_what_the_release_before_tells(
    turn: EvidenceBuilder, versions: list[str], clean: bool, reply: str
) -> None:
    """Where the other release has answered one of the same kind too, nobody knows which."""
    turn.webhook("redirect", 1.0, WAIT)
    turn.stage(1.5, "bridged")
    turn.webhook("redirect", 4.0, reply)
    for n, version in enumerate(versions):
        for fields in (
            {"event": "service.started", "version": version},
            {"event": "webhook.answered", "call_id": CALL, "event_type": "redirect"},
        ):
            turn.logs.append(ReplicaLogLine("a", f"replica-a{n}.log", "", fields))
    assert _clean(turn) == clean


@pytest.mark.parametrize(("limit", "clean"), [("3", True), ("9", False)])
def test_a_copy_that_came_as_the_time_of_the_call_was_up(
    turn: EvidenceBuilder, limit: str, clean: bool
) -> None:
    turn.webhook("redirect", 1.0, WAIT)
    turn.webhook("redirect", 4.0, "<SpeakSentence>The time for this call is over.</SpeakSentence><Hangup/>")
    shown = turn.evidence()
    shown.fleet.addresses[0].settings["CALL_LIMIT"] = limit
    assert (list(replies.check(shown)) == []) == clean


@pytest.mark.parametrize(("stage", "clean"), [("bridged", False), ("answered", True)])
def test_a_copy_that_begins_something(turn: EvidenceBuilder, stage: str, clean: bool) -> None:
    turn.webhook("redirect", 1.0, WAIT)
    turn.webhook("redirect", 1.5, transfer("t"), number=1)
    turn.stage(2.0, stage)
    turn.webhook("redirect", 3.0, transfer("u", 2))
    assert _clean(turn) == clean


@pytest.mark.parametrize(
    ("made", "used", "clean"), [(False, False, True), (True, False, True), (True, True, False)]
)
def test_an_apology_while_the_rooms_session_is_looked_for(
    turn: EvidenceBuilder, *, made: bool, used: bool, clean: bool
) -> None:
    """Whoever has had another made may have been killed before it was the room's."""
    turn.request("createSession", 0.1, tag="a", created="s-1")
    turn.request("listSessionParticipants", 0.5, status=404, sessionId="s-1")
    if made:
        turn.request("createSession", 0.9, tag="a", created="s-2")
    if used:
        turn.request("addParticipantToSession", 0.95, sessionId="s-2")
    turn.webhook("redirect", 1.5, SORRY)
    assert _clean(turn) == clean


def test_a_copy_that_gets_what_others_got_meanwhile(turn: EvidenceBuilder) -> None:
    turn.webhook("redirect", 1.0, WAIT)
    turn.webhook("redirect", 1.5, transfer("t"), number=1)
    turn.webhook("redirect", 1.8, transfer("t"))
    assert _clean(turn)


def test_hung_up_as_the_phone_has_gone(turn: EvidenceBuilder) -> None:
    turn.webhook("initiate", 1.0, transfer("t"))
    turn.stage(2.0, "ended", "cancel", hung_up=True)
    turn.webhook("initiate", 3.0, HANGUP)
    assert _clean(turn)


def test_hung_up_although_the_phone_is_there(turn: EvidenceBuilder) -> None:
    turn.webhook("initiate", 1.0, transfer("t"))
    turn.order(2.0, f"/calls/{CALL}/hangup", {})
    turn.webhook("initiate", 3.0, HANGUP)
    assert len(_found(turn)) == 1


# Ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [HANGUP, "", transfer("t").replace("transferCompleteUrl", "tag")])
def test_hung_up_without_a_word(turn: EvidenceBuilder, reply: str) -> None:
    turn.webhook("transferComplete", 5.0, reply)
    [found] = _found(turn)
    assert "nothing explains that" in found.what


def test_hung_up_as_the_far_end_has(turn: EvidenceBuilder) -> None:
    turn.leg(2.0, "bridged")
    turn.leg(4.0, "ended", "hangup", hung_up=True)
    turn.webhook("transferComplete", 5.0, HANGUP)
    assert _clean(turn)


def test_hung_up_as_we_have_ended_the_leg(turn: EvidenceBuilder) -> None:
    turn.leg(2.0, "bridged")
    turn.leg(4.0, "ended", "hangup")
    turn.webhook("transferComplete", 5.0, HANGUP)
    assert len(_found(turn)) == 1


@pytest.mark.parametrize(("at", "clean"), [(4.0, True), (6.0, False)])
def test_hung_up_by_an_order(turn: EvidenceBuilder, at: float, clean: bool) -> None:
    turn.order(at, f"/calls/{REF}/hangup", {})
    turn.webhook("redirect", 5.0, HANGUP)
    assert _clean(turn) == clean


def test_an_order_that_was_refused_explains_nothing(turn: EvidenceBuilder) -> None:
    turn.order(4.0, f"/calls/{CALL}/hangup", {}, status=409)
    turn.webhook("redirect", 5.0, HANGUP)
    assert len(_found(turn)) == 1


@pytest.mark.parametrize(
    ("at", "path", "clean"),
    [
        (4.0, "/rooms/a", True),
        (4.0, "/rooms/b", False),
        (4.0, "/rooms/a/participants/p", False),
        (0.5, "/rooms/a", False),
    ],
)
def test_the_room_was_closed(turn: EvidenceBuilder, at: float, path: str, clean: bool) -> None:
    turn.order(at, path, method="DELETE", status=204)
    turn.webhook("redirect", 5.0, CLOSED)
    assert _clean(turn) == clean


@pytest.mark.parametrize(("sent_at", "clean"), [(3.0, True), (9.0, False)])
def test_a_room_was_closed_to_which_the_call_was_sent(
    turn: EvidenceBuilder, sent_at: float, clean: bool
) -> None:
    """Who is sent there afterwards comes into a room that is open again."""
    turn.order(sent_at, f"/calls/{CALL}/join", {"room": "b"})
    turn.order(4.0, "/rooms/b", method="DELETE", status=204)
    turn.webhook("redirect", 15.0, CLOSED)
    assert _clean(turn) == clean


def test_an_apology_for_nothing(turn: EvidenceBuilder) -> None:
    turn.webhook("initiate", 1.0, SORRY)
    assert len(_found(turn)) == 1


@pytest.mark.parametrize(
    ("tag", "fault", "clean"),
    [(f"{REF}.1", "status 500", True), (f"{REF}.1", None, False), (f"{REF[:-1]}b.1", "status 500", False)],
)
def test_an_apology_for_a_fault(turn: EvidenceBuilder, tag: str, fault: str | None, clean: bool) -> None:
    turn.request("createParticipant", 1.1, status=500 if fault else 200, tag=tag, fault=fault)
    turn.webhook("initiate", 1.0, SORRY, seconds=0.5)
    assert _clean(turn) == clean


@pytest.mark.parametrize(("looked", "clean"), [(True, True), (False, False)])
def test_an_apology_of_a_call_that_was_erased(turn: EvidenceBuilder, *, looked: bool, clean: bool) -> None:
    """No address has its name: it is the one that it had when the API showed it last."""
    turn.calls.clear()
    if looked:
        turn.records.refs[CALL] = REF
    turn.request("createParticipant", 1.1, status=502, tag=f"{REF}.1", fault="status 502")
    turn.webhook("initiate", 1.0, SORRY, seconds=0.5, url=f"{A}/voice")
    assert _clean(turn) == clean


OTHER = f"{REF[:-1]}b.1"


@pytest.mark.parametrize(
    ("tag", "status", "clean"),
    [(OTHER, 500, False), (f"{REF}.1", 500, True), ("stock", 500, True), (OTHER, 404, True)],
)
def test_an_apology_as_somebody_was_not_added_to_the_session(
    turn: EvidenceBuilder, tag: str, status: int, clean: bool
) -> None:
    """Of the call itself; one that was made for who comes next; or the session is in doubt, to all."""
    turn.request("createSession", 0.2, tag="a", created="s")
    turn.request("createParticipant", 0.3, tag=tag, created="p")
    fault, add = f"status {status}", "addParticipantToSession"
    turn.request(add, 2.0, status=status, fault=fault, sessionId="s", participantId="p")
    turn.webhook("redirect", 60.0, SORRY)
    assert _clean(turn) == clean


@pytest.mark.parametrize(("legs", "clean"), [(2, False), (3, True)])
def test_an_apology_as_three_legs_in_a_row_have_ended(turn: EvidenceBuilder, legs: int, clean: bool) -> None:
    for n in range(legs):
        turn.our_leg(2.0 + n, 2.5 + n, f"c-leg-{n}")
    turn.webhook("bridgeComplete", 6.0, SORRY)
    assert _clean(turn) == clean


def test_that_an_older_leg_has_ended_explains_nothing(turn: EvidenceBuilder) -> None:
    turn.our_leg(2.0, 3.0, "c-leg")
    turn.leg(4.0, "bridged")
    turn.webhook("redirect", 6.0, HANGUP)
    assert len(_found(turn)) == 1


def test_what_struck_before_the_phone_was_bridged_is_no_reason(turn: EvidenceBuilder) -> None:
    turn.request("createParticipant", 1.1, status=500, tag=f"{REF}.1", fault="status 500")
    turn.stage(2.0, "bridged")
    turn.webhook("redirect", 5.0, SORRY)
    assert len(_found(turn)) == 1


@pytest.mark.parametrize(
    ("failures", "success_at", "host", "clean"),
    [
        (5, 0.0, "127.0.0.1", True),
        (4, 0.0, "127.0.0.1", False),
        (5, 0.9, "127.0.0.1", False),
        (5, 0.0, "localhost", False),
    ],
)
def test_an_apology_while_a_breaker_is_open(
    turn: EvidenceBuilder, failures: int, success_at: float, host: str, clean: bool
) -> None:
    for n in range(failures):
        turn.request("createSession", 0.5 + n / 100, status=500, tag="b", fault="status 500", host=host)
    if success_at:
        turn.request("createSession", success_at, tag="b", host=host)
    turn.webhook("initiate", 1.0, SORRY)
    assert _clean(turn) == clean


_CHANGES = {"redirect": "active", "hang up": "completed"}


@pytest.mark.parametrize(
    ("state", "status", "clean"),
    [("completed", 200, True), ("completed", 500, True), ("active", 200, False), ("active", 500, True)],
)
def test_a_hang_up_says_nothing_about_the_breaker_of_those_who_wait(
    turn: EvidenceBuilder, state: str, status: int, clean: bool
) -> None:
    for n in range(5):
        turn.request("updateCall", 0.5 + n / 100, status=None, fault="reset", body=REDIRECT, callId=f"c-{n}")
    turn.request("updateCall", 0.9, status=status, body={"state": state}, callId="c-9")
    turn.webhook("initiate", 1.0, SORRY)
    assert _clean(turn) == clean


def test_hang_ups_that_fail_do_not_open_it(turn: EvidenceBuilder) -> None:
    for n in range(9):
        hang_up = {"state": "completed"}
        turn.request("updateCall", 0.5 + n / 100, status=500, fault="x", body=hang_up, callId=f"c-{n}")
    turn.webhook("initiate", 1.0, SORRY)
    assert len(_found(turn)) == 1


@pytest.mark.parametrize(("others", "clean"), [(4, True), (3, False)])
@pytest.mark.parametrize("operation", ["addParticipantToSession", "createParticipant", "createCall"])
def test_repeats_of_one_piece_of_work_are_one_failure_to_a_breaker(
    turn: EvidenceBuilder, operation: str, others: int, clean: bool
) -> None:
    for n in range(5 + others):
        one = max(n - 4, 0)
        ref = f"p01-{one:020}"
        leg = {"answerUrl": f"{B}/legs/{ref}/{n}"} if operation == "createCall" else {}
        session = f"s-{one}" if operation == "addParticipantToSession" else ""
        tag = f"{ref}.{n}" if operation == "createParticipant" else ""
        turn.request(operation, 0.5 + n / 100, status=500, tag=tag, fault="x", body=leg, sessionId=session)
    turn.webhook("initiate", 1.0, SORRY)
    assert _clean(turn) == clean


@pytest.mark.parametrize(
    ("kind", "host", "answered", "operation", "clean"),
    [
        ("cut-bandwidth", "127.0.0.1", 0, "", True),
        ("frozen", "127.0.0.1", 0, "", True),
        ("clock", "127.0.0.1", 0, "", False),
        ("cut-bandwidth", "localhost", 0, "", False),
        # Of each API one that was asked since, and another after that.
        ("cut-bandwidth", "127.0.0.1", 1, "createCall", True),
        ("cut-bandwidth", "127.0.0.1", 2, "createCall", False),
        ("cut-bandwidth", "127.0.0.1", 2, "redirect", False),
        # The breaker for what callers need has let none of these through.
        ("cut-bandwidth", "127.0.0.1", 2, "getCall", True),
        ("cut-bandwidth", "127.0.0.1", 2, "hang up", True),
    ],
)
def test_an_apology_by_a_replica_that_could_not_reach_bandwidth(
    turn: EvidenceBuilder, kind: str, host: str, answered: int, operation: str, clean: bool
) -> None:
    turn.troubles.begin(kind, 1.1, host=host).over = 2.0
    turn.webhook("initiate", 1.2, WAIT)
    for n in range(answered):
        turn.request("createSession", 2.1 + n / 10)
        if operation in _CHANGES:
            turn.request("updateCall", 2.1 + n / 10, body={"state": _CHANGES[operation]})
        else:
            turn.request(operation, 2.1 + n / 10)
    turn.stage(3.0, "bridged")
    turn.stage(4.0, "answered")
    turn.webhook("redirect", 4.1, SORRY)
    assert _clean(turn) == clean


@pytest.mark.parametrize(("order", "clean"), [(True, True), (False, False)])
def test_hung_up_by_request(turn: EvidenceBuilder, order: bool, clean: bool) -> None:
    if order:
        turn.order(4.0, f"/calls/{CALL}/hangup", {})
    turn.request("updateCall", 5.0, body={"state": "completed"}, callId=CALL)
    turn.stage(5.005, "ended", "hangup")
    assert _clean(turn) == clean


@pytest.mark.parametrize(("anew", "clean"), [(False, True), (True, False)])
def test_hung_up_by_request_as_the_far_end_had_left(turn: EvidenceBuilder, anew: bool, clean: bool) -> None:
    """That it left a leg is no reason any more once the phone was bridged `anew`."""
    turn.stage(1.5, "bridged")
    turn.leg(1.5, "bridged")
    turn.leg(3.0, "ended", "hangup", hung_up=True)
    turn.stage(3.1, "answered")
    if anew:
        turn.stage(4.0, "bridged")
    turn.request("updateCall", 40.0, body={"state": "completed"}, callId=CALL)
    turn.stage(40.005, "ended", "hangup")
    assert _clean(turn) == clean


@pytest.mark.parametrize(("answered_at", "clean"), [(None, True), (4.95, True), (4.5, False)])
def test_hung_up_as_its_room_was_closed(answered_at: float | None, clean: bool) -> None:
    """By request only while the service takes it to ring."""
    turn = _dialed()
    if answered_at is not None:
        turn.webhook("answer", answered_at, WAIT)
    _hung_up_as_its_room_is_closed(turn)
    assert _clean(turn) == clean


@pytest.mark.parametrize(
    ("served", "killed_at", "clean"), [(0, None, True), (8, None, False), (8, 4.15, True)]
)
def test_hung_up_as_its_room_was_closed_and_a_replica_without_the_store_knew_it_up(
    served: int, killed_at: float | None, clean: bool
) -> None:
    """To the other one it rings until that is written down."""
    turn = _dialed()
    turn.troubles.begin("cut-store", 3.0, host="127.0.0.1").over = 4.2 if served else 9.0
    turn.webhook("answer", 4.05, COME_BACK, seconds=0.1)
    for n in range(served):
        turn.webhook("initiate", 4.3 + n / 2, transfer("u"), call_id=f"c-{n + 5}", url=f"{A}/voice")
    if killed_at:
        turn.kills.append(Kill(killed_at, "127.0.0.1"))
    _hung_up_as_its_room_is_closed(turn, 9.0)
    assert _clean(turn) == clean


def _dialed() -> EvidenceBuilder:
    """A phone that an operator has called into room a answers at 4.0."""
    turn = EvidenceBuilder()
    turn.phone(inbound=False)
    turn.calls[CALL] = {"id": REF}
    turn.order(0.5, "/calls", {"to": "+15551110000", "room": "a"})
    turn.stage(1.0, "ringing")
    turn.stage(4.0, "answered")
    return turn


def _hung_up_as_its_room_is_closed(turn: EvidenceBuilder, at: float = 5.0) -> None:
    turn.order(at - 0.9, "/rooms/a", method="DELETE")
    turn.request("updateCall", at, body={"state": "completed"}, callId=CALL)
    turn.stage(at + 0.005, "ended", "hangup")


# Coming back ------------------------------------------------------------------------------------------------


def test_asked_to_come_back_for_nothing(turn: EvidenceBuilder) -> None:
    turn.webhook("initiate", 1.0, COME_BACK)
    assert len(_found(turn)) == 1


@pytest.mark.parametrize(
    ("fault", "seconds", "clean"), [("hang", 3.3, True), ("hang", 0.2, False), (None, 3.3, False)]
)
def test_asked_to_come_back_as_a_request_took_all_of_the_time(
    turn: EvidenceBuilder, fault: str | None, seconds: float, clean: bool
) -> None:
    turn.request("createParticipant", 1.1, seconds=seconds - 0.2, tag=f"{REF}.1", fault=fault)
    turn.webhook("initiate", 1.0, COME_BACK, seconds=seconds)
    assert _clean(turn) == clean


@pytest.mark.parametrize(("asked_at", "seconds", "clean"), [(3.0, 1.5, True), (3.0, 1.0, False)])
@pytest.mark.parametrize("reply", [COME_BACK, SORRY])
def test_bandwidth_had_not_answered_when_the_time_was_up(
    turn: EvidenceBuilder, reply: str, asked_at: float, seconds: float, clean: bool
) -> None:
    turn.request("createParticipant", asked_at, seconds=seconds, tag=f"{REF}.1")
    turn.webhook("initiate", 1.0, reply, seconds=3.3)
    assert _clean(turn) == clean


@pytest.mark.parametrize(
    ("host", "attempt", "status", "begun", "asked_at", "seconds", "clean"),
    [
        ("127.0.0.1", 1, 204, 1.1, 4.7, 3.6, True),
        # Nothing was asked for after the time was up.
        ("127.0.0.1", 1, 204, 1.1, 4.2, 3.6, False),
        # It was not up when the caller was told.
        ("127.0.0.1", 1, 204, 1.1, 4.7, 3.2, False),
        ("127.0.0.1", 1, 503, 1.1, 4.7, 3.6, False),
        # Of another attempt, by another replica, or begun before there was this webhook.
        ("127.0.0.1", 2, 204, 1.1, 4.7, 3.6, False),
        ("localhost", 1, 204, 1.1, 4.7, 3.6, False),
        ("127.0.0.1", 1, 204, 0.9, 4.7, 3.6, False),
    ],
)
def test_an_apology_as_the_time_was_up_between_two_requests(
    turn: EvidenceBuilder,
    host: str,
    attempt: int,
    status: int,
    begun: float,
    asked_at: float,
    seconds: float,
    clean: bool,
) -> None:
    leg = {"answerUrl": f"{A}/legs/{REF}/{attempt}"}
    turn.request("createParticipant", begun, seconds=2.4, tag=f"{REF}.1", created="p-1", host=host)
    turn.request("addParticipantToSession", 3.9, status=status, participantId="p-1", host=host)
    turn.request("createCall", asked_at, status=201, body=leg, host=host)
    turn.webhook("answer", 1.0, SORRY, seconds=seconds)
    assert _clean(turn) == clean


def _is_added_to_a_session_that_is_replaced(turn: EvidenceBuilder, room: str = "a") -> None:
    turn.request("createSession", 0.1, tag="a", created="s-1")
    turn.request("createParticipant", 1.1, seconds=0.9, tag=f"{REF}.1", created="p-1")
    turn.request("createSession", 1.2, tag=room, created="s-2")
    turn.request("addParticipantToSession", 2.1, status=204, participantId="p-1", sessionId="s-1")


@pytest.mark.parametrize(
    ("room", "seconds", "then", "clean"),
    [
        ("a", 1.5, "s-2", True),
        # It was answered before the time was up, and nothing was asked for any more.
        ("a", 1.2, "s-2", False),
        # It was taken out of the only session that it was in, as whoever is cleaned up.
        ("a", 1.5, "s-1", False),
        ("a", 1.5, "", False),
        # It was moved to another room.
        ("b", 1.5, "s-2", False),
    ],
)
def test_an_apology_as_the_time_was_up_while_it_followed_its_room_into_another_session(
    turn: EvidenceBuilder, room: str, seconds: float, then: str, clean: bool
) -> None:
    _is_added_to_a_session_that_is_replaced(turn, room)
    removal = "removeParticipantFromSession"
    turn.request(removal, 3.0, seconds=seconds, fault="another body", participantId="p-1", sessionId="s-1")
    if then:
        turn.request(removal, 4.9, status=404, participantId="p-1", sessionId=then)
    turn.webhook("answer", 1.0, SORRY, seconds=3.6)
    assert _clean(turn) == clean


@pytest.mark.parametrize(("asked_at", "clean"), [(4.7, True), (4.0, False)])
def test_that_it_was_not_taken_out_of_the_first_is_passed_over(
    turn: EvidenceBuilder, asked_at: float, clean: bool
) -> None:
    """It is added to the other one all the same, for which there was no time."""
    _is_added_to_a_session_that_is_replaced(turn)
    removal, fault = "removeParticipantFromSession", "status 500"
    turn.request(removal, 3.0, status=500, fault=fault, participantId="p-1", sessionId="s-1")
    turn.request("addParticipantToSession", asked_at, participantId="p-1", sessionId="s-2")
    turn.webhook("answer", 1.0, SORRY, seconds=3.6)
    assert _clean(turn) == clean


def test_what_it_asked_for_when_the_time_was_up_may_have_failed(turn: EvidenceBuilder) -> None:
    leg = {"answerUrl": f"{A}/legs/{REF}/1"}
    turn.request("createParticipant", 1.1, seconds=2.4, tag=f"{REF}.1", created="p-1")
    turn.request("createCall", 4.7, status=500, fault="status 500", body=leg)
    turn.webhook("answer", 1.0, SORRY, seconds=3.6)
    assert _clean(turn)


def test_an_apology_before_the_time_was_up(turn: EvidenceBuilder) -> None:
    turn.request("createParticipant", 1.0, seconds=4.0, tag=f"{REF}.1")
    turn.webhook("initiate", 1.0, SORRY, seconds=2.0)
    assert len(_found(turn)) == 1


@pytest.mark.parametrize(("begun", "clean"), [(0.7, True), (0.5, False)])
def test_an_apology_after_a_token_that_others_have_asked_for(
    turn: EvidenceBuilder, begun: float, clean: bool
) -> None:
    turn.request("token", begun, seconds=0.4, status=429, fault="status 429")
    turn.webhook("initiate", 1.0, SORRY)
    assert _clean(turn) == clean


@pytest.mark.parametrize(("served_at", "clean"), [(None, True), (2.5, False), (1.5, True)])
def test_a_trouble_is_over_when_a_webhook_was_answered_after_it(
    turn: EvidenceBuilder, served_at: float | None, clean: bool
) -> None:
    turn.troubles.begin("store-away", 1.0).over = 2.0
    if served_at is not None:
        turn.webhook("initiate", served_at, transfer("t"), call_id="c-9")
    turn.webhook("redirect", 3.0, COME_BACK)
    assert _clean(turn) == clean


def test_a_copy_that_met_no_store_is_counted(turn: EvidenceBuilder) -> None:
    turn.webhook("transferComplete", 1.0, WAIT)
    turn.troubles.begin("store-away", 2.0)
    turn.webhook("transferComplete", 3.0, SORRY, url=f"{FALLBACK}/1?again=3")
    assert [one.excuse for one in _found(turn)] == ["reply-without-store"]


# Silence ----------------------------------------------------------------------------------------------------


def _silences(turn: EvidenceBuilder) -> list[str]:
    return [one.excuse for one in silence.check(turn.evidence())]


def test_a_phone_that_hears_something_every_few_seconds(turn: EvidenceBuilder) -> None:
    turn.stage(1.0, "answered")
    turn.hears(4.0, "Please hold.")
    turn.rings(8.0, 2.0)
    turn.stage(14.0, "bridged")
    turn.stage(60.0, "answered")
    turn.stage(63.0, "ended", "hangup", hung_up=True)
    assert _silences(turn) == []


def test_a_phone_that_hears_nothing(turn: EvidenceBuilder) -> None:
    turn.stage(1.0, "answered")
    turn.hears(2.0, "One moment, please.")
    turn.stage(12.0, "ended", "hangup", hung_up=True)
    assert _silences(turn) == [""]


def test_silence_after_something_has_struck(turn: EvidenceBuilder) -> None:
    turn.request("createParticipant", 3.0, status=500, tag=f"{REF}.1", fault="status 500")
    turn.stage(1.0, "answered")
    turn.stage(12.0, "ended", "hangup", hung_up=True)
    assert _silences(turn) == ["silence-in-trouble"]


def test_silence_that_no_trouble_explains(turn: EvidenceBuilder) -> None:
    turn.request("createParticipant", 3.0, status=500, tag=f"{REF}.1", fault="status 500")
    turn.stage(1.0, "answered")
    turn.stage(32.0, "ended", "hangup", hung_up=True)
    assert _silences(turn) == [""]


def test_nobody_was_there_to_say_anything(turn: EvidenceBuilder) -> None:
    turn.stage(1.0, "answered")
    turn.webhook("redirect", 2.0, status=None, seconds=6.0)
    turn.stage(12.0, "ended", "hangup", hung_up=True)
    assert _silences(turn) == []


@pytest.mark.parametrize(("host", "excuse"), [("127.0.0.1", "silence-in-trouble"), ("localhost", "")])
def test_the_replica_that_was_asked_first_stood_still(turn: EvidenceBuilder, host: str, excuse: str) -> None:
    turn.stage(1.0, "answered")
    turn.troubles.begin("frozen", 2.5, host=host).over = 7.0
    turn.webhook("answer", 2.0, WAIT, seconds=5.5)
    turn.webhook("initiate", 7.1, transfer("u"), call_id="c-9", url=f"{B}/voice")
    turn.webhook("redirect", 8.0, WAIT, url=FALLBACK)
    turn.stage(12.0, "ended", "hangup", hung_up=True)
    assert _silences(turn) == [excuse]


@pytest.mark.parametrize(("seconds", "found"), [(6.0, 0), (1.0, 1)])
def test_a_webhook_got_lost(turn: EvidenceBuilder, seconds: float, found: int) -> None:
    turn.stage(1.0, "answered")
    turn.webhook("redirect", 2.0, status=None, seconds=seconds)
    turn.lost.append(turn.deliveries.pop())
    turn.stage(12.0, "ended", "hangup", hung_up=True)
    assert len(_silences(turn)) == found


@pytest.mark.parametrize(
    ("ordered_at", "seconds", "bridged_at", "found"),
    [
        (6.0, 0.1, 11.0, 0),
        (0.5, 0.1, 11.0, 1),
        (1.5, 0.1, 11.0, 1),
        (1.5, 3.0, 11.0, 0),
        (1.5, 12.0, 16.0, 1),
    ],
    ids=["late", "before", "early", "answered late", "too long after both"],
)
def test_who_is_sent_elsewhere_begins_to_wait_anew(
    turn: EvidenceBuilder, ordered_at: float, seconds: float, bridged_at: float, found: int
) -> None:
    """At one moment until the order is answered: a busy replica may have carried it out late."""
    turn.stage(1.0, "answered")
    turn.order(ordered_at, f"/calls/{CALL}/join", {"room": "b"}, seconds=seconds)
    turn.stage(bridged_at, "bridged")
    turn.stage(20.0, "ended", "hangup", hung_up=True)
    assert len(_silences(turn)) == found


@pytest.mark.parametrize(("cause", "found"), [("rejected", 0), ("timeout", 1)])
def test_who_is_refused_begins_to_wait_anew(turn: EvidenceBuilder, cause: str, found: int) -> None:
    turn.stage(1.0, "answered")
    turn.leg(4.0, "ringing")
    turn.leg(4.1, "ended", cause)
    turn.stage(10.5, "bridged")
    turn.stage(12.0, "ended", "hangup", hung_up=True)
    assert len(_silences(turn)) == found


def test_who_is_refused_again_is_told(turn: EvidenceBuilder) -> None:
    turn.stage(1.0, "answered")
    turn.leg(4.0, "ringing")
    turn.leg(4.1, "ended", "rejected")
    turn.parked_leg(9.0, 9.1, cause="rejected")
    turn.stage(15.0, "ended", "hangup", hung_up=True)
    assert _silences(turn) == [""]
