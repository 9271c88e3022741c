"""What onlookers are told of a call, and that no number is told as a whole."""

import msgspec
import pytest
from msgspec.structs import replace

from service.calls.change_view import CallChange, call_change, public_view, redact_for_visitor
from service.calls.model import Blame, Call, Direction, Media, Outcome, Phone
from service.calls.numbers import masked

CALL = Call(
    ref="p01-" + "a" * 20,
    call_id="c-1",
    direction=Direction.INBOUND,
    room="sales",
    created_at=1.0,
    phone=Phone.UP,
    media=Media.BRIDGED,
    from_number="+15550100142",
    to_number="+15550100199",
    participant_id="p-1",
)
TOLD = {
    "id": CALL.ref,
    "room": "sales",
    "state": "bridged",
    "direction": "inbound",
    "from": "+1********42",
    "to": "+1********99",
    "participantId": "p-1",
    "outcome": None,
}


def test_what_is_shown() -> None:
    assert public_view(CALL) == TOLD
    ended = replace(CALL, phone=Phone.GONE, outcome=Outcome(Blame.CALLER, "hung-up", "hangup"))
    assert public_view(ended) == {
        **TOLD,
        "state": "ended",
        "outcome": {"blame": "caller", "reason": "hung-up"},
    }
    bare = replace(CALL, from_number="", to_number="", participant_id="")
    assert public_view(bare) == {**TOLD, "from": None, "to": None, "participantId": None}


def test_a_new_call_is_told_in_its_room() -> None:
    assert call_change(None, CALL) == CallChange(("sales",), TOLD)


def test_a_change_of_what_is_not_shown_is_not_told() -> None:
    assert call_change(CALL, replace(CALL, requests=3, session_id="s-1")) is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"media": Media.NONE}, {"state": "detached"}),
        ({"participant_id": "p-2"}, {"participantId": "p-2"}),
    ],
)
def test_a_change_is_told_once_where_the_call_is(change: dict[str, object], told: dict[str, object]) -> None:
    assert call_change(CALL, replace(CALL, **change)) == CallChange(("sales",), {**TOLD, **told})


def test_a_move_is_told_in_both_rooms() -> None:
    moved = replace(CALL, room="support")
    assert call_change(CALL, moved) == CallChange(("support", "sales"), {**TOLD, "room": "support"})


@pytest.mark.parametrize(("room", "told"), [("sales", "sales"), ("support", None)])
def test_a_visitor_is_told_no_other_rooms_name(room: str, told: str | None) -> None:
    data = msgspec.json.encode({**TOLD, "room": room, "at": "now"})
    seen = msgspec.json.decode(redact_for_visitor(data, "sales"))
    assert seen == {**TOLD, "room": told, "at": "now"}


@pytest.mark.parametrize(
    ("number", "seen"),
    [
        ("+15550100142", "+1********42"),
        ("+442071838750", "+4*********50"),
        ("1234567", "12***67"),
        ("123456", "******"),
        ("+1911", "*****"),
        ("", ""),
        ("Anonymous", "Anonymous"),
        ("sip:a@b.c", "si*****.c"),
    ],
)
def test_masked(number: str, seen: str) -> None:
    assert masked(number) == seen
