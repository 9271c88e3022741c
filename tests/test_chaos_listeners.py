"""The judge of listeners: made-up news, and what somebody has heard of them."""

import asyncio
import base64
from collections.abc import AsyncIterator, Coroutine, Sequence
from random import Random  # noqa: TID251 - decides as it is told
from types import SimpleNamespace
from typing import Any, cast

import httpx
import msgspec
import pytest

from tests.chaos.api import OperatorRequest
from tests.chaos.checks import listeners
from tests.chaos.evidence import Evidence, StoredFeedItem
from tests.chaos.records import BrowserSeat, ListenerConnection, ListenerRecord, Records
from tests.chaos.scenarios.listeners import play
from tests.chaos.scenarios.shared import ScenarioContext
from tests.event_listener import ReceivedEvent

AT = 1_790_000_000_000
"""Milliseconds since the epoch, of the first news."""
TIME = "2026-09-21T14:13:{:02}.000Z"


def news(second: int, room: str = "a", partition: int = 0, **data: Any) -> StoredFeedItem:
    told = {"at": AT + 1000 * second, "id": f"{partition}", "room": room, "state": f"s{second}", **data}
    return StoredFeedItem(partition, (AT + 1000 * second, 0), "call", (room,), told)


ALL = [news(0), news(2), news(4, "b", id="2"), news(1, partition=1), news(3, partition=1)]
"""Of room a at seconds 0, 2, 1 and 3; of room b at 4."""


def id_of(*seconds: int | None) -> str:
    """Up to these seconds of both partitions; None for nothing yet."""
    flat = [part for one in seconds for part in (None if one is None else -1000 * one, 0)]
    return base64.urlsafe_b64encode(msgspec.msgpack.encode([AT, *flat])).decode().rstrip("=")


def heard(one: StoredFeedItem, *reaches: int | None) -> ReceivedEvent:
    second = (one.position[0] - AT) // 1000
    return ReceivedEvent(one.kind, {**one.data, "at": TIME.format(20 + second)}, id_of(*reaches))


BEGIN = ReceivedEvent("snapshot", {}, id_of(0, None))
FIRST, SECOND, THIRD = heard(ALL[3], 0, 1), heard(ALL[1], 2, 1), heard(ALL[4], 2, 3)


def found(*connections: ListenerConnection, room: str | None = "a", stayed: bool = False) -> list[str]:
    listener = ListenerRecord(number=1, room=room, connections=list(connections), stays=stayed, stayed=stayed)
    return judged(Records(listeners=[listener]))


def judged(
    records: Records,
    calls: dict[str, Any] | None = None,
    told: list[StoredFeedItem] | None = None,
    asked: Sequence[OperatorRequest] = (),
) -> list[str]:
    evidence = SimpleNamespace(
        feed=told if told is not None else ALL, records=records, calls=calls or {}, operator_requests=asked
    )
    return [one.what for one in listeners.check(cast("Evidence", evidence))]


def came(*events: ReceivedEvent, last: str = "") -> ListenerConnection:
    return ListenerConnection(host="", begun=0, last=last, status=200, heard=list(events))


def test_all_is_heard() -> None:
    assert found(came(BEGIN, FIRST, SECOND, THIRD), stayed=True) == []


def test_what_comes_later_need_not_be_heard() -> None:
    assert found(came(BEGIN, FIRST)) == []


def test_something_is_left_out() -> None:
    [what] = found(came(BEGIN, FIRST, THIRD))
    assert "has not heard" in what
    assert "'s2'" in what


def test_the_end_is_left_out() -> None:
    assert len(found(came(BEGIN, FIRST, SECOND), stayed=True)) == 1


def test_something_is_heard_twice() -> None:
    assert ["heard twice" in one for one in found(came(BEGIN, FIRST, FIRST))] == [True]


def test_the_order_is_another() -> None:
    assert found(came(BEGIN, SECOND, heard(ALL[3], 0, 1)))


def test_something_of_another_room() -> None:
    assert any("another room" in one for one in found(came(BEGIN, FIRST, heard(ALL[2], 4, 1))))


def test_something_that_has_not_happened() -> None:
    made_up = heard(news(1, partition=1, outcome="x"), 0, 1)
    assert any("has not happened" in one for one in found(came(BEGIN, made_up)))


def test_it_is_taken_up_again() -> None:
    mark = ReceivedEvent("mark", {"begins": False}, FIRST.id)
    assert found(came(BEGIN, FIRST), came(mark, SECOND, THIRD, last=FIRST.id), stayed=True) == []
    assert len(found(came(BEGIN, FIRST), came(mark, THIRD, last=FIRST.id), stayed=True)) == 1


@pytest.mark.parametrize("room", ["a", None])
def test_it_begins_anew_where_its_id_is_of_another_kind(room: str | None) -> None:
    """At a process of the release before, which signs none, and back."""
    before = came(BEGIN if room else ReceivedEvent("mark", {"begins": True}, BEGIN.id), FIRST)
    signed = f"{id_of(2, 1)}.mac"
    reset = ReceivedEvent("reset", {}, FIRST.id if room else signed)
    rest = [ReceivedEvent("snapshot", {}, signed)] if room else []
    third = THIRD._replace(id=f"{THIRD.id}.mac")
    last = FIRST.id
    assert found(before, came(reset, *rest, third, last=last), room=room) == []
    assert found(before, came(*rest, third, last=last), room=room), "not told that it begins anew"
    assert found(before, came(reset, *rest, third, third, last=last), room=room)
    of_its_own = came(*[one._replace(id=f"{one.id}.mac") for one in before.heard])
    reset = reset._replace(id=f"{last}.mac" if room else signed)
    assert found(of_its_own, came(reset, *rest, third, last=f"{last}.mac"), room=room), "it knows that one"


def test_it_is_taken_up_elsewhere() -> None:
    mark = ReceivedEvent("mark", {"begins": False}, SECOND.id)
    assert any("taken up" in one for one in found(came(BEGIN, FIRST), came(mark, THIRD, last=FIRST.id)))


@pytest.mark.parametrize("kind", ["reset", "snapshot"])
def test_it_has_to_begin_anew(kind: str) -> None:
    anew = ReceivedEvent(kind, {}, id_of(2, 1))
    assert found(came(BEGIN, FIRST), came(anew, last=FIRST.id))
    assert found(came(BEGIN, FIRST, anew))


def test_all_rooms() -> None:
    begin = ReceivedEvent("mark", {"begins": True}, id_of(0, 1))
    last = heard(ALL[2], 4, 3)
    assert found(came(begin, SECOND, THIRD, last), room=None, stayed=True) == []
    assert len(found(came(begin, SECOND, THIRD), room=None, stayed=True)) == 1


def test_silence_in_the_end() -> None:
    listener = ListenerRecord(number=1, room="a", stays=True, connections=[came(BEGIN)])
    assert any("nothing more" in one for one in judged(Records(listeners=[listener])))


def test_news_lack_what_a_call_went_through() -> None:
    call = {"id": "0", "timeline": [{"after": one} for one in ("s0", "s2", "s2")]}
    assert judged(Records(), {"c": call}) == []
    assert len(judged(Records(), {"c": call}, [ALL[0]])) == 1


@pytest.mark.parametrize("waits", ["initiated", "detached"])
def test_looks_of_a_caller_who_waits_are_in_no_timeline(waits: str) -> None:
    states = ["joining", waits, "joining", waits, "joining", waits, "joining", "bridged"]
    pairs = [("new", "joining"), ("joining", waits), ("joining", "bridged")]
    call = {"id": "w", "timeline": [{"before": before, "after": after} for before, after in pairs]}

    def told(*lack: int) -> list[str]:
        news = [
            StoredFeedItem(
                0, (1, n), "call", ("a",), {"id": "w", "room": "a", "state": state, "participantId": None}
            )
            for n, state in enumerate(states)
            if n not in lack
        ]
        return judged(Records(), {"w": call}, news)

    assert told() == []
    assert told(6), "the look that found somebody"
    assert told(7)
    assert told(0)


def test_a_call_of_which_only_the_end_is_known() -> None:
    timelines = {"excused": ["ended"], "wrong": ["joining", "ended"]}
    for expected, timeline in timelines.items():
        call = {"id": "unheard", "timeline": [{"after": one} for one in timeline]}
        evidence = SimpleNamespace(feed=ALL, records=Records(), calls={"c": call}, operator_requests=[])
        [one] = listeners.check(cast("Evidence", evidence))
        assert bool(one.excuse) == (expected == "excused")


def person(
    *states: str, room: str = "a", rooms: tuple[str, ...] = (), call: str | None = None
) -> list[StoredFeedItem]:
    """What news tell of participant p."""
    data = {"at": 1, "participantId": "p", "room": room, "call": call}
    return [
        StoredFeedItem(0, (1, n), "participant", rooms or (room,), {**data, "state": state})
        for n, state in enumerate(states)
    ]


@pytest.mark.parametrize(
    ("states", "right"),
    [
        (["in", "left"], True),
        (["in"], False),
        (["left"], False),
        ([], False),
        (["in", "left", "in", "left"], False),
    ],
)
def test_news_of_a_browser(states: list[str], *, right: bool) -> None:
    seat = BrowserSeat(number=1, kind="api", room="a", participant_id="p", asked_at=0, given_at=0)
    assert (judged(Records(browsers=[seat]), told=person(*states)) == []) is right


@pytest.mark.parametrize(
    ("states", "right"),
    [
        (["in", "left"], True),
        (["in", "left", "in", "left"], True),
        (["in"], False),
        (["left"], False),
        (["in", "in"], False),
        (["in", "left", "left", "in"], False),
        (["in", "left", "in"], False),
    ],
)
def test_news_of_a_phone_in_a_room(states: list[str], *, right: bool) -> None:
    """Moved to another room and back it comes a second time."""
    assert (judged(Records(), told=person(*states, call="c")) == []) is right


def moved(*told: str, participant: str | None = None) -> list[StoredFeedItem]:
    """A call that is bridged in room a, and next in room b; those of b are told to these rooms."""
    data = {"id": "c", "state": "bridged", "participantId": participant}
    first = StoredFeedItem(0, (1, 0), "call", ("a",), {**data, "room": "a"})
    return [first, StoredFeedItem(0, (1, 1), "call", told, {**data, "room": "b"})]


def test_the_room_that_a_call_has_left_is_told() -> None:
    assert judged(Records(), told=moved("b", "a")) == []
    [what] = judged(Records(), told=moved("b"))
    assert what == "room a is not told that c is bridged in 'b'"
    [what] = judged(Records(), told=moved("a"))
    assert what == "room b is not told that c is bridged in 'b'"
    [what] = judged(Records(), told=moved("a", "b", "c"))
    assert what == "room c is told of c, which is in 'b'"


def test_a_call_that_has_come_into_no_room_yet() -> None:
    data = {"id": "c", "participantId": None}
    first = StoredFeedItem(0, (1, 0), "call", (), {**data, "room": "", "state": "initiated"})
    told = [first, StoredFeedItem(0, (1, 1), "call", ("a",), {**data, "room": "a", "state": "joining"})]
    assert judged(Records(), told=told) == []


def test_who_was_bridged_in_a_room_has_come_into_it() -> None:
    calls = moved("b", "a", participant="p")
    both = [*person("in", "left", call="c"), *person("in", "left", room="b", call="c")]
    assert judged(Records(), told=[*calls, *both]) == []
    [what] = judged(Records(), told=[*calls, *both[:2]])
    assert what == "c was bridged in room b, and no news tell of p"


def test_people_are_told_to_their_own_room() -> None:
    [first, second] = judged(Records(), told=person("in", "left", rooms=("b",)))
    assert "news of room a are told to ['b']" in first
    assert "news of room a are told to ['b']" in second


@pytest.mark.parametrize(
    ("statuses", "told", "right"),
    [
        ([], 0, True),
        ([202], 1, True),
        ([202, 202, 404], 2, True),
        ([404], 0, True),
        ([202], 0, False),
        ([202, 202], 1, False),
        ([None], 0, True),
        ([None], 1, True),
        ([404], 1, True),  # it was closed, the answer of the store was lost, and there was nothing left
        ([202], 2, True),  # as before, and somebody had come meanwhile
        ([], 1, False),
    ],
)
def test_a_room_that_was_closed(statuses: list[int | None], told: int, *, right: bool) -> None:
    closings = [
        OperatorRequest(
            method="DELETE", path="/rooms/a", body=None, host="", sent_at=1, answered_at=2, status=status
        )
        for status in statuses
    ]
    others = [
        OperatorRequest(method=method, path=path, body=None, host="", sent_at=1, answered_at=2, status=202)
        for method, path in (("PUT", "/rooms/a"), ("DELETE", "/rooms/a/participants/p"))
    ]
    news = [StoredFeedItem(0, (1, n), "room", ("a",), {"room": "a", "state": "closed"}) for n in range(told)]
    assert (judged(Records(), told=news, asked=[*closings, *others]) == []) is right


class Stays(Random):
    """Always decides for it: to stay, and to be cut off."""

    def random(self) -> float:
        return 0.0


async def test_who_stays_has_heard_what_it_missed_while_it_was_away() -> None:
    """The mark that a connection begins with, and the first of several news, are not the last word."""
    mark = b"event: mark\nid: %s\ndata: {}\n\n"

    async def stream() -> AsyncIterator[bytes]:
        yield mark % b"1"
        for number in (b"2", b"3"):
            await asyncio.sleep(0.1)
            yield b"event: call\nid: %s\ndata: {}\n\n" % number
        await asyncio.sleep(0.1)
        yield mark % b"3"
        await asyncio.Event().wait()

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=stream()))
    async with httpx.AsyncClient(transport=transport, base_url="https://a.test") as client:
        settled, waiting = asyncio.Event(), list[Coroutine[Any, Any, None]]()
        settled.set()
        shared = SimpleNamespace(
            records=Records(),
            replicas=SimpleNamespace(hosts=["a", "b"], clients=[client, client]),
            settled=settled,
            listen=waiting.append,
        )
        await play(cast("ScenarioContext", shared), 1, Stays(1))
        await waiting[0]
    listener = shared.records.listeners[-1]
    assert listener.stayed
    assert [one.kind for one in listener.connections[0].heard] == ["mark", "call", "call", "mark"]


@pytest.mark.parametrize(
    ("visit", "path", "sent_at", "wrong"),
    [
        (True, "/rooms/a", 9.0, 0),
        (True, "/rooms/a", 11.0, 1),
        (True, "/rooms/b", 9.0, 1),
        (False, "/rooms/a", 9.0, 1),
    ],
)
def test_a_visit_may_have_ended_with_its_room(visit: bool, path: str, sent_at: float, wrong: int) -> None:
    refused = ListenerConnection(host="", begun=9.5, last="", status=403, over=10.0)
    listener = ListenerRecord(number=1, room="a", visit=visit, connections=[refused])
    close = OperatorRequest(
        method="DELETE", path=path, body=None, host="", sent_at=sent_at, answered_at=sent_at + 0.1, status=202
    )
    found = judged(Records(listeners=[listener]), asked=[close])
    assert sum("was answered 403" in what for what in found) == wrong
