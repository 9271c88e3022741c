"""Digits that name a room, on numbers that ask for them."""

import re
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from service.store import keys
from tests.harness import LOG, NUMBER, RunningService
from tests.operators import Json, Operator, consistent, operator_for
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

Staff = tuple[RunningService, Operator]
PROMPT = "Please enter your conference code, followed by the pound key."
WRONG = "That code is not known. Please try again."
GOODBYE = "Your conference could not be found. Goodbye."
PIN = "73915"
OTHER_PIN = "48206"


@pytest.fixture
async def staff(simulator: Simulator, store_url: str, redis: Redis) -> AsyncIterator[Staff]:
    async with operator_for(simulator, store_url, redis, PIN_NUMBERS=NUMBER) as (service, operator):
        await operator.set_room("sales", pin=PIN)
        await operator.set_room("support", pin=OTHER_PIN)
        yield service, operator
        for phone in simulator.phones:
            await phone.hang_up()
        await operator.reset_rooms()


async def asked(simulator: Simulator) -> Phone:
    phone = await simulator.dial()
    await phone.hears(PROMPT)
    return phone


async def let_go(operator: Operator, phone: Phone) -> Json:
    await phone.until("ended")
    assert phone.heard[-1] == GOODBYE
    ended = await operator.until(phone.call_id, "ended")
    listed = (await operator.ask("GET", "/calls"))["calls"]
    assert [call["id"] for call in listed] == [ended["id"]]
    assert (ended["outcome"]["blame"], ended["outcome"]["reason"]) == ("caller", "wrong-pin")
    return ended


@pytest.mark.parametrize(("pin", "room"), [(PIN, "sales"), (OTHER_PIN, "support")])
async def test_the_right_digits_lead_into_the_room(
    simulator: Simulator, staff: Staff, pin: str, room: str
) -> None:
    _, operator = staff
    phone = await asked(simulator)
    assert (await operator.call(phone.call_id))["state"] == "initiated"
    assert simulator.ledger.alive().sessions == []
    phone.press(f"{pin}#")
    await operator.arrives(phone.call_id, room)
    await consistent(simulator, operator, phone)
    assert phone.heard == [PROMPT]


async def test_two_with_the_same_digits_meet(simulator: Simulator, staff: Staff) -> None:
    _, operator = staff
    phones = [await asked(simulator) for _ in range(2)]
    for phone in phones:
        phone.press(f"{PIN}#")
    for phone in phones:
        await operator.arrives(phone.call_id, "sales")
    for phone in phones:
        await phone.until("bridged")
    one, other = phones
    assert simulator.hears(one) == {other.participant_id}


async def test_without_the_pound_key_and_before_the_prompt_is_over(
    simulator: Simulator, staff: Staff
) -> None:
    _, operator = staff
    phone = await simulator.dial()
    phone.press(PIN)
    await phone.until("bridged")
    assert (await operator.until(phone.call_id, "bridged"))["room"] == "sales"


async def test_wrong_digits_may_be_corrected(simulator: Simulator, staff: Staff) -> None:
    _, operator = staff
    phone = await asked(simulator)
    phone.press("0000#")
    await phone.hears(WRONG)
    phone.press(f"{PIN}#")
    await operator.arrives(phone.call_id, "sales")
    assert phone.heard == [PROMPT, WRONG]


@pytest.mark.parametrize("pressed", ["0000#", "#", "", "12345678901234567890123#"])
async def test_three_times_wrong_is_enough(
    simulator: Simulator, staff: Staff, redis: Redis, pressed: str
) -> None:
    _, operator = staff
    phone = await asked(simulator)
    phone.press(pressed)
    for times in (1, 2):
        await simulator.until(lambda times=times: phone.heard.count(WRONG) >= times)  # type: ignore[misc]
        phone.press(pressed)
    ended = await let_go(operator, phone)
    assert await redis.ttl(keys.call(ended["id"])) > 24 * 3600, "it is kept like any other"
    assert simulator.ledger.alive().participants == []
    assert "createParticipant" not in {one.operation for one in simulator.requests}


async def test_as_often_as_the_settings_say(simulator: Simulator, store_url: str, redis: Redis) -> None:
    words = {"PIN_PROMPT": "Code?", "PIN_WRONG": "No.", "PIN_GOODBYE": "Bye.", "PIN_TRIES": "1"}
    async with operator_for(simulator, store_url, redis, PIN_NUMBERS=NUMBER, **words):
        phone = await simulator.dial()
        await phone.hears("Code?")
        phone.press("1234#")
        await phone.until("ended")
        assert phone.heard == ["Code?", "Bye."]


async def test_other_numbers_ask_for_nothing(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, PIN_NUMBERS="+15550103333"):
        phone = await simulator.dial()
        await phone.until("bridged")
        assert phone.heard == []
        await phone.hang_up()


@pytest.mark.parametrize(
    ("step", "right"),
    [
        ("reply:initiate", True),
        ("webhook:gather", True),
        ("webhook:gather", False),
        ("createSession", True),
        ("createParticipant", True),
        ("addParticipantToSession", True),
        ("reply:gather", True),
        ("reply:gather", False),
        ("webhook:transferAnswer", True),
    ],
)
async def test_the_phone_hangs_up(simulator: Simulator, staff: Staff, step: str, *, right: bool) -> None:
    service, _ = staff
    gate = simulator.gates.hold(step)
    phone = await simulator.dial()
    phone.press(f"{PIN}#" if right else "999#")
    await gate.reached()
    await phone.hang_up()
    await wait_until(lambda: service.log(event="call.ended"))
    gate.release()
    await simulator.settled()


async def test_the_phone_hangs_up_during_the_goodbye(simulator: Simulator, staff: Staff) -> None:
    _, operator = staff
    phone = await asked(simulator)
    for _ in range(3):
        phone.press("1#")
    await phone.hears(GOODBYE)
    await phone.hang_up()
    assert (await operator.until(phone.call_id, "ended"))["outcome"]["reason"] == "wrong-pin"


@pytest.mark.parametrize("what", ["join", "transfer", "hangup"])
async def test_an_operator_is_quicker(simulator: Simulator, staff: Staff, what: str) -> None:
    _, operator = staff
    phone = await asked(simulator)
    body = {"join": {"room": "sales"}, "transfer": {"to": "+15550102222"}}.get(what, {})
    await operator.order(phone.call_id, what, **body)
    match what:
        case "join":
            await operator.arrives(phone.call_id, "sales")
        case "transfer":
            await simulator.until(lambda: phone.stage == "bridged")
        case _:
            await phone.until("ended")
    assert phone.heard[0] == PROMPT


@pytest.mark.parametrize("step", ["createSession", "createParticipant", "addParticipantToSession"])
async def test_who_cannot_be_joined_is_told(simulator: Simulator, staff: Staff, step: str) -> None:
    phone = await asked(simulator)
    # A create that failed is sent once more.
    simulator.faults.add(step, status=500, times=1 if step == "addParticipantToSession" else 2)
    phone.press(f"{PIN}#")
    await phone.until("ended")
    assert "sorry" in phone.heard[-1]


async def test_a_pin_is_changed(simulator: Simulator, staff: Staff) -> None:
    _, operator = staff
    await operator.set_room("sales", pin="2468")
    phone = await asked(simulator)
    phone.press(f"{PIN}#")
    await phone.hears(WRONG)
    phone.press("2468#")
    await operator.arrives(phone.call_id, "sales")
    await operator.set_room("support", pin=PIN)
    other = await asked(simulator)
    other.press(f"{PIN}#")
    await operator.arrives(other.call_id, "support")


async def test_a_pin_is_taken(simulator: Simulator, staff: Staff) -> None:
    _, operator = staff
    refused = await operator.send("PUT", "/rooms/third", {"pin": PIN})
    assert refused.status_code == 409
    assert "sales" not in refused.text
    assert (await operator.room("sales"))["settings"]["pin"] == PIN
    assert (await operator.send("GET", "/rooms/third")).status_code == 404
    assert (await operator.send("PUT", "/rooms/sales", {"pin": PIN})).status_code == 200, "it is its own"


async def test_digits_are_told_to_nobody(simulator: Simulator, staff: Staff) -> None:
    service, operator = staff
    phone = await asked(simulator)
    phone.press("60718#")
    await phone.hears(WRONG)
    phone.press(f"{PIN}#")
    there = await operator.arrives(phone.call_id, "sales")
    await phone.hang_up()
    await operator.until(phone.call_id, "ended")
    assert len(there["timeline"]) > 3
    assert service.log(event_type="gather")
    for digits in (PIN, "60718"):
        assert digits not in str(there)
        # By themselves: within an id or a time they are nobody's.
        alone = re.compile(rf"(?<![0-9a-z.:-]){digits}(?![0-9a-z.:-])")
        assert not [line for line in LOG.written if alone.search(line)]


async def test_a_gather_that_is_told_twice_has_one_answer(simulator: Simulator, staff: Staff) -> None:
    _, operator = staff
    phone = await asked(simulator)
    phone.press("0000#")
    await phone.hears(WRONG)
    wrong = next(one for one in simulator.deliveries if one.event_type == "gather")
    for _ in range(4):
        status, reply = await simulator.repeat(wrong)
        assert (status, reply) == (200, wrong.reply), "it does not count as another try"
    gate = simulator.gates.hold("reply:gather")
    phone.press(f"{PIN}#")
    await gate.reached()
    right = [one for one in simulator.deliveries if one.event_type == "gather"][-1]
    assert await simulator.repeat(right) == (200, right.reply)
    gate.release()
    await operator.arrives(phone.call_id, "sales")
    await consistent(simulator, operator, phone)


async def test_two_copies_at_the_same_moment(simulator: Simulator, staff: Staff) -> None:
    _, operator = staff
    simulator.webhooks.duplicate = {"gather"}
    phone = await asked(simulator)
    phone.press("0000#")
    await phone.hears(WRONG)
    phone.press(f"{PIN}#")
    await operator.arrives(phone.call_id, "sales")
    await consistent(simulator, operator, phone)
    assert phone.heard == [PROMPT, WRONG]
