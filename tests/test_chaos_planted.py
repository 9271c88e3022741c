"""The eyes of the storm on calls that were really made: nothing is wrong, and each planted fault is seen."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis

from service.bandwidth.webrtc import WebRtcApi
from service.calls.effects import MoveParticipant
from service.calls.events import Moved, Order
from service.calls.policy import Policy
from service.engine.engine import Engine
from service.engine.entrance import Entrance
from service.engine.moving import Mover
from service.engine.ordered import Ordered
from service.tasks import Tasks
from tests.chaos.api import Asked
from tests.chaos.eyes import hearing, orders
from tests.chaos.finding import Finding
from tests.chaos.history import History, Line
from tests.chaos.stills import Stills
from tests.chaos_turns import ROOM_A, ROOM_B
from tests.harness import BRIEF, serving
from tests.operators import Operator
from tests.simulator.clock import monotonic
from tests.simulator.journal import Happening
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator


class Stage:
    """One replica, and whatever is seen of it."""

    def __init__(self, simulator: Simulator, operator: Operator, redis: Redis) -> None:
        self.simulator = simulator
        self.stills = Stills(redis, every=0.02)
        self._operator = operator
        self._asked: list[Asked] = []
        self._happenings: list[Happening] = []
        simulator.observe(self._happenings.append)

    async def calls(self, to: str) -> Phone:
        phone = await self.simulator.dial(to=to, from_=f"+1555222{len(self.simulator.phones):04}")
        await self.simulator.until(lambda: phone.stage in {"bridged", "ended"}, what="in, or turned away")
        return phone

    async def orders(self, phone: Phone, what: str, body: Any = None) -> None:
        """And what comes of it."""
        await self.asks("POST", f"/calls/{phone.call_id}/{what}", body)

    async def asks(self, method: str, path: str, body: Any = None) -> Any:
        """And what comes of it. Returns the reply."""
        sent_at = monotonic()
        answer = await self._operator.send(method, path, body)
        self._asked.append(
            Asked(
                method=method,
                path=path,
                body=body,
                host="",
                sent_at=sent_at,
                over=monotonic(),
                status=answer.status_code,
                reply=answer.json() if answer.content else None,
            )
        )
        await self.rests()
        return self._asked[-1].reply

    async def rests(self) -> None:
        await self.stills.rest(1.0)
        # The look that was under way had begun before.
        await self.stills.rest(1.0)

    async def judged(self) -> list[Finding]:
        simulator = self.simulator
        calls = {phone.call_id: await self._operator.call(phone.call_id) for phone in simulator.phones}
        history = History(
            lines=[Line(phone.call_id, phone.call.to, phone.call.direction) for phone in simulator.phones],
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
async def stage(store_url: str, redis: Redis) -> AsyncIterator[Stage]:
    rooms = f'{{"{ROOM_A}": "a", "{ROOM_B}": "b"}}'
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator())
        service = await stack.enter_async_context(serving(simulator, store_url, BRIEF, ROOM_MAP=rooms))
        operator = await stack.enter_async_context(Operator.of(service))
        stage = Stage(simulator, operator, redis)
        tasks = Tasks()
        watching = tasks.start(stage.stills.watch(), name="stills")
        yield stage
        stage.stills.stop()
        await watching
        for phone in simulator.phones:
            await phone.hang_up()


async def played(stage: Stage) -> list[Finding]:
    """Two in room a, one in b; one goes from a to b, from there on hold, and comes to a again."""
    first = await stage.calls(ROOM_A)
    await stage.calls(ROOM_A)
    await stage.calls(ROOM_B)
    await stage.rests()
    await stage.orders(first, "join", {"room": "b"})
    await stage.orders(first, "remove")
    await stage.orders(first, "join", {"room": "a"})
    return await stage.judged()


async def visited(stage: Stage) -> list[Finding]:
    """Two browsers in room a; one is to hear nobody, and is put out."""
    await stage.asks("POST", "/rooms/a/participants", {"name": "one"})
    entered = await stage.asks("POST", "/rooms/a/participants", {"name": "other"})
    path = f"/rooms/a/participants/{entered['participantId']}"
    await stage.asks("PUT", f"{path}/subscriptions", {"hears": "nobody"})
    await stage.asks("DELETE", path)
    return await stage.judged()


async def test_nothing_is_wrong(stage: Stage) -> None:
    assert await played(stage) == []


async def test_nothing_is_wrong_with_browsers(stage: Stage) -> None:
    assert await visited(stage) == []


async def _nothing(*_: Any, **__: Any) -> None:
    """Done, says whoever does it."""


async def _lost(engine: Engine, ref: str, _event: Order) -> Ordered:
    return Ordered((await engine._calls.load(ref)).call)  # noqa: SLF001 - the fault is within


_add = WebRtcApi.add_participant


async def _add_deaf(api: WebRtcApi, session: str, participant: str, **more: Any) -> None:
    await _add(api, session, participant, **{**more, "hears": ()})


async def _add_while_not_bridged(entrance: Entrance, room: str, *, session_id: str, **more: Any) -> None:
    """As `Entrance.add`, which moves those who are bridged by a deadline of ten seconds."""
    if more["deadline"] - monotonic() < MOVING:
        await _enter(entrance, room, session_id=session_id, **more)


async def _moved(_mover: Mover, effect: MoveParticipant, *, attempt: int) -> Moved:
    return Moved(
        at=0, attempt=effect.attempt, place=effect.place, room=effect.next_room, session_id=f"{attempt}"
    )


MOVING = 9.0
"""Seconds: a webhook's budget is less."""
_enter = Entrance.add
FAULTS: dict[str, tuple[type, str, Callable[..., Any], str]] = {
    "an order is lost": (Engine, "order", _lost, "times orderJoin, and not"),
    "nobody is put into a session": (WebRtcApi, "add_participant", _nothing, "is in no session"),
    "nobody hears anything": (WebRtcApi, "add_participant", _add_deaf, "has no subscription"),
    "moved out, and not in": (Entrance, "add", _add_while_not_bridged, "which is in no session"),
    "all come into one room": (Policy, "room", lambda *_: "a", "strangers in session"),
    "a move is only written down": (Mover, "move", _moved, "should be <room b>"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_seen(stage: Stage, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
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
async def test_a_fault_of_browsers_is_seen(stage: Stage, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    names, expected = BROWSERS[fault]
    with monkeypatch.context() as planted:
        for name in names:
            planted.setattr(WebRtcApi, name, _nothing)
        found = await visited(stage)
    assert any(expected in one.what and not one.excuse for one in found), found
