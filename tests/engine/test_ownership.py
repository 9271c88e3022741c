"""Whatever a request has made has an owner from the moment its answer is read, on every way out.

Each way into a room is cut off at each of its awaits in turn: while what it awaits is under way, or as soon
as it is through; by a cancellation, an error, or a clock that jumps past the deadline. Then everything
that Bandwidth has made has to be known to the store: as a room's, a call's, or as owed for removal.
"""

import asyncio
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import ExitStack, suppress
from itertools import count
from typing import Any, Final

import msgspec
import pytest
from redis.asyncio import Redis

from service.bandwidth.errors import BandwidthError
from service.calls.effects import MoveParticipant, StockRoom
from service.calls.model import Call, Direction, Phone
from service.calls.refs import ref_of_call
from service.calls.room import Way
from service.clock import SystemClock
from service.engine.creation import TooSlow
from service.engine.entrance import Refused
from service.engine.moving import Mover
from service.engine.patience import PATIENCE
from service.engine.performing import NotYet
from service.engine.stock import Stocker
from service.metrics import Metrics
from service.store.client import Client
from service.store.errors import StoreError, StoreUnavailable
from tests.engine.parts import Parts
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

WayIn = Callable[[], Awaitable[Any]]
Scenario = Callable[["Bench", Call], Awaitable[WayIn]]
"""Prepares what has to be there, and gives the way into the room that is cut off."""

ALONG: Final = 100.0
"""Seconds by which the clock jumps: past every deadline."""
OUTCOMES: Final = (Refused, TooSlow, BandwidthError, StoreError, NotYet, asyncio.CancelledError)


class JumpingClock(SystemClock):
    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class Cut:
    """Cuts a coroutine off at its `at`-th await. `through`: what it awaits has ended, unheard."""

    def __init__(self, at: int, how: Callable[[], BaseException | None], *, through: bool) -> None:
        self.at = at
        self.how = how
        self.through = through
        self.happened = False

    @types.coroutine
    def off(self, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        raised: BaseException | None = None
        for number in count(1):
            try:
                awaited = coroutine.throw(raised) if raised else coroutine.send(None)
            except StopIteration as done:
                return done.value
            raised = None
            if number == self.at:
                self.happened = True
                if self.through:
                    yield awaited
                raised = self.how()
                if raised or self.through:
                    continue
            yield awaited
        return None


class Bench(Parts):
    def __init__(self, simulator: Simulator, client: Client, redis: Redis) -> None:
        self.jumping = JumpingClock()
        super().__init__(simulator, client, self.jumping)
        self.simulator = simulator
        self.redis = redis
        self.given: set[str] = set()
        """What the test itself has made."""

    def deadline(self) -> float:
        return self.jumping.monotonic() + 5

    async def inhabited(self, room: str) -> str:
        """A room with somebody in it; its session."""
        made = await self.webrtc.create_session(tag=room, timeout=5)
        await self.seated(room, "other.1", made)
        return made

    async def seated(self, room: str, seat: str, session: str) -> str:
        now = self.clock.now()
        participant = (await self.webrtc.create_participant(tag=seat, callback_url=None, timeout=5)).id
        await self.webrtc.add_participant(session, participant, timeout=5)
        await self.rooms.reserve(room, seat, waits=False, limit=20, now=now)
        await self.rooms.enter(room, seat, participant_id=participant, made_session=session, now=now)
        return participant

    async def all_known(self) -> None:
        """Everything that is alive is in the store, where somebody will look at it."""
        await wait_until(lambda: len(self.tasks) == 0)
        alive = self.simulator.ledger.alive()
        made = {*alive.sessions, *alive.participants, *alive.calls, *alive.legs}
        kept = ""
        for kind in ("room", "owed", "call"):
            async for key in self.redis.scan_iter(f"pstn:*:{kind}:*"):
                kept += str(await self.redis.hgetall(key))
        assert [one for one in made if one not in kept] == []


@pytest.fixture
async def bench(simulator: Simulator, store_url: str, redis: Redis) -> AsyncIterator[Bench]:
    client = Client(store_url)
    bench = Bench(simulator, client, redis)
    yield bench
    await bench.http.close()
    await client.close()


async def into_new_room(bench: Bench, call: Call) -> WayIn:
    return _join(bench, call)


async def into_room(bench: Bench, call: Call) -> WayIn:
    await bench.inhabited(call.room)
    return _join(bench, call)


async def into_vanished_session(bench: Bench, call: Call) -> WayIn:
    bench.simulator.expire_session(await bench.inhabited(call.room))
    return _join(bench, call)


async def by_a_leg(bench: Bench, call: Call) -> WayIn:
    """It rings for as long as the test takes."""
    with suppress(ValueError):
        bench.simulator.gates.hold("webhook:answer")
    await bench.inhabited(call.room)
    return _join(bench, call, Way.BRIDGE)


def _join(bench: Bench, call: Call, way: Way = Way.TRANSFER) -> WayIn:
    joiner = bench.joiner(way, bench.simulator.application_id)

    async def join() -> None:
        with ExitStack() as owned:
            outcome, _ = await joiner.join(call, since=0, deadline=bench.deadline(), owned=owned)
            # As the engine does it: written down, and from then on the call's.
            leg_id = getattr(outcome, "leg_id", "")
            await bench.redis.hset(f"pstn:test:call:{call.ref}", "call", leg_id)
            if leg_id:
                owned.pop_all()

    return join


async def as_a_browser(bench: Bench, call: Call) -> WayIn:
    return lambda: bench.participants.admit(call.room)


async def made_ahead(bench: Bench, call: Call) -> WayIn:
    await bench.inhabited(call.room)
    stocker = Stocker(
        webrtc=bench.webrtc,
        rooms=bench.rooms,
        entrance=bench.entrance,
        doubts=bench.doubts,
        callbacks=bench.callbacks,
        clock=bench.clock,
        metrics=Metrics(),
        life=60,
    )
    return lambda: stocker.make(StockRoom(call.room), attempt=1)


async def from_room_to_room(bench: Bench, call: Call) -> WayIn:
    """Into one that is empty: its session is made."""
    old = f"{call.room}-old"
    participant = await bench.seated(old, call.seat, await bench.webrtc.create_session(tag=old, timeout=5))
    mover = Mover(
        entrance=bench.entrance,
        webrtc=bench.webrtc,
        rooms=bench.rooms,
        clock=bench.clock,
        patience=PATIENCE,
    )
    effect = MoveParticipant(
        ref=call.ref,
        attempt=1,
        place=1,
        room=old,
        seat=call.seat,
        participant_id=participant,
        next_room=call.room,
        next_seat=msgspec.structs.replace(call, place=1, places=1).seat,
        hears=None,
    )
    return lambda: mover.move(effect, attempt=1)


async def rolled_over(bench: Bench, call: Call) -> WayIn:
    session = await bench.inhabited(call.room)
    return lambda: bench.entrance.roll_over(call.room, session, bench.deadline())


SCENARIOS = (
    into_new_room,
    into_room,
    into_vanished_session,
    by_a_leg,
    as_a_browser,
    made_ahead,
    from_room_to_room,
    rolled_over,
)


@pytest.mark.parametrize("how", ["cancelled", "store", "bandwidth", "deadline"])
@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_what_is_made_has_an_owner_wherever_it_is_cut_off(
    bench: Bench,
    scenario: Callable[[Bench, Call], Awaitable[Callable[[], Awaitable[Any]]]],
    how: str,
    *,
    through: bool,
) -> None:
    def strikes() -> BaseException | None:
        if how == "deadline":
            bench.jumping.ahead += ALONG
            return None
        return {
            "cancelled": asyncio.CancelledError(),
            "store": StoreUnavailable("cut off"),
            "bandwidth": BandwidthError("any", "unreachable", retry=True),
        }[how]

    for at in count(1):
        call = Call(
            ref=ref_of_call(f"c-{at}"),
            call_id=f"c-{at}",
            direction=Direction.INBOUND,
            room=f"room-{at}",
            created_at=0,
            phone=Phone.RINGING,
            attempt=1,
        )
        way_in = await scenario(bench, call)
        cut = Cut(at, strikes, through=through)
        with suppress(*OUTCOMES):
            await bench.tasks.start(_cut_off(cut, way_in), name="way in")
        await bench.all_known()
        if not cut.happened:
            assert at > 2, "it has been cut off nowhere"
            return


async def _cut_off(cut: Cut, way_in: WayIn) -> None:
    async def whole() -> None:
        await way_in()

    await cut.off(whole())
