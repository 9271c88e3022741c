"""FALLBACK_CALLBACK_URL: a second address for all that Bandwidth asks, in case the first does not answer."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.bridge_mode import delay_create_call, joined_again, replies_with_verb, requests
from tests.harness import CALLEE, ORIGIN, PASSWORD, USERNAME, RunningService, nothing_left, serving
from tests.operators import Operator
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.stores import RestartableStore
from tests.waiting import wait_until

FALLBACK = "https://fallback.test"
NOWHERE = "http://127.0.0.1:9"
PIN_NUMBER = "+15551110000"
FALLBACK_CREDENTIALS = {"fallbackUsername": USERNAME, "fallbackPassword": PASSWORD}


@asynccontextmanager
async def two(
    simulator: Simulator, store_url: str, **more: str
) -> AsyncIterator[tuple[RunningService, Operator]]:
    """Two replicas, each with an address of its own; the operator is at the second."""
    settings = {"FALLBACK_CALLBACK_URL": FALLBACK, "PIN_NUMBERS": PIN_NUMBER, **more}
    async with (
        serving(simulator, store_url, **settings) as second,
        serving(simulator, store_url, **settings) as first,
        Operator.of(second) as operator,
    ):
        simulator.map_origin(FALLBACK, second.url)
        application = simulator.application
        application.initiate_fallback_url = f"{FALLBACK}/callbacks/voice"
        application.fallback_username, application.fallback_password = USERNAME, PASSWORD
        yield first, operator


def taken(simulator: Simulator) -> Iterable[str]:
    """Kinds of events that the second address has answered."""
    return {
        one.event_type for one in simulator.deliveries if one.url.startswith(FALLBACK) and one.status == 200
    }


def check(values: dict[str, Any], *names: str) -> None:
    """What is asked at the first address has the same path at the second, and credentials for both."""
    for name in names:
        path = values[f"{name}Url"].removeprefix(ORIGIN)
        assert values[f"{name}FallbackUrl"] == FALLBACK + path
    assert {"username": USERNAME, "password": PASSWORD, **FALLBACK_CREDENTIALS}.items() <= values.items()


async def test_every_place_that_takes_one_is_given_one(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with two(simulator, store_url, FALLBACK_NUMBER="+15550107777") as (_, operator):
        await operator.set_room("sales", pin="1234")
        asked = await simulator.dial(to=PIN_NUMBER)
        await asked.hears("conference code")
        asked.press("1234#")
        await asked.until("bridged")
        detection = {"mode": "async", "then": "join"}
        call = await operator.place(machineDetection=detection)
        called = await simulator.called(CALLEE)
        await called.until("bridged")
        await operator.until(call["id"], "bridged")
        await operator.order(call["id"], "hold")
        await called.hears("Please hold")
        simulator.interconnect.mode = "reject"
        elsewhere = await simulator.dial()
        await elsewhere.until("bridged")

        [(_, gather)] = replies_with_verb(simulator, "Gather")
        check(gather.attrib, "gather")
        for _, transfer in replies_with_verb(simulator, "Transfer"):
            check(transfer.attrib, "transferComplete")
            for target in transfer.iter("SipUri"):
                check(target.attrib, "transferAnswer")
                assert "transferDisconnectFallbackUrl" not in target.attrib
        assert len(list(replies_with_verb(simulator, "PhoneNumber"))) == 1
        for _, redirect in replies_with_verb(simulator, "Redirect"):
            check(redirect.attrib, "redirect")
        [placed] = requests(simulator, "createCall")
        check(placed.body, "answer")
        detecting = placed.body["machineDetection"]
        assert detecting["fallbackUrl"] == FALLBACK + detecting["callbackUrl"].removeprefix(ORIGIN)
        assert detecting.items() >= FALLBACK_CREDENTIALS.items()
        [update, *_] = requests(simulator, "updateCall")
        check(update.body, "redirect")
        for phone in (asked, called, elsewhere):
            await phone.hang_up()
        await operator.reset_rooms()
        await nothing_left(simulator, redis)


@pytest.mark.parametrize("first", ["phone", "leg"])
async def test_a_bridge_is_given_two(simulator: Simulator, store_url: str, redis: Redis, first: str) -> None:
    async with two(simulator, store_url, INTERCONNECT="bridge"):
        simulator.interconnect.answer_delay = 0.1 if first == "phone" else 0
        if first == "leg":
            delay_create_call(simulator)
        phone = await simulator.dial()
        await phone.until("bridged")
        [(_, bridge)] = replies_with_verb(simulator, "Bridge")
        check(bridge.attrib, "bridgeComplete", "bridgeTargetComplete")
        [leg] = requests(simulator, "createCall")
        check(leg.body, "answer")
        await phone.hang_up()
        await nothing_left(simulator, redis)


class Fallen:
    """While the first address does not answer."""

    def __init__(self, simulator: Simulator, first: RunningService) -> None:
        self._simulator = simulator
        self._first = first

    def __enter__(self) -> None:
        self._simulator.map_origin(ORIGIN, NOWHERE)

    def __exit__(self, *_: object) -> None:
        self._simulator.map_origin(ORIGIN, self._first.url)


async def test_a_transfer_goes_on_at_the_second_address(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    async with two(simulator, store_url) as (first, operator):
        with Fallen(simulator, first):
            phone = await simulator.dial()
            await phone.until("bridged")
            call = await operator.until(phone.call_id, "bridged")
            await operator.order(call["id"], "hold")
            await phone.hears("Please hold")
            await operator.order(call["id"], "join", room="sales")
            await phone.until("bridged")
        assert taken(simulator) == {"initiate", "transferAnswer", "redirect"}
        await operator.until(call["id"], "bridged")
        with Fallen(simulator, first):
            await phone.far_end_hangs_up()
            await simulator.until(lambda: "transferComplete" in taken(simulator), what="it is told")
        await simulator.settled()
        assert (await operator.until(call["id"], "ended"))["outcome"]["reason"] == "completed"
        await nothing_left(simulator, redis)


async def test_digits_and_answers_too(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with two(simulator, store_url) as (first, operator):
        await operator.set_room("sales", pin="1234")
        phone = await simulator.dial(to=PIN_NUMBER)
        await phone.hears("conference code")
        with Fallen(simulator, first):
            phone.press("1234#")
            await phone.until("bridged")
            await operator.place()
            called = await simulator.called(CALLEE)
            await called.until("bridged")
        assert taken(simulator) == {"gather", "answer", "transferAnswer"}
        assert simulator.hears(called) == {phone.participant_id}
        await phone.hang_up()
        await called.hang_up()
        await operator.reset_rooms()
        await nothing_left(simulator, redis)


@pytest.mark.parametrize(
    ("answers_first", "kind"), [("leg", "bridgeComplete"), ("phone", "bridgeTargetComplete")]
)
async def test_a_bridge_goes_on_at_the_second_address(
    simulator: Simulator, store_url: str, redis: Redis, answers_first: str, kind: str
) -> None:
    async with two(simulator, store_url, INTERCONNECT="bridge") as (first, _):
        simulator.interconnect.answer_delay = 0.1 if answers_first == "phone" else 0
        if answers_first == "leg":
            delay_create_call(simulator)
        with Fallen(simulator, first):
            phone = await simulator.dial()
            await phone.until("bridged")
            assert taken(simulator) == {"initiate", "answer"}
            before = phone.participant_id
            await phone.far_end_hangs_up()
            await joined_again(simulator, phone, before)
            assert kind in taken(simulator)
        assert phone.heard == []
        await phone.hang_up()
        await nothing_left(simulator, redis)


@pytest.mark.parametrize("way", ["transfer", "bridge"])
async def test_who_is_too_slow_for_the_first_address_is_made_once(
    simulator: Simulator, store_url: str, redis: Redis, way: str
) -> None:
    """Bandwidth listens no more to a webhook that is being worked on, and asks at the second address."""
    async with two(simulator, store_url, INTERCONNECT=way) as (_, operator):
        simulator.application.callback_timeout = 0.2
        gate = simulator.gates.hold("createParticipant")
        phone = await simulator.dial()
        await gate.reached()
        await simulator.until(lambda: "initiate" in taken(simulator), what="the other is asked")
        gate.release()
        await _talks(phone, operator)
        assert len(requests(simulator, "createParticipant")) == 1
        await phone.hang_up()
        await nothing_left(simulator, redis)


async def _talks(phone: Phone, operator: Operator) -> None:
    await phone.until("bridged")
    await operator.until(phone.call_id, "bridged")


async def test_what_the_store_missed_of_a_transfer_is_taken_in_later(
    simulator: Simulator, tmp_path: Path
) -> None:
    """The leg is let in without it, and what may be ordered of the call depends on its being in."""
    store = RestartableStore(tmp_path)
    await store.start()
    async with serving(simulator, store.url) as service, Operator.of(service) as operator:
        gate = simulator.gates.hold("webhook:transferAnswer")
        phone = await simulator.dial()
        await gate.reached()
        await store.kill()
        gate.release()
        await phone.until("bridged")
        await store.start()
        await wait_until(lambda: service.log(event="call.changed", event_type="transferAnswer"))
        await operator.until(phone.call_id, "bridged")
        await phone.hang_up()
        async with Redis.from_url(store.url) as redis:
            await nothing_left(simulator, redis)
    await store.stop()


async def test_the_store_goes_while_a_place_is_prepared(simulator: Simulator, tmp_path: Path) -> None:
    """Nobody is on the phone yet: it is made anew when somebody is."""
    store = RestartableStore(tmp_path)
    await store.start()
    more = {"WEBHOOK_BUDGET": "2"}
    async with serving(simulator, store.url, **more) as service, Operator.of(service) as operator:
        simulator.numbers[CALLEE] = "ring"
        gate = simulator.gates.hold("createParticipant")
        call = await operator.place(prepare="dial")
        phone = await simulator.called(CALLEE)
        await gate.reached()
        await store.kill()
        gate.release()
        await wait_until(lambda: service.log(event="store.write_retried"))
        await store.start()
        phone.pick_up()
        await phone.until("bridged", timeout=15)
        await operator.until(call["id"], "bridged")
        await phone.hang_up()
        async with Redis.from_url(store.url) as redis:
            await nothing_left(simulator, redis)
        assert not service.log(level="error")
    await store.stop()
