"""Calls: in and out, through several rooms, ordered about, ended from either side."""

import asyncio

from tests.chaos.scenarios.rooms import NUMBERS, PIN_NUMBER, PRIVATE, ROOMS
from tests.chaos.scenarios.shared import Dice, ScenarioContext
from tests.simulator.clock import monotonic
from tests.simulator.interconnect import Behaviour
from tests.simulator.phones import Phone

DIGITS = ["1234#", "1234#", "1234#", "99#1234#", "9#", ""]
"""What is pressed by those who call the number that asks for a PIN."""
ANSWERS: list[Behaviour] = ["answer", "answer", "answer", "answer", "ring", "busy", "no-answer"]
LONGEST = 2.0
"""Seconds between two things that happen to a call."""
LONGEST_AFTER = 12.0
"""Seconds after its time for which such a call is waited for."""
TALK_AT_ONCE = [number for number, room in NUMBERS.items() if room in {"a", "b", "c"}]
"""Numbers whose callers wait for nothing."""
STAY = 0.05
"""Share of the calls that are up until the storm is over."""
TALK = 0.25
"""Share of the calls whose people go on talking for a while."""
TALKING = (4.0, 12.0)
"""Seconds for which they do."""
LIMIT = 3
"""Seconds for which a call may last whose people would go on."""
HELD = (2.5, 5.0)
"""Seconds that a caller who is put on hold waits."""
CAME_IN = 8.0
"""Seconds in which a phone has come into its room, as a rule."""


async def play(shared: ScenarioContext, number: int, dice: Dice) -> None:
    match number % 10:
        case 2:
            await _held(shared, number, dice, sent_back=True)
        case 4:
            await _held(shared, number, dice, sent_back=False)
        case 9:
            await _outlasting(shared, number, dice)
        case _:
            await _ordinary(shared, number, dice)


async def _held(shared: ScenarioContext, number: int, dice: Dice, *, sent_back: bool) -> None:
    """On hold for a while: then it is sent into a room, or hangs up."""
    phone = await shared.simulator.dial(to=dice.choice(TALK_AT_ONCE), from_=f"+1555222{number:04}")
    await _until_bridged(phone)
    await shared.api.send("POST", f"/calls/{phone.call_id}/{shared.api.hold_order}")
    await asyncio.sleep(dice.uniform(*HELD))
    if sent_back:
        await shared.api.send("POST", f"/calls/{phone.call_id}/join", {"room": dice.choice(list(ROOMS))})
        await asyncio.sleep(dice.uniform(1, LONGEST))
    await phone.hang_up()


async def _outlasting(shared: ScenarioContext, number: int, dice: Dice) -> None:
    """Nobody hangs up before its time is up."""
    phone = await _placed(shared, number, dice, behaviour="answer", maxDuration=LIMIT)
    if phone is None:
        return
    await _until_bridged(phone)
    if dice.random() < 0.3:
        await shared.api.send("POST", f"/calls/{phone.call_id}/{shared.api.hold_order}")
    ends = monotonic() + LIMIT + LONGEST_AFTER
    while monotonic() < ends:
        if phone.call.ended:
            return
        await asyncio.sleep(0.1)


async def _until_bridged(phone: Phone) -> None:
    ends = monotonic() + CAME_IN
    while monotonic() < ends:
        if phone.stage in {"bridged", "ended"}:
            return
        await asyncio.sleep(0.1)


async def _ordinary(shared: ScenarioContext, number: int, dice: Dice) -> None:
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


async def arrived(shared: ScenarioContext, number: int, dice: Dice) -> Phone:
    to = dice.choice([*NUMBERS, PRIVATE, PIN_NUMBER])
    phone = await shared.simulator.dial(to=to, from_=f"+1555222{number:04}")
    if to == PIN_NUMBER:
        phone.press(dice.choice(DIGITS))
    return phone


async def _placed(
    shared: ScenarioContext, number: int, dice: Dice, *, behaviour: Behaviour | None = None, **options: int
) -> Phone | None:
    """None where nobody was called, or nobody knows it. `options`: of the order."""
    callee = f"+1555333{number:04}"
    shared.simulator.numbers[callee] = dice.choice(ANSWERS) if behaviour is None else behaviour
    body = {
        "to": callee,
        "room": dice.choice(list(ROOMS)),
        "prepare": dice.choice(["answer", "dial"]),
        "callTimeout": 5,
        **options,
    }
    await shared.api.send("POST", "/calls", body, **{"idempotency-key": f"call-{number}"})
    return called(shared, callee)


def called(shared: ScenarioContext, callee: str) -> Phone | None:
    """The phone that a placed call has made ring; None where there is none."""
    found = [phone for phone in shared.simulator.phones if phone.call.to == callee]
    return found[0] if found else None


async def _something(shared: ScenarioContext, phone: Phone, dice: Dice) -> None:
    what = dice.choice(
        [shared.api.hold_order, "join", "join", "join", "far end", "pick up", "hang up"] * 3
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
