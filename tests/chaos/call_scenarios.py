"""Plays the calls of a turn: in and out, through several rooms, ordered about, ended from either side."""

import asyncio
import random  # noqa: TID251 - seeded, so that a storm can be had again
from collections.abc import Callable

from tests.chaos.api import Api
from tests.chaos.plan import Turn
from tests.simulator.clock import monotonic
from tests.simulator.interconnect import Behaviour
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator

ROOMS = {
    "a": {},
    "b": {},
    "c": {},
    "legs": {"interconnect": "bridge"},
    "waiting": {"waiting": {"sound": "ring"}},
    "code": {"pin": "1234"},
}
"""Rooms and their settings."""
NUMBERS = {f"+1555111000{n}": room for n, room in enumerate(ROOMS)}
"""Whoever calls one of these comes into its room; others have one to themselves."""
PRIVATE = "+15551110009"
PIN_NUMBER = "+15551110008"
DIGITS = ["1234#", "1234#", "1234#", "99#1234#", "9#", ""]
"""What is pressed by whoever calls that one."""
ANSWERS: list[Behaviour] = ["answer", "answer", "answer", "answer", "ring", "busy", "no-answer"]
LONGEST = 2.0
"""Seconds between two things that happen to a call."""


RATE = 12.0
"""Calls that begin in a second."""
AT_ONCE = 60
"""Calls that are up at the same time, at most."""


class Lives:
    """Each call has dice of its own, so that it decides the same whatever becomes of the others."""

    def __init__(self, simulator: Simulator, api: Api, turn: Turn, *, rate: float, at_once: int) -> None:
        self.begun = 0
        self.ended = 0
        self._simulator = simulator
        self._api = api
        self._turn = turn
        self._rate = rate
        self._places = asyncio.Semaphore(at_once)

    async def prepare(self) -> None:
        for room, settings in ROOMS.items():
            answer = await self._api.send("PUT", f"/rooms/{room}", settings)
            assert answer is not None, "no replica lets a room be set up"
            assert answer.is_success, answer.text

    async def play(self, goes_on: Callable[[], bool]) -> None:
        """Until the last of them is over. `goes_on`: whether another call is to begin."""
        begun = monotonic()
        async with asyncio.TaskGroup() as group:
            for number in self._turn.numbers:
                await asyncio.sleep(begun + number / self._rate - monotonic())
                if not goes_on():
                    return
                group.create_task(self._live(number, goes_on))

    async def _live(self, number: int, goes_on: Callable[[], bool]) -> None:
        async with self._places:
            if not goes_on():
                return
            self.begun += 1
            dice = random.Random(f"{self._turn.seed} {number}")
            place = self._placed if dice.random() < 0.4 else self._arrived
            phone = await place(number, dice)
            if phone is not None:
                for _ in range(dice.randrange(5)):
                    await asyncio.sleep(dice.uniform(0, LONGEST) ** 2 / LONGEST)
                    if not phone.call.ended:
                        await self._something(phone, dice)
                await asyncio.sleep(dice.uniform(0, LONGEST))
                # A few stay until the storm is over.
                if dice.random() < 0.95:
                    await phone.hang_up()
            self.ended += 1

    async def _arrived(self, number: int, dice: random.Random) -> Phone:
        to = dice.choice([*NUMBERS, PRIVATE, PIN_NUMBER])
        phone = await self._simulator.dial(to=to, from_=f"+1555222{number:04}")
        if to == PIN_NUMBER:
            phone.press(dice.choice(DIGITS))
        return phone

    async def _placed(self, number: int, dice: random.Random) -> Phone | None:
        """None where nobody was called, or nobody knows it."""
        callee = f"+1555333{number:04}"
        self._simulator.numbers[callee] = dice.choice(ANSWERS)
        body = {
            "to": callee,
            "room": dice.choice(list(ROOMS)),
            "prepare": dice.choice(["answer", "dial"]),
            "callTimeout": 5,
        }
        await self._api.send("POST", "/calls", body, **{"idempotency-key": f"call-{number}"})
        found = [phone for phone in self._simulator.phones if phone.call.to == callee]
        return found[0] if found else None

    async def _something(self, phone: Phone, dice: random.Random) -> None:
        what = dice.choice(
            ["remove", "join", "join", "join", "far end", "pick up", "hang up"] * 3
            + ["transfer", "hangup", "close"]
        )
        if what == "far end":
            if phone.leg is not None and not phone.leg.ended:
                await phone.far_end_hangs_up()
        elif what == "pick up":
            phone.pick_up()
        elif what == "hang up":
            await phone.hang_up()
        elif what == "close":
            await self._api.send("DELETE", f"/rooms/{dice.choice(list(ROOMS))}")
        else:
            bodies = {"join": {"room": dice.choice(list(ROOMS))}, "transfer": {"to": "+15554440000"}}
            await self._api.send("POST", f"/calls/{phone.call_id}/{what}", bodies.get(what))
