"""The eyes of the storm on calls that were really made: nothing is wrong, and each planted fault is seen."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis

from service.bandwidth.webrtc import WebRtcApi
from service.calls.change_view import CallChange, call_change
from service.calls.effects import MoveParticipant
from service.calls.events import Moved, Order
from service.calls.model import Call
from service.calls.policy import Policy
from service.engine.event_handler import EventHandler
from service.engine.joining.move import ParticipantMover
from service.engine.joining.session_join import SessionJoiner
from service.engine.order_result import OrderResult
from service.engine.phones import PhoneControl
from service.store import calls, rooms
from service.tasks import Tasks
from tests.chaos import expected_feed
from tests.chaos.api import OperatorRequest
from tests.chaos.checks import hearing, orders
from tests.chaos.evidence import read_feed
from tests.chaos.finding import Finding
from tests.chaos.snapshots import Snapshots
from tests.chaos.turn_history import PhoneCall, TurnHistory
from tests.chaos_history_builder import ROOM_A, ROOM_B
from tests.harness import SHORT_TIMEOUTS, nothing_left, serving
from tests.operators import Operator
from tests.simulator.clock import monotonic
from tests.simulator.journal import Happening
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator

LONG = 30.0
"""Seconds: a test's limit, also where much else runs."""


class RecordedCalls:
    """One replica, and whatever is seen of it."""

    def __init__(self, simulator: Simulator, operator: Operator, redis: Redis, store_url: str) -> None:
        self.simulator = simulator
        self.stills = Snapshots(redis, every=0.02)
        self._redis = redis
        self._store_url = store_url
        self._operator = operator
        self._asked: list[OperatorRequest] = []
        self._happenings: list[Happening] = []
        simulator.observe(self._happenings.append)

    async def calls(self, to: str) -> Phone:
        phone = await self.simulator.dial(to=to, from_=f"+1555222{len(self.simulator.phones):04}")
        # Who meets a session that has vanished is in after some four seconds.
        await self.simulator.until(
            lambda: phone.stage in {"bridged", "ended"}, timeout=LONG, what="in, or turned away"
        )
        return phone

    async def orders(self, phone: Phone, what: str, body: Any = None) -> None:
        """And what comes of it."""
        await self.asks("POST", f"/calls/{phone.call_id}/{what}", body)

    async def asks(self, method: str, path: str, body: Any = None) -> Any:
        """And what comes of it. Returns the reply."""
        sent_at = monotonic()
        answer = await self._operator.send(method, path, body)
        self._asked.append(
            OperatorRequest(
                method=method,
                path=path,
                body=body,
                host="",
                sent_at=sent_at,
                answered_at=monotonic(),
                status=answer.status_code,
                reply=answer.json() if answer.content else None,
            )
        )
        await self.rests()
        return self._asked[-1].reply

    async def rests(self) -> None:
        await self.stills.wait_until_nothing_owed(1.0)
        # The look that was under way had begun before.
        await self.stills.wait_until_nothing_owed(1.0)

    async def news_judged(self) -> list[str]:
        """What live events lack, once all calls are over."""
        for phone in self.simulator.phones:
            await phone.hang_up()
        await nothing_left(self.simulator, self._redis)
        async with Redis.from_url(self._store_url, decode_responses=True) as redis:
            names = [str(key) async for key in redis.scan_iter("*")]
            news = [one async for one in read_feed(redis, names)]
        assert news
        return [what for what, _ in expected_feed.feed_problems(news, self._asked)]

    async def judged(self) -> list[Finding]:
        simulator = self.simulator
        calls = {phone.call_id: await self._operator.call(phone.call_id) for phone in simulator.phones}
        history = TurnHistory(
            lines=[
                PhoneCall(phone.call_id, phone.call.to, phone.call.direction) for phone in simulator.phones
            ],
            happenings=self._happenings,
            started=simulator.started,
            asked=self._asked,
            deliveries=simulator.deliveries,
            requests=simulator.requests,
            stills=self.stills.all,
            refs={call_id: str(call["id"]) for call_id, call in calls.items()},
            rejections=simulator.interconnect.rejections,
        )
        return [
            *hearing.heard(history),
            *orders.came_about(history, calls, lambda *_which: False),
            *orders.traced(history, calls),
            *orders.placed(history),
        ]


@pytest.fixture
async def stage(store_url: str, redis: Redis) -> AsyncIterator[RecordedCalls]:
    map_ = f'{{"{ROOM_A}": "a", "{ROOM_B}": "b"}}'
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator())
        service = await stack.enter_async_context(
            serving(simulator, store_url, SHORT_TIMEOUTS, ROOM_MAP=map_)
        )
        operator = await stack.enter_async_context(Operator.of(service))
        stage = RecordedCalls(simulator, operator, redis, store_url)
        tasks = Tasks()
        watching = tasks.start(stage.stills.watch(), name="stills")
        yield stage
        stage.stills.stop()
        await watching
        for phone in simulator.phones:
            await phone.hang_up()


async def played(stage: RecordedCalls) -> list[Finding]:
    """Two in room a, one in b; one goes from a to b, from there on hold, and comes to a again."""
    first = await stage.calls(ROOM_A)
    await stage.calls(ROOM_A)
    await stage.calls(ROOM_B)
    await stage.rests()
    await stage.orders(first, "join", {"room": "b"})
    await stage.orders(first, "hold")
    await stage.orders(first, "join", {"room": "a"})
    return await stage.judged()


async def visited(stage: RecordedCalls) -> list[Finding]:
    """Two browsers in room a; one is to hear nobody, and is put out."""
    await stage.asks("POST", "/rooms/a/participants", {"name": "one"})
    entered = await stage.asks("POST", "/rooms/a/participants", {"name": "other"})
    path = f"/rooms/a/participants/{entered['participantId']}"
    await stage.asks("PUT", f"{path}/subscriptions", {"hears": "nobody"})
    await stage.asks("DELETE", path)
    return await stage.judged()


async def replaced(stage: RecordedCalls) -> list[Finding]:
    """Two in room a, of whom one is to hear nobody; their session vanishes, and a third one comes."""
    first = await stage.calls(ROOM_A)
    await stage.calls(ROOM_A)
    await stage.rests()
    await stage.asks("PUT", f"/calls/{first.call_id}/subscriptions", {"hears": "nobody"})
    vanished = str(first.session_id)
    stage.simulator.expire_session(vanished)
    await stage.calls(ROOM_A)
    await stage.simulator.until(
        lambda: first.session_id not in {None, vanished}, timeout=LONG, what="put back"
    )
    await stage.rests()
    return await stage.judged()


async def test_nothing_is_wrong(stage: RecordedCalls) -> None:
    assert await played(stage) == []


async def test_nothing_is_wrong_with_browsers(stage: RecordedCalls) -> None:
    assert await visited(stage) == []


async def test_nothing_is_wrong_when_a_session_was_replaced(stage: RecordedCalls) -> None:
    found = await replaced(stage)
    # On a busy machine somebody may look before anybody has asked for the session that has vanished.
    assert {one.excuse for one in found} <= {"session-not-missed-yet"}, found


async def test_all_is_told_to_those_who_look_on(stage: RecordedCalls) -> None:
    await played(stage)
    await stage.asks("DELETE", "/rooms/a")
    assert await stage.news_judged() == []


async def _nothing(*_: Any, **__: Any) -> None:
    """Done, says whoever does it."""


async def _lost(engine: EventHandler, ref: str, _event: Order) -> OrderResult:
    return OrderResult((await engine._calls.load(ref)).call)  # noqa: SLF001 - the fault is within


_add = WebRtcApi.add_participant


async def _add_deaf(api: WebRtcApi, session: str, participant: str, **more: Any) -> None:
    await _add(api, session, participant, **{**more, "hears": ()})


async def _add_hearing_all(entrance: SessionJoiner, room: str, **more: Any) -> None:
    await _enter(entrance, room, **{**more, "hears": None})


def _news_of_one_room(before: Call | None, after: Call) -> CallChange | None:
    news = call_change(before, after)
    return news and CallChange(news.rooms[:1], news.call)


async def _add_while_not_bridged(entrance: SessionJoiner, room: str, *, session_id: str, **more: Any) -> None:
    """As `SessionJoiner.add_to_session`, which moves those who are bridged by a deadline of ten seconds."""
    if more["deadline"] - monotonic() < MOVING:
        await _enter(entrance, room, session_id=session_id, **more)


async def _moved(_mover: ParticipantMover, effect: MoveParticipant, *, attempt: int) -> Moved:
    return Moved(
        at=0, attempt=effect.attempt, seat_no=effect.seat_no, room=effect.next_room, session_id=f"{attempt}"
    )


MOVING = 9.0
"""Seconds: a webhook's budget is less."""
_enter = SessionJoiner.add_to_session
FAULTS: dict[str, tuple[type, str, Callable[..., Any], str]] = {
    "an order is lost": (EventHandler, "order", _lost, "times orderJoin, and not"),
    "nobody is put into a session": (WebRtcApi, "add_participant", _nothing, "is in no session"),
    "nobody hears anything": (WebRtcApi, "add_participant", _add_deaf, "has no subscription"),
    "moved out, and not in": (
        SessionJoiner,
        "add_to_session",
        _add_while_not_bridged,
        "which is in no session",
    ),
    "all come into one room": (Policy, "room_for", lambda *_: "a", "strangers in session"),
    "a phone on hold is not asked": (PhoneControl, "redirect", _nothing, "should be <room a>"),
    "a move is only written down": (ParticipantMover, "move", _moved, "should be <room b>"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_seen(stage: RecordedCalls, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    kind, name, instead, expected = FAULTS[fault]
    with monkeypatch.context() as planted:
        planted.setattr(kind, name, instead)
        found = await played(stage)
    assert any(expected in one.what and not one.excuse for one in found), found


BROWSERS: dict[str, tuple[tuple[str, ...], str]] = {
    "a browser hears whom it is not to hear": (("subscribe",), " hears "),
    "a browser that was put out stays": (("remove_participant", "delete_participant"), "should be <over>"),
}


@pytest.mark.parametrize("fault", BROWSERS)
async def test_a_fault_of_browsers_is_seen(
    stage: RecordedCalls, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    names, expected = BROWSERS[fault]
    with monkeypatch.context() as planted:
        for name in names:
            planted.setattr(WebRtcApi, name, _nothing)
        found = await visited(stage)
    assert any(expected in one.what and not one.excuse for one in found), found


async def test_subscriptions_lost_when_a_session_was_replaced_are_seen(
    stage: RecordedCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as planted:
        planted.setattr(SessionJoiner, "add_to_session", _add_hearing_all)
        found = await replaced(stage)
    assert any(" hears " in one.what and not one.excuse for one in found), found


async def test_a_move_of_which_the_room_before_is_not_told_is_seen(
    stage: RecordedCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as planted:
        planted.setattr(calls, "call_change", _news_of_one_room)
        await played(stage)
        found = await stage.news_judged()
    assert found
    assert all("is not told that" in one for one in found), found


NOT_TOLD: dict[str, tuple[str, str, str]] = {
    "that a room was closed": ("_CLOSE", "if found then room_tell_closed(at) end\n", "have closed room a"),
    "that somebody has left": (
        "_VACATE",
        "seat_tell(at, seat, participant, 'left')\n",
        "and news tell of ['in']",
    ),
    "that somebody was put out": (
        "_CLOSE",
        "seat_tell(at, one.seat, one.participant, 'left')\n",
        "and news tell of ['in']",
    ),
    "that somebody has come": (
        "_ENTER",
        "seat_tell(at, seat, participant, 'in')\n",
        "and news tell of ['left']",
    ),
}


@pytest.mark.parametrize("what", NOT_TOLD)
async def test_news_that_are_left_out_are_seen(
    stage: RecordedCalls, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    name, told, expected = NOT_TOLD[what]
    script = getattr(rooms, name)
    source = script.source.replace(told, "")
    assert source != script.source
    sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    with monkeypatch.context() as planted:
        planted.setattr(script, "by_sha", ("EVALSHA", sha))
        planted.setattr(script, "by_source", ("EVAL", source))
        await played(stage)
        await stage.asks("DELETE", "/rooms/a")
        found = await stage.news_judged()
    assert any(expected in one for one in found), found
