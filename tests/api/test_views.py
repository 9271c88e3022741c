"""How calls and rooms are shown, as far as it takes no service to see."""

import pytest

from handlers.api.views import call_view, full_call_view, room_view
from service.calls.model import Blame, Call, Direction, Media, Outcome, Phone
from service.calls.numbers import masked
from service.calls.room_settings import AloneSettings, InterconnectMode, RoomSettings, WaitingSettings
from service.store.room_index import Member, RoomView
from tests.api.schema_check import SCHEMAS, check

REF = "p01-" + "a" * 20


def call(**more: object) -> Call:
    fields: dict[str, object] = {
        "ref": REF,
        "call_id": "c-1",
        "direction": Direction.OUTBOUND,
        "room": "sales",
        "created_at": 1_769_856_322.45,
        "phone": Phone.UP,
        "from_number": "+15550100111",
        "to_number": "+442079460000",
    }
    return Call(**{**fields, **more})  # type: ignore[arg-type] # each of its own type


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+15550100111", "+1********11"),
        ("+442079460000", "+4*********00"),
        ("+123456", "+1***56"),
        ("+12345", "******"),
        ("+1", "**"),
        ("", ""),
        ("Anonymous", "Anonymous"),
        ("sip:+15550100111@example.com", "si************************om"),
    ],
)
def test_numbers_are_masked(number: str, shown: str) -> None:
    assert masked(number) == shown


def test_numbers_are_shown_to_those_who_may() -> None:
    sent = call(transfer_to="+15550100133")
    hidden, shown = call_view(sent, numbers=False), call_view(sent, numbers=True)
    assert [hidden[key] for key in ("from", "to", "elsewhere")] == [
        "+1********11",
        "+4*********00",
        "+1********33",
    ]
    assert [shown[key] for key in ("from", "to", "elsewhere")] == [
        "+15550100111",
        "+442079460000",
        "+15550100133",
    ]


def test_what_is_not_there_is_null() -> None:
    view = call_view(call(call_id="", from_number="", to_number=""), numbers=True)
    assert {key for key, value in view.items() if value is None} == {
        "callId", "nextRoom", "from", "to", "interconnect", "answeredAt", "bridgedAt", "endedAt", "tag",
        "announcement", "participantId", "sessionId", "machine", "elsewhere", "failure", "outcome",
    }  # fmt: skip
    assert view["createdAt"] == "2026-01-31T10:45:22.450Z"


@pytest.mark.parametrize(
    ("hears", "shown"), [(None, "everyone"), ((), "nobody"), (("one", "two"), ["one", "two"])]
)
def test_whom_a_call_hears(hears: tuple[str, ...] | None, shown: object) -> None:
    assert call_view(call(hears=hears), numbers=False)["hears"] == shown


def test_a_call_that_is_over() -> None:
    ended = call(
        phone=Phone.GONE,
        media=Media.NONE,
        interconnect=InterconnectMode.BRIDGE,
        ended_at=1_769_856_400.0,
        outcome=Outcome(Blame.BANDWIDTH, "error", "error", "e-1", 503),
    )
    view = full_call_view(
        ended,
        [{"at": 1_769_856_400.0004, "event": "disconnect", "error_id": "e-1", "sip_response_code": 503}],
        numbers=False,
    )
    assert view["state"] == "ended"
    assert view["interconnect"] == "bridge"
    assert view["endedAt"] == "2026-01-31T10:46:40.000Z"
    assert view["outcome"] == {
        "blame": "bandwidth",
        "reason": "error",
        "cause": "error",
        "errorId": "e-1",
        "sipResponseCode": 503,
    }
    assert view["timeline"] == [
        {"at": "2026-01-31T10:46:40.000Z", "event": "disconnect", "errorId": "e-1", "sipResponseCode": 503}
    ]


def room(settings: RoomSettings) -> RoomView:
    return RoomView(
        name="sales",
        epoch=7,
        session_id="s-1",
        opened=100.0,
        members=(Member(f"{REF}.1", "in", "p-1"), Member(f"{REF}.2-1", "reserved", "")),
        waiting=(REF,),
        settings=settings,
    )


def test_a_room_that_is_live() -> None:
    view = room_view(room(RoomSettings()), now=142.5, pins=True)
    assert view["sessionAge"] == 42.5
    assert view["members"] == [
        {"kind": "phone", "call": REF, "name": None, "participantId": "p-1", "state": "in"},
        {"kind": "phone", "call": REF, "name": None, "participantId": None, "state": "reserved"},
    ]
    assert view["waiting"] == [REF]
    check(SCHEMAS["Room"], view)


def test_a_clock_that_is_behind_makes_no_age_negative() -> None:
    assert room_view(room(RoomSettings()), now=99.0, pins=True)["sessionAge"] == 0


@pytest.mark.parametrize(("pins", "shown"), [(True, "4711"), (False, None)])
def test_the_pin_is_for_those_who_may(pins: bool, shown: str | None) -> None:
    settings = RoomSettings(waiting=WaitingSettings(), alone=AloneSettings(), pin="4711")
    assert room_view(room(settings), now=0, pins=pins)["settings"] == {
        "announcement": None,
        "waiting": {"sound": "ring", "music": None, "message": None, "limit": 600},
        "alone": {"after": 60, "then": "hangup"},
        "limit": 20,
        "pin": shown,
        "interconnect": None,
    }
