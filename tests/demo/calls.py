"""The calls of the demo, one function for each, and what has to be seen of them."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp

from tests.demo.bridge import SALES
from tests.demo.checks import CheckFailed, ExpectedSteps, Timings, left_over, missing_steps, unwanted_steps
from tests.demo.output import BANDWIDTH, PHONE, CallNames, OutputLine, output_lines
from tests.operators import Operator
from tests.simulator.clock import monotonic
from tests.simulator.journal import Happening
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator

PRIVATE: Final = "+19195550101"
"""A number without a room: each of its callers has one of their own."""
CALLERS: Final = ("+19195550142", "+19195550163")

WAY_IN: Final[ExpectedSteps] = [
    "call ringing",
    "webhook initiate",
    {"createSession", "createParticipant"},
    "addParticipantToSession",
    "BXML <Transfer>",
    "webhook transferAnswer",
    "BXML <Tag>",
    "call bridged",
]
TAKEN_DOWN: Final[ExpectedSteps] = ["removeParticipantFromSession", "deleteParticipant", "deleteSession"]
WAY_OUT: Final[ExpectedSteps] = [
    {"call ended", "webhook disconnect", "webhook transferDisconnect"},
    *TAKEN_DOWN,
]
FAR_END_OUT: Final[ExpectedSteps] = [
    "webhook transferComplete",
    "BXML <Hangup>",
    {"call ended", "webhook disconnect"},
]
GIVEN_UP: Final[ExpectedSteps] = [
    "call ringing",
    "webhook initiate",
    {"createSession", "createParticipant"},
    "addParticipantToSession",
    {"call ended", "webhook disconnect"},
    *TAKEN_DOWN,
]
REFUSED: Final[ExpectedSteps] = [
    "call ringing",
    "webhook initiate",
    "createParticipant",
    "BXML <SpeakSentence> <Hangup>",
    "speech",
    {"call ended", "webhook disconnect"},
]

Script = Callable[["DemoRun"], Awaitable[None]]


class DemoRun:
    """Watches what happens at the simulator, and says what it makes of it."""

    def __init__(self, simulator: Simulator, operator: Operator | None = None) -> None:
        self.simulator = simulator
        self.sales = SALES
        self._operator = operator
        self.lines: list[OutputLine] = []
        self._names = CallNames(self._is_leg)
        self._started_at = math.inf
        simulator.observe(self._watch)

    async def play(
        self, script: Script, *tracks: ExpectedSteps, unwanted: frozenset[str] = frozenset()
    ) -> None:
        """Raises CheckFailed with everything that was not as it should be."""
        self.lines.clear()
        self._names = CallNames(self._is_leg)
        problems = []
        try:
            await script(self)
            await self.simulator.until(
                lambda: self.simulator.ledger.empty and not self._missing(tracks), what="the call's end"
            )
        except (AssertionError, CheckFailed) as error:
            problems.append(str(error))
            problems += left_over(self.simulator.ledger.alive())
        problems += [*self._missing(tracks), *unwanted_steps(self.lines, set(unwanted))]
        if problems:
            raise CheckFailed("\n".join(problems))

    @property
    def operator(self) -> Operator:
        if self._operator is None:
            raise CheckFailed("there is no operator in this scene")
        return self._operator

    def between(self, first: str, last: str) -> float:
        """Milliseconds from the first line of this kind to the last one of that."""
        begins = [line.at_ms for line in self.lines if line.what == first]
        ends = [line.at_ms for line in self.lines if line.what == last]
        if not begins or not ends:
            raise CheckFailed(f"{first} or {last} was not seen")
        return max(ends) - min(begins)

    def note(self, who: str, whom: str, what: str, detail: str = "") -> None:
        """A line for what is no message."""
        self.lines.append(OutputLine((monotonic() - self._started_at) * 1000, who, whom, what, detail))

    def check(self, holds: object, otherwise: str) -> None:
        if not holds:
            raise CheckFailed(otherwise)

    def _missing(self, tracks: tuple[ExpectedSteps, ...]) -> list[str]:
        return [problem for track in tracks for problem in missing_steps(self.lines, track)]

    def _is_leg(self, call_id: str) -> bool:
        return self.simulator.phone(call_id).call.to.startswith("sip")

    def _watch(self, happening: Happening) -> None:
        # The journal's zero. A process that is held up between two clocks must not change the order.
        self._started_at = min(self._started_at, monotonic() - happening.at_ms / 1000)
        self.lines.extend(output_lines(happening, self._names, self._started_at))


async def all_the_way(stage: DemoRun) -> None:
    phone = await stage.simulator.dial(to=PRIVATE, from_=CALLERS[0])
    await phone.until("bridged")
    await phone.hang_up()


async def a_room(stage: DemoRun) -> None:
    simulator = stage.simulator
    first, second = await _two(simulator)
    stage.check(first.session_id == second.session_id, "the callers are in different sessions")
    heard = (simulator.hears(first), simulator.hears(second))
    stage.check(heard == ({second.participant_id}, {first.participant_id}), "they do not hear each other")
    stage.note(PHONE, PHONE, "they hear each other", "caller 1, caller 2")

    session = second.session_id
    await first.hang_up()
    await simulator.until(
        lambda: len(simulator.ledger.alive().participants) == 1, what="the first caller's participant is gone"
    )
    stage.check(simulator.ledger.alive().sessions == [session], "the session went with the first to leave")
    stage.check(second.stage == "bridged", "the second caller was cut off")
    stage.note(BANDWIDTH, BANDWIDTH, "the session stays", "caller 2")
    stage.check(_count(stage, "createSession") == 1, "there was more than one createSession")
    stage.check(_count(stage, "deleteSession") == 0, "deleteSession came before the last had left")

    await second.far_end_hangs_up()
    await second.until("ended")


async def hangs_up_early(stage: DemoRun) -> None:
    gate = stage.simulator.gates.hold("addParticipantToSession")
    phone = await stage.simulator.dial(to=PRIVATE, from_=CALLERS[0])
    await gate.reached()
    await phone.hang_up()
    # A join that is through before the service has been told of the hang-up is answered with a transfer.
    await stage.simulator.until(
        lambda: (
            ("disconnect", phone.call_id)
            in {(one.event_type, one.call_id) for one in stage.simulator.deliveries}
        ),
        what="the disconnect webhook is answered",
    )
    gate.release()


async def bandwidth_fails(stage: DemoRun) -> None:
    stage.simulator.faults.add("createSession", status=500, times=2)
    phone = await stage.simulator.dial(to=PRIVATE, from_=CALLERS[0])
    await phone.until("ended")
    stage.check(any("sorry" in sentence for sentence in phone.heard), "the caller heard no apology")
    statuses = [line.status for line in stage.lines if line.what == "createSession"]
    stage.check(statuses == ["500"] * 2, f"createSession was answered with {statuses}, not with 500 twice")
    await stage.simulator.until(lambda: _count(stage, "deleteParticipant") == 1, what="deleteParticipant")


async def measure(simulator: Simulator, timings: Timings, times: int) -> None:
    """First callers of a room, callers who join one that has its session, and bare requests by each pair."""
    try:
        async with aiohttp.ClientSession() as client:
            await _request(simulator, client)
            for _ in range(times):
                timings.trips.append(await _two_trips(simulator, client))
                first, second = await _two(simulator)
                timings.firsts.append(_webhook_to_bxml(simulator, first))
                timings.joiners.append(_webhook_to_bxml(simulator, second))
                await first.hang_up()
                await second.hang_up()
                await simulator.settled()
    except AssertionError as error:
        raise CheckFailed(str(error)) from error


async def _two_trips(simulator: Simulator, client: aiohttp.ClientSession) -> float:
    """Requests in the shape of a join, by a client that does nothing else: two side by side, then one."""
    began = monotonic()
    await asyncio.gather(_request(simulator, client), _request(simulator, client))
    await _request(simulator, client)
    return (monotonic() - began) * 1000


async def _request(simulator: Simulator, client: aiohttp.ClientSession) -> None:
    url = f"{simulator.voice_url}/accounts/{simulator.account_id}/calls"
    credentials = aiohttp.encode_basic_auth(simulator.username, simulator.password)
    async with client.get(url, headers={"Authorization": credentials}) as response:
        await response.read()
        if response.status != 200:
            raise CheckFailed(f"listCalls was answered with {response.status}")


async def _two(simulator: Simulator) -> tuple[Phone, Phone]:
    phones = []
    for caller in CALLERS:
        phone = await simulator.dial(to=SALES, from_=caller)
        await phone.until("bridged")
        phones.append(phone)
    return phones[0], phones[1]


def _webhook_to_bxml(simulator: Simulator, phone: Phone) -> float:
    wanted = ("initiate", phone.call_id)
    return next(one.ms for one in simulator.deliveries if (one.event_type, one.call_id) == wanted)


def _count(stage: DemoRun, what: str) -> int:
    return sum(line.what == what for line in stage.lines)
