"""How a timeline becomes a diagram, where it takes no service to see."""

from typing import Any

from msgspec.structs import replace

from handlers.cli.diagram import draw
from handlers.cli.timeline_view import Actor, steps
from service.calls.model import Blame, Call, Direction, Outcome, Phone

AT = 1_769_856_322.45


def call(**more: Any) -> Call:
    return Call(
        ref="p01-" + "a" * 20,
        call_id="c-1",
        direction=Direction.INBOUND,
        room="sales",
        created_at=AT,
        phone=Phone.UP,
        **more,
    )


def entry(after: float, event: str, **more: Any) -> dict[str, Any]:
    return {"at": AT + after, "event": event, "before": "x", "after": "y", "reply": "nothing", **more}


JOINED = entry(
    0.114,
    "joined",
    reply="transfer",
    silence_ms=114.2,
    requests=[
        {"at": AT + 0.002, "operation": "create-session", "ms": 41.3, "status": 201},
        {"at": AT + 0.001, "operation": "create-participant", "ms": 66.9, "status": 201, "repeats": 1},
    ],
)


def drawn(*timeline: dict[str, Any], width: int = 80, **more: Any) -> list[str]:
    return [line.plain for line in draw(steps(call(**more), timeline), width)]


def test_requests_stand_where_they_were_sent_and_the_reply_after_the_join() -> None:
    assert drawn(entry(0, "initiate", reply="join"), JOINED) == [
        "  time (UTC)    after  Phone   Bandwidth                                 Service",
        "  10:45:22.450         |-calls---->|-initiate-------------------------------->|",
        "  10:45:22.451    +1ms |           |<create-participant 201 67ms +1 again-----|",
        "  10:45:22.452    +1ms |           |<create-session 201 41ms------------------|",
        "  10:45:22.564  +112ms |           | * in the room's session (114 ms of       |",
        "                       |           |   silence)                               |",
        "  10:45:22.564    +0ms |           |<transfer---------------------------------|",
    ]


def test_operators_have_a_column_where_they_said_something() -> None:
    lines = drawn(entry(0, "orderHold"), entry(1, "orderSubscriptions"))
    assert lines[0].endswith("Service   Operator")
    assert lines[1].endswith("|<hold-------|")
    assert max(map(len, lines)) <= 80


def test_what_went_wrong_is_marked() -> None:
    lines = drawn(
        entry(0, "joinFailed", reason="room-full", reply="apologise"),
        entry(2000, "effectFailed", effect="hang-up", tries=4, error="overloaded"),
        entry(2001, "effectDead", effect="hang-up", tries=9, error="overloaded"),
        entry(2002, "disconnect", cause="callback-error", sip_response_code=503),
    )
    assert {line[0] for line in lines[1:] if line[2] != " "} == {"!"}
    text = "\n".join(lines)
    for words in (
        "did not get into the room: room-full",
        "<is told---|<apologise-",
        "failed: hang-up",
        "GIVEN UP",
    ):
        assert words in text
    assert "-disconnect callback-error SIP 503-" in text
    assert "+33min" in text


def test_a_phone_that_we_let_go_has_not_hung_up() -> None:
    disconnect = entry(0, "disconnect", cause="hangup")
    assert "hangs up" in drawn(disconnect)[1]
    told = call(failure="room-full", outcome=Outcome(Blame.LIMIT, "room-full"))
    [ended] = steps(replace(told, phone=Phone.GONE), [disconnect])
    assert [one.receiver for one in ended.messages] == [Actor.SERVICE]


def test_an_event_of_a_newer_release_is_shown_by_its_name() -> None:
    assert "* teleported" in drawn(entry(0, "teleported"))[1]


def test_words_do_not_leave_the_picture() -> None:
    long = entry(0, "initiate", cause="x" * 300)
    for width in (1, 80, 300):
        lines = drawn(long, entry(1, "joinFailed", reason="y " * 200), width=width)
        assert max(map(len, lines)) <= max(72, min(width, 100))
