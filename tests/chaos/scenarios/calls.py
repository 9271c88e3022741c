"""Calls: in and out, through several rooms, ordered about, ended from either side."""

import asyncio

from tests.chaos.scenarios.rooms import NUMBERS, PIN_NUMBER, PRIVATE, ROOMS
from tests.chaos.scenarios.shared import Dice, Shared
from tests.simulator.interconnect import Behaviour
from tests.simulator.phones import Phone

DIGITS = ["1234#", "1234#", "1234#", "99#1234#", "9#", ""]
"""What is pressed by those who call the number that asks for a PIN."""
ANSWERS: list[Behaviour] = ["answer", "answer", "answer", "answer", "ring", "busy", "no-answer"]
LONGEST = 2.0
"""Seconds between two things that happen to a call."""
STAY = 0.05
"""Share of the calls that are up until the storm is over."""
TALK = 0.25
"""Share of the calls whose people go on talking for a while."""
TALKING = (4.0, 12.0)
"""Seconds for which they do."""


async def live(shared: Shared, number: int, dice: Dice) -> None:
    phone = await (_placed if dice.random() < 0.4 else arrived)(shared, number, dice)
    if phone is None:
        return
    for _ in range(dice.randrange(5)):
        await asyncio.sleep(dice.uniform(0, LONGEST) ** 2 / LONGEST)
        if not phone.call.ended:
            await _something(shared, phone, dice)
    await asyncio.sleep(dice.uniform(*TALKING) if dice.random() < TALK else dice.uniform(0, LONGEST))
    if dice.random() >= STAY:
        await phone.hang_up()


async def arrived(shared: Shared, number: int, dice: Dice) -> Phone:
    to = dice.choice([*NUMBERS, PRIVATE, PIN_NUMBER])
    phone = await shared.simulator.dial(to=to, from_=f"+1555222{number:04}")
    if to == PIN_NUMBER:
        phone.press(dice.choice(DIGITS))
    return phone


async def _placed(shared: Shared, number: int, dice: Dice) -> Phone | None:
    """None where nobody was called, or nobody knows it."""
    callee = f"+1555333{number:04}"
    shared.simulator.numbers[callee] = dice.choice(ANSWERS)
    body = {
        "to": callee,
        "room": dice.choice(list(ROOMS)),
        "prepare": dice.choice(["answer", "dial"]),
        "callTimeout": 5,
    }
    await shared.api.send("POST", "/calls", body, **{"idempotency-key": f"call-{number}"})
    return called(shared, callee)


def called(shared: Shared, callee: str) -> Phone | None:
    """The phone that a placed call has made ring; None where there is none."""
    found = [phone for phone in shared.simulator.phones if phone.call.to == callee]
    return found[0] if found else None


async def _something(shared: Shared, phone: Phone, dice: Dice) -> None:
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
        await shared.api.send("DELETE", f"/rooms/{dice.choice(list(ROOMS))}")
    else:
        bodies = {"join": {"room": dice.choice(list(ROOMS))}, "transfer": {"to": "+15554440000"}}
        await shared.api.send("POST", f"/calls/{phone.call_id}/{what}", bodies.get(what))
