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
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from service.engine.timeouts import Timeouts
from tests.browsers import ApiBrowser
from tests.harness import RunningService, nothing_left, serving
from tests.model import Model, Party
from tests.operators import Json, Operator
from tests.party_state import (
    OVER,
    PLEASE_HOLD,
    CloseOrder,
    HangUpOrder,
    HoldOrder,
    JoinOrder,
    Location,
    Observation,
    Order,
    PartyState,
    SubscribeOrder,
    TransferOrder,
)
from tests.seeded import SEED
from tests.simulator.journal import Delivery
from tests.simulator.phones import Phone
from tests.simulator.settings import SimulatorSettings
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

EXAMPLES: Final = int(os.getenv("STATEFUL_EXAMPLES", "0"))
NUMBERS: Final = {"+15551110000": "a", "+15551110001": "a", "+15551110002": "b"}
AWAY: Final = "+15554440000"
SOON: Final = Timeouts(
    join_check=0.3,
    transfer_check=0.3,
    idle_check=0.4,
    idle_check_max=0.6,
    not_found_grace=1.0,
    min_leg_duration=0,
)
MAKING: Final = ["createSession", "createParticipant", "addParticipantToSession"]
CLEANING: Final = ["updateCall", "removeParticipantFromSession", "deleteParticipant", "deleteSession"]
LATER: Final = {"ask-after", "check-room", "replace-session", "end-dialing", "check-presence"}
"""Owed work that is never done with, or is due long after."""
UNKNOWN: Final = {"state": "", "room": "", "nextRoom": ""}
SETTLED: Final = 12.0
MOST_RESTARTS: Final = 2
HEARS: Final[dict[str, tuple[str, ...] | None]] = {"everyone": None, "nobody": ()}
STATES: Final = {
    Location.RINGING: {"dialing"},
    Location.ROOM: {"bridged"},
    Location.HELD: {"detached"},
    Location.TRANSFERRED: {"detached"},
    Location.OVER: {"ended"},
}
"""What the API calls it."""

ROOMS = st.sampled_from(["a", "b", "c"])
phones = Bundle("phones")
browsers = Bundle("browsers")
TALKING: Final = precondition(lambda self: any(one.party.live for one in self.callers))
"""Steps are few: what befalls nobody is a step lost."""


class PhoneUnderTest:
    """A phone, and what the model says of it."""

    def __init__(self, phone: Phone, party: Party) -> None:
        self.phone = phone
        self.party = party

    @property
    def id(self) -> str:
        return self.phone.call_id

    @property
    def participant_id(self) -> str:
        return self.phone.participant_id or ""

    @property
    def seated(self) -> bool:
        return self.party.may_be_at(Location.ROOM)

    def __repr__(self) -> str:
        return f"<{self.id} should be {self.party}>"


class BrowserUnderTest:
    """A browser, and what the model says of it. Its id is that of its participant."""

    def __init__(self, browser: ApiBrowser, party: Party) -> None:
        self.browser = browser
        self.party = party
        self.id = self.participant_id = browser.id

    @property
    def seen(self) -> Observation:
        there = self.browser.participant
        if there is None:
            return Observation(stage="ended")
        return Observation(stage="bridged", participant=self.id, session=there.session_id)

    def __repr__(self) -> str:
        return f"<browser {self.id} should be {self.party}: {self.seen}>"


class CallMachine(RuleBasedStateMachine):
    """Every step is carried out and waited for; then model, API and ledger have to say the same."""

    store_url: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.model = Model()
        self.callers: list[PhoneUnderTest] = []
        self.visitors: list[BrowserUnderTest] = []
        self.dialed = 0
        self.restarts = 0
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
        self.service: RunningService = await self.replica.enter_async_context(
            serving(self.simulator, self.store_url, SOON, ROOM_MAP=rooms, CALLS_PER_HOUR="1000")
        )
        self.operator: Operator = await self.replica.enter_async_context(Operator.of(self.service))

    # What callers do

    @rule(target=phones, to=st.sampled_from(sorted(NUMBERS)))
    def dial_in(self, to: str) -> PhoneUnderTest:
        self.dialed += 1
        phone = self.do(self.simulator.dial(to=to, from_=f"+1555222{self.dialed:04}"))
        return self._added(phone, PartyState(Location.ROOM, NUMBERS[to]))

    @rule(
        target=phones,
        room=ROOMS,
        prepare=st.sampled_from(["answer", "dial"]),
        behaviour=st.sampled_from(["answer", "ring", "busy"]),
    )
    def dial_out(self, room: str, prepare: str, behaviour: Any) -> PhoneUnderTest:
        self.dialed += 1
        callee = f"+1555333{self.dialed:04}"
        self.simulator.numbers[callee] = behaviour
        self.do(self.operator.place(to=callee, room=room, prepare=prepare, callTimeout=300))
        phone = self.do(self.simulator.called(callee))
        there = {
            "answer": PartyState(Location.ROOM, room),
            "ring": PartyState(Location.RINGING, room),
            "busy": OVER,
        }
        return self._added(phone, there[behaviour])

    @rule(one=phones)
    def pick_up(self, one: PhoneUnderTest) -> None:
        if one.party.may_be_at(Location.RINGING):
            one.phone.pick_up()
            self.model.picked_up(one.id)

    @rule(one=consumes(phones), told=st.booleans())
    def hang_up(self, one: PhoneUnderTest, told: bool) -> None:
        """Where nobody is told somebody asks; after a phone that rings only when it can ring no longer."""
        if not told and not one.party.may_be_at(Location.RINGING):
            self.simulator.webhooks.drop = {"disconnect", "transferDisconnect"}
        self.do(one.phone.hang_up())
        self.model.ended(one.id)

    @rule(one=consumes(phones))
    def far_end_hangs_up(self, one: PhoneUnderTest) -> None:
        if one.seated or one.party.may_be_at(Location.TRANSFERRED):
            self.do(one.phone.far_end_hangs_up())
            self.model.ended(one.id)

    # What browsers do

    @rule(target=browsers, room=ROOMS)
    def enter(self, room: str) -> MultipleResults[BrowserUnderTest]:
        admitted = self.do(self.operator.send("POST", f"/rooms/{room}/participants", {}))
        if not admitted.is_success:
            assert self.troubled, admitted.text
            return multiple()
        browser = ApiBrowser(self.simulator, self.operator, admitted.json())
        one = BrowserUnderTest(browser, self.model.add(browser.id, PartyState(Location.ROOM, room)))
        self.visitors.append(one)
        return multiple(one)

    @rule(one=consumes(browsers))
    def leave(self, one: BrowserUnderTest) -> None:
        self._expect(one, self.do(self._browser(one).leave()), 204)
        self.model.finish(one.id, HangUpOrder())

    @rule(one=browsers, hears=st.sampled_from(["everyone", "nobody"]))
    def subscribe_browser(self, one: BrowserUnderTest, hears: str) -> None:
        if self._expect(one, self.do(self._browser(one).subscribe(hears)), 202):
            self.model.finish(one.id, SubscribeOrder(HEARS[hears]))

    def _browser(self, one: BrowserUnderTest) -> ApiBrowser:
        """Operated by way of the replica that runs now."""
        one.browser.operator = self.operator
        return one.browser

    def _expect(self, one: BrowserUnderTest, status: int, expected: int) -> bool:
        assert status == (expected if one.party.live else 404), (one, status)
        return one.party.live

    # What operators order

    @rule(one=phones)
    def remove(self, one: PhoneUnderTest) -> None:
        self._order(one, "hold", HoldOrder())

    @rule(one=phones, room=ROOMS)
    def join(self, one: PhoneUnderTest, room: str) -> None:
        self._order(one, "join", JoinOrder(room), {"room": room})

    @rule(one=phones)
    def transfer(self, one: PhoneUnderTest) -> None:
        self._order(one, "transfer", TransferOrder(), {"to": AWAY})

    @rule(one=consumes(phones))
    def end(self, one: PhoneUnderTest) -> None:
        self._order(one, "hangup", HangUpOrder())

    @rule(one=phones, hears=st.sampled_from(["everyone", "nobody"]))
    def subscribe(self, one: PhoneUnderTest, hears: str) -> None:
        body = {"hears": hears}
        answer = self.do(self.operator.send("PUT", f"/calls/{one.id}/subscriptions", body))
        assert answer.status_code in {202, 404, 409}, answer.text
        if answer.status_code == 202:
            self.model.finish(one.id, SubscribeOrder(HEARS[hears]))

    @TALKING
    @rule(room=ROOMS)
    def close(self, room: str) -> None:
        answer = self.do(self.operator.send("DELETE", f"/rooms/{room}"))
        there = self.model.seated(room)
        assert answer.status_code == (202 if there else 404), (answer.text, there)
        for id_ in there:
            self.model.finish(id_, CloseOrder(room))

    # What goes wrong

    @rule(one=phones)
    def repeat_the_last_webhook(self, one: PhoneUnderTest) -> None:
        last: list[Delivery] = [
            told for told in self.simulator.deliveries if told.call_id == one.phone.call_id and told.status
        ]
        if last:
            status, _ = self.do(self.simulator.repeat(last[-1]))
            assert status == last[-1].status

    @TALKING
    @rule(operation=st.sampled_from(CLEANING), status=st.sampled_from([429, 500, 503]))
    def cleaning_fails(self, operation: str, status: int) -> None:
        self.simulator.faults.add(operation, status=status)

    @TALKING
    @rule(operation=st.sampled_from(MAKING), status=st.sampled_from([429, 500, 503]))
    def making_fails(self, operation: str, status: int) -> None:
        self.simulator.faults.add(operation, status=status)
        self.troubled = True

    @TALKING
    @rule()
    def time_passes(self) -> None:
        """Long enough for Bandwidth to be asked after those who are still there, who stay there."""
        asked = self._asked()
        if any(one.seated for one in self.callers):
            self.do(wait_until(lambda: self._asked() > asked, seconds=SETTLED, what="nobody was asked after"))

    @TALKING
    @precondition(lambda self: self.restarts < MOST_RESTARTS)
    @rule()
    def restart(self) -> None:
        self.restarts += 1
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
            call = await self.operator.send("GET", f"/calls/{one.id}")
            shown = call.json() if call.is_success else UNKNOWN
            if not self._stands(one, shown) and not await self._excused(one, shown):
                self.why = f"{one}: {shown}; {one.phone}; {rooms}; {self.simulator.ledger.alive()}"
                return False
            if one.party.kept and self.troubled and shown.get("id") not in seated:
                # What was to be prepared while it rings has failed: it is tried again when it is picked up.
                one.party.kept = await self._busy()
        self.why = f"{self.callers}, {self.visitors}: {rooms}; {self.simulator.ledger.alive()}"
        visitors = all(self.model.matches(one.id, one.seen) for one in self.visitors)
        return visitors and self._seats_stand(rooms) and self._ledger_stands(rooms)

    def _stands(self, one: PhoneUnderTest, call: Json) -> bool:
        """The phone is as the model says, and the API says the same of it."""
        phone = one.phone
        seen = Observation(
            stage=phone.stage,
            participant=phone.participant_id,
            session=phone.session_id,
            rooms=frozenset(filter(None, [call["room"]])),
            on_hold=phone.stage == "answered" and phone.sounds[-1:] == [("speak", PLEASE_HOLD)],
        )
        states = STATES[one.party.only_state.location]
        if not self.model.matches(one.id, seen) or call["state"] not in states:
            return False
        match one.party.only_state.location:
            case Location.RINGING:
                return bool(call["room"] == one.party.only_state.room)
            case Location.TRANSFERRED:
                return phone.leg is not None and phone.leg.transfer_to == AWAY
            case Location.ROOM:
                shown = (call["nextRoom"], call["participantId"], call["sessionId"])
                return shown == (None, phone.participant_id, phone.session_id)
        return True

    async def _excused(self, one: PhoneUnderTest, call: Json) -> bool:
        """What a request that failed may have made of it, once nothing is owed any more."""
        if not self.troubled or await self._busy():
            return False
        phone = one.phone
        if phone.call.ended and call["state"] == "ended":
            self.model.ended(one.id)
        elif phone.stage == "bridged" and call["state"] == "bridged" and not call["nextRoom"]:
            self.model.set_state(one.id, PartyState(Location.ROOM, call["room"]))
        return self._stands(one, call)

    async def _busy(self) -> bool:
        owed = [await self.redis.hgetall(key) async for key in self.redis.scan_iter("*:owed:*")]
        kinds = {str(name).partition(":")[0] for fields in owed for name in fields}
        return bool(kinds - LATER - {".seq", ".lease"})

    def _seats_stand(self, rooms: list[Json]) -> bool:
        """Everybody who is in a room has a seat there and nowhere else, and hears whom the model says."""
        everybody: list[PhoneUnderTest | BrowserUnderTest] = [*self.callers, *self.visitors]
        for room in rooms:
            here = [one for one in everybody if one.party.may_be_at(Location.ROOM, room["room"])]
            seated = {member["participantId"] for member in room["members"]} - {None}
            wanted = self.model.seated(room["room"])
            if not {one.participant_id for one in here} <= seated or len(room["members"]) != len(wanted):
                return False
            for one in here:
                ringing = seated - {other.participant_id for other in here}
                heard = {other.participant_id for other in here if self._must_hear(one, other)}
                # Whoever hears everyone is subscribed to those as well who have yet to pick up.
                heard |= ringing if one.party.only_state.hears is None else set()
                if self._hears(one) != heard:
                    return False
        wanted_rooms = {
            one.party.only_state.room for one in everybody if one.party.seated(one.party.only_state.room)
        }
        return {room["room"] for room in rooms} == wanted_rooms

    def _must_hear(
        self, one: PhoneUnderTest | BrowserUnderTest, other: PhoneUnderTest | BrowserUnderTest
    ) -> bool:
        return one is not other and self.model.must_hear(one.id, other.id, other.participant_id)

    def _hears(self, one: PhoneUnderTest | BrowserUnderTest) -> set[str]:
        return self.simulator.hears(one.phone) if isinstance(one, PhoneUnderTest) else one.browser.hears

    def _ledger_stands(self, rooms: list[Json]) -> bool:
        """At Bandwidth lives what the rooms have, and nothing else."""
        alive = self.simulator.ledger.alive()
        members = [member["participantId"] for room in rooms for member in room["members"]]
        return (
            set(alive.participants) == {one for one in members if one}
            and set(alive.sessions) == {room["sessionId"] for room in rooms if room["sessionId"]}
            and len(alive.calls) == sum(one.party.live for one in self.callers)
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
        for visitor in self.visitors:
            await self._browser(visitor).leave()
        # Of a session or participant that was made and not told of: none, since no fault here does that.
        await nothing_left(self.simulator, self.redis, seconds=SETTLED)
        assert self.service.log(level="error") == []

    def _added(self, phone: Phone, standing: PartyState) -> PhoneUnderTest:
        party = self.model.add(phone.call_id, standing, kept=standing.location is Location.RINGING)
        one = PhoneUnderTest(phone, party)
        self.callers.append(one)
        return one

    def _order(self, one: PhoneUnderTest, what: str, order: Order, body: Json | None = None) -> None:
        answer = self.do(self.operator.send("POST", f"/calls/{one.id}/{what}", body))
        assert answer.status_code in {202, 404, 409}, answer.text
        if answer.status_code == 202:
            self.model.finish(one.id, order)

    def _asked(self) -> int:
        return sum(one.operation == "getCall" for one in self.simulator.requests)


def test_whatever_comes_model_api_and_ledger_agree(store_server: str) -> None:
    run_state_machine_as_test(
        type("CallsHere", (CallMachine,), {"store_url": store_server}),
        settings=settings(
            max_examples=EXAMPLES or 14,
            stateful_step_count=15,
            deadline=None,
            derandomize=not (EXAMPLES or SEED),
            database=None,
            # Shrinking takes as long as finding; one step less is worth little where each is told by name.
            phases=[Phase.generate] if not EXAMPLES else [Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
