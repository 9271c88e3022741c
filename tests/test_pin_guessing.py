"""Wrong PINs are counted, of each caller and on each number of ours, and have consequences."""

from collections.abc import AsyncIterator
from itertools import count

import httpx
import pytest
from redis.asyncio import Redis

from service.store.redis.client import Client
from service.store.wrong_pins import WrongPins
from tests.event_listener import NO_TLS
from tests.harness import API_KEY, PASSWORD, USERNAME, RunningService, serving
from tests.simulator.simulator import Simulator

NUMBER, OTHER = "+19195550101", "+19195550102"
CALLER = "+15557654321"
PIN = "73915"
TOO_MANY = "Too many wrong codes have been entered."


@pytest.fixture
async def service(simulator: Simulator, store_url: str) -> AsyncIterator[RunningService]:
    async with (
        serving(simulator, store_url, PIN_NUMBERS=f"{NUMBER},{OTHER}") as service,
        httpx.AsyncClient(base_url=f"{service.url}/api/v1/rooms") as client,
    ):
        headers = {"authorization": f"Bearer {API_KEY}"}
        await client.put("/sales", json={"pin": PIN}, headers=headers)
        yield service
        await client.put("/sales", json={}, headers=headers)


class GuessingCaller:
    """Calls by webhooks alone, so that many of them take little time."""

    def __init__(self, service: RunningService, from_: str = CALLER, to: str = NUMBER) -> None:
        self._url = f"{service.url}/callbacks/voice"
        self._ids = count()
        self._at = count()
        self.from_, self.to = from_, to
        self.call_id = ""

    async def call(self) -> str:
        caller = "".join(filter(str.isalnum, self.from_))
        self.call_id = f"c-{caller}-{self.to[-2:]}-{next(self._ids)}"
        return await self._send("initiate")

    async def enter(self, digits: str) -> str:
        return await self._send("gather", digits=digits)

    async def hang_up(self) -> None:
        await self._send("disconnect", cause="hangup")

    async def guess(self, times: int) -> None:
        """Three wrong ones a call."""
        for guess in range(times):
            if guess % 3 == 0:
                assert "<Gather" in await self.call()
            await self.enter("1234")

    async def _send(self, kind: str, **more: str) -> str:
        body = {"eventType": kind, "callId": self.call_id, "accountId": "9900000", "direction": "inbound"}
        body |= {"from": self.from_, "to": self.to, "eventTime": f"{next(self._at)}", **more}
        async with httpx.AsyncClient(auth=(USERNAME, PASSWORD), verify=NO_TLS) as client:
            await client.post(self._url, json=body)
            answer = await client.post(self._url, json=body)  # as Bandwidth repeats it: counted once
        assert answer.status_code in {200, 204}
        return answer.text


async def test_after_ten_wrong_ones_a_callers_next_calls_are_let_go(service: RunningService) -> None:
    line = GuessingCaller(service)
    await line.guess(9)
    assert "<Gather" in await line.call()
    assert "<Gather" in await line.enter("1234")  # the tenth: this call goes on
    for to in (NUMBER, OTHER):
        line.to = to
        answer = await line.call()
        assert TOO_MANY in answer
        assert "<Hangup" in answer
    line.from_ = "sip:+15557654321@elsewhere.example"
    assert TOO_MANY in await line.call()
    assert "<Gather" in await GuessingCaller(service, "+15557654322").call()


async def test_right_ones_and_none_at_all_are_not_counted(service: RunningService) -> None:
    line = GuessingCaller(service)
    await line.guess(9)
    await line.call()
    await line.enter("")
    assert "<Transfer" in await line.enter(PIN)
    await line.hang_up()
    assert "<Gather" in await line.call()


async def test_a_hundred_on_a_number_leave_one_try_a_call(service: RunningService, redis: Redis) -> None:
    hidden = GuessingCaller(service, "Anonymous")
    await hidden.guess(99)
    assert "<Gather" in await hidden.call()  # a caller without a number is not let go for others
    assert "<Gather" not in await hidden.enter("1234")
    other = GuessingCaller(service, "Anonymous", OTHER)
    await other.call()
    assert "<Gather" in await other.enter("1234")
    right = GuessingCaller(service)
    await right.call()
    assert "<Transfer" in await right.enter(PIN)
    await right.hang_up()
    async with httpx.AsyncClient(base_url=service.url) as client:
        metrics = (await client.get("/metrics")).text
    assert 'pstn_pins_wrong_total{suspicious="yes"} 1.0' in metrics
    assert 'pstn_pins_wrong_total{suspicious="no"} 100.0' in metrics
    kept = [key async for key in redis.scan_iter("*:wrong-pins:*")]
    assert len(kept) == 2
    assert not any(NUMBER[1:] in key.decode() for key in kept)
    for key in kept:
        assert 0 < await redis.ttl(key) <= 3600


async def test_what_is_kept_has_a_bound(store_url: str, redis: Redis) -> None:
    client = Client(store_url)
    pins = WrongPins(client, b"secret")
    for one in range(130):
        guesses = await pins.count(f"{one}", caller=CALLER, number=NUMBER)
    assert (guesses.by_caller, guesses.on_number) == (100, 100)
    assert await pins.read(caller=CALLER, number=NUMBER) == guesses
    assert (await WrongPins(client, b"another").read(caller=CALLER, number=NUMBER)).on_number == 0
    await client.close()
