"""Whatever callers, operators and Bandwidth do, in any order: model, API and the simulator's ledger agree.

`STATEFUL_EXAMPLES=500 .venv/bin/pytest tests/test_stateful.py` goes on for longer, and takes another way each
time; a failure is told as the steps that lead to it.
"""

import asyncio
import json
import os
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from service.engine.patience import Patience
from tests.harness import Service, nothing_left, serving
from tests.operators import Json, Operator
from tests.simulator.journal import Delivery
from tests.simulator.phones import Phone
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

EXAMPLES: Final = int(os.getenv("STATEFUL_EXAMPLES", "0"))
NUMBERS: Final = {"+15551110000": "a", "+15551110001": "a", "+15551110002": "b"}
AWAY: Final = "+15554440000"
SOON: Final = Patience(joining=0.3, transferring=0.3, quiet=0.4, longest=0.6, unknown=1.0)
MAKING: Final = ["createSession", "createParticipant", "addParticipantToSession"]
CLEANING: Final = ["updateCall", "removeParticipantFromSession", "deleteParticipant", "deleteSession"]
LATER: Final = {"ask-after", "check-room", "replace-session", "end-dialing"}
"""Owed work that is never done with, or is due long after."""
UNKNOWN: Final = {"state": "", "room": "", "nextRoom": ""}
SETTLED: Final = 12.0

ROOMS = st.sampled_from(["a", "b", "c"])
phones = Bundle("phones")


class Caller:
    """What is to be true of one phone. `where`: a room's name, or one of the words in capitals below."""

    RINGING = "RINGING"
    HELD = "HELD"
    AWAY = "AWAY"
    OVER = "OVER"

    def __init__(self, phone: Phone, where: str, room: str) -> None:
        self.phone = phone
        self.where = where
        self.room = room
        self.kept = where == self.RINGING
        """Whether a seat is kept for a phone that rings."""

    def __repr__(self) -> str:
        return f"<{self.phone.call_id} should be {self.where}, room {self.room}>"

    @property
    def live(self) -> bool:
        return self.where != self.OVER

    @property
    def seated(self) -> bool:
        return self.where not in {self.RINGING, self.HELD, self.AWAY, self.OVER}

    def into(self, room: str) -> None:
        """A phone that rings goes there when it is picked up, and takes its seat then."""
        self.room, self.kept = room, False
        if self.where != self.RINGING:
            self.where = room


class Calls(RuleBasedStateMachine):
    """Every step is carried out and waited for; then model, API and ledger have to say the same."""

    store_url: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.callers: list[Caller] = []
        self.dialed = 0
        self.troubled = False
        """Whether a request for a join has been made to fail, so that a call may be told so and end."""
        self.why = ""

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        self.do(self._begin())

    async def _begin(self) -> None:
        enter = self.stack.enter_async_context
        self.redis = await enter(Redis.from_url(self.store_url, decode_responses=True))
        await self.redis.flushall()
        # Phones on hold ask us again every second and a half.
        self.simulator = await enter(Simulator(SimulatorSettings(time_scale=0.15)))
        self.replica = await enter(AsyncExitStack())
        await self._start()

    async def _start(self) -> None:
        rooms = json.dumps(NUMBERS)
        self.service: Service = await self.replica.enter_async_context(
            serving(self.simulator, self.store_url, SOON, ROOM_MAP=rooms, CALLS_PER_HOUR="1000")
        )
        self.operator: Operator = await self.replica.enter_async_context(Operator.of(self.service))

    # What callers do

    @rule(target=phones, to=st.sampled_from(sorted(NUMBERS)))
    def dial_in(self, to: str) -> Caller:
        self.dialed += 1
        phone = self.do(self.simulator.dial(to=to, from_=f"+1555222{self.dialed:04}"))
        return self._added(phone, NUMBERS[to], NUMBERS[to])

    @rule(
        target=phones,
        room=ROOMS,
        prepare=st.sampled_from(["answer", "dial"]),
        behaviour=st.sampled_from(["answer", "ring", "busy"]),
    )
    def dial_out(self, room: str, prepare: str, behaviour: Any) -> Caller:
        self.dialed += 1
        callee = f"+1555333{self.dialed:04}"
        self.simulator.numbers[callee] = behaviour
        self.do(self.operator.place(to=callee, room=room, prepare=prepare, callTimeout=300))
        phone = self.do(self.simulator.called(callee))
        return self._added(
            phone, {"answer": room, "ring": Caller.RINGING, "busy": Caller.OVER}[behaviour], room
        )

    @rule(one=phones)
    def pick_up(self, one: Caller) -> None:
        if one.where == Caller.RINGING:
            one.phone.pick_up()
            one.where = one.room

    @rule(one=consumes(phones))
    def hang_up(self, one: Caller) -> None:
        self.do(one.phone.hang_up())
        one.where = Caller.OVER

    @rule(one=consumes(phones))
    def hang_up_and_nobody_is_told(self, one: Caller) -> None:
        """Somebody asks; after a phone that rings only when it can ring no longer."""
        if one.where != Caller.RINGING:
            self.simulator.webhooks.drop = {"disconnect", "transferDisconnect"}
        self.hang_up(one)

    @rule(one=consumes(phones))
    def far_end_hangs_up(self, one: Caller) -> None:
        if one.seated or one.where == Caller.AWAY:
            self.do(one.phone.far_end_hangs_up())
            one.where = Caller.OVER

    # What operators order

    @rule(one=phones)
    def remove(self, one: Caller) -> None:
        if self._ordered(one, "remove"):
            one.where = Caller.HELD

    @rule(one=phones, room=ROOMS)
    def join(self, one: Caller, room: str) -> None:
        if self._ordered(one, "join", {"room": room}):
            one.into(room)

    @rule(one=phones)
    def transfer(self, one: Caller) -> None:
        if self._ordered(one, "transfer", {"to": AWAY}):
            one.where = Caller.AWAY

    @rule(one=consumes(phones))
    def end(self, one: Caller) -> None:
        if self._ordered(one, "hangup"):
            one.where = Caller.OVER

    @rule(room=ROOMS)
    def close(self, room: str) -> None:
        answer = self.do(self.operator.send("DELETE", f"/rooms/{room}"))
        there = [one for one in self.callers if one.where == room or _rings_for(one, room)]
        assert answer.status_code == (202 if there else 404), (answer.text, there)
        for one in there:
            one.where = Caller.OVER

    # What goes wrong

    @rule(one=phones)
    def repeat_the_last_webhook(self, one: Caller) -> None:
        last: list[Delivery] = [
            told for told in self.simulator.deliveries if told.call_id == one.phone.call_id and told.status
        ]
        if last:
            status, _ = self.do(self.simulator.repeat(last[-1]))
            assert status == last[-1].status

    @rule(operation=st.sampled_from(CLEANING), status=st.sampled_from([429, 500, 503]))
    def cleaning_fails(self, operation: str, status: int) -> None:
        self.simulator.faults.add(operation, status=status)

    @rule(operation=st.sampled_from(MAKING), status=st.sampled_from([429, 500, 503]))
    def making_fails(self, operation: str, status: int) -> None:
        self.simulator.faults.add(operation, status=status)
        self.troubled = True

    @precondition(lambda self: any(one.live for one in self.callers))
    @rule()
    def time_passes(self) -> None:
        """Long enough for Bandwidth to be asked after those who are still there, who stay there."""
        asked = self._asked()
        if any(one.seated for one in self.callers):
            self.do(wait_until(lambda: self._asked() > asked, seconds=SETTLED, what="nobody was asked after"))

    @rule()
    def restart(self) -> None:
        self.do(self._restart())

    async def _restart(self) -> None:
        await self.replica.aclose()
        await self._start()

    # What has to be true then

    @invariant()
    def all_agree(self) -> None:
        if not hasattr(self, "operator"):
            return
        self.do(wait_until(self._agree, seconds=SETTLED, what=lambda: self.why))
        self.simulator.webhooks.drop = set()

    async def _agree(self) -> bool:
        rooms = (await self.operator.ask("GET", "/rooms"))["rooms"]
        seated = {member["call"] for room in rooms for member in room["members"]}
        for one in self.callers:
            call = await self.operator.send("GET", f"/calls/{one.phone.call_id}")
            shown = call.json() if call.is_success else UNKNOWN
            if not self._stands(one, shown) and not await self._excused(one, shown):
                self.why = f"{one}: {shown}; {one.phone}; {rooms}; {self.simulator.ledger.alive()}"
                return False
            if one.kept and self.troubled and shown.get("id") not in seated:
                # What was to be prepared while it rings has failed: it is tried again when it is picked up.
                one.kept = await self._busy()
        self.why = f"{self.callers}: {rooms}; {self.simulator.ledger.alive()}"
        return self._seats_stand(rooms) and self._ledger_stands(rooms)

    def _stands(self, one: Caller, call: Json) -> bool:
        phone, state = one.phone, call["state"]
        match one.where:
            case Caller.OVER:
                return bool(phone.call.ended and state == "ended")
            case Caller.RINGING:
                return phone.state == "ringing" and state == "dialing" and call["room"] == one.room
            case Caller.HELD:
                return state == "detached" and phone.participant_id is None and phone.stage == "answered"
            case Caller.AWAY:
                there = phone.leg is not None and phone.leg.transfer_to == AWAY
                return state == "detached" and there and phone.stage == "bridged"
        where = (phone.stage, phone.participant_id, phone.session_id)
        return (state, call["room"], call["nextRoom"]) == ("bridged", one.where, None) and where == (
            "bridged",
            call["participantId"],
            call["sessionId"],
        )

    async def _excused(self, one: Caller, call: Json) -> bool:
        """What a request that failed may have made of it, once nothing is owed any more."""
        if not self.troubled or await self._busy():
            return False
        phone = one.phone
        if phone.call.ended and call["state"] == "ended":
            one.where = Caller.OVER
        elif phone.stage == "bridged" and call["state"] == "bridged" and not call["nextRoom"]:
            one.where = one.room = call["room"]
        return self._stands(one, call)

    async def _busy(self) -> bool:
        owed = [await self.redis.hgetall(key) async for key in self.redis.scan_iter("*:owed:*")]
        kinds = {str(name).partition(":")[0] for fields in owed for name in fields}
        return bool(kinds - LATER - {".seq", ".lease"})

    def _seats_stand(self, rooms: list[Json]) -> bool:
        """Everybody who is in a room has a seat there and nowhere else, and hears all others who are."""
        for room in rooms:
            seated = {member["participantId"] for member in room["members"]} - {None}
            expected = {one.phone.participant_id for one in self.callers if one.where == room["room"]}
            ringing = [one for one in self.callers if _rings_for(one, room["room"])]
            if not expected <= seated or len(room["members"]) != len(expected) + len(ringing):
                return False
            for one in self.callers:
                if one.where == room["room"]:
                    heard = {one.phone.participant_id, *self.simulator.hears(one.phone)}
                    if heard != seated:
                        return False
        wanted = {one.room for one in self.callers if one.seated or _rings_for(one, one.room)}
        return {room["room"] for room in rooms} == wanted

    def _ledger_stands(self, rooms: list[Json]) -> bool:
        """At Bandwidth lives what the rooms have, and nothing else."""
        alive = self.simulator.ledger.alive()
        members = [member["participantId"] for room in rooms for member in room["members"]]
        return (
            set(alive.participants) == {one for one in members if one}
            and set(alive.sessions) == {room["sessionId"] for room in rooms if room["sessionId"]}
            and len(alive.calls) == sum(one.live for one in self.callers)
        )

    def teardown(self) -> None:
        try:
            if hasattr(self, "operator"):
                self.do(self._finish())
        finally:
            self.do(self.stack.aclose())
            self.runner.close()

    async def _finish(self) -> None:
        self.simulator.faults.clear()
        for one in self.callers:
            await one.phone.hang_up()
        # Of a session or participant that was made and not told of: none, since no fault here does that.
        await nothing_left(self.simulator, self.redis, seconds=SETTLED)
        assert self.service.log(level="error") == []

    def _added(self, phone: Phone, where: str, room: str) -> Caller:
        one = Caller(phone, where, room)
        self.callers.append(one)
        return one

    def _ordered(self, one: Caller, what: str, body: Json | None = None) -> bool:
        answer = self.do(self.operator.send("POST", f"/calls/{one.phone.call_id}/{what}", body))
        assert answer.status_code in {202, 404, 409}, answer.text
        return bool(answer.status_code == 202)

    def _asked(self) -> int:
        return sum(one.operation == "getCall" for one in self.simulator.requests)


def _rings_for(one: Caller, room: str) -> bool:
    return one.where == Caller.RINGING and one.kept and one.room == room


def test_whatever_comes_model_api_and_ledger_agree(store_server: str) -> None:
    run_state_machine_as_test(
        type("CallsHere", (Calls,), {"store_url": store_server}),
        settings=settings(
            max_examples=EXAMPLES or 14,
            stateful_step_count=15,
            deadline=None,
            derandomize=not EXAMPLES,
            database=None,
            # Shrinking takes as long as finding; one step less is worth little where each is told by name.
            phases=[Phase.generate] if not EXAMPLES else [Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
