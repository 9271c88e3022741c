"""A service that is sent nonsense answers all of it, and the calls that go on meanwhile do not notice.

`make fuzz` sends more: FUZZ_COUNT inputs, made from FUZZ_SEED.
"""

import asyncio
import base64
import os
from collections import Counter
from typing import Any, Final

import aiohttp
import pytest
from redis.asyncio import Redis
from yarl import URL

from service.calls.refs import ref_of_call
from service.engine.timeouts import Timeouts
from service.tasks import Tasks
from tests.fuzz.inputs import ROOMS, Input, made
from tests.harness import API_KEY, ORIGIN, PASSWORD, USERNAME, RunningService, nothing_left, serving
from tests.operators import Operator
from tests.simulator import bxml
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

PATIENCE: Final = Timeouts(unused_seat=5, browser_absence=5, unanswered_grace=2, min_leg_duration=0)
"""Browsers that were made up are never heard of, and Bandwidth knows no calls and legs that were."""
COUNT: Final = int(os.environ.get("FUZZ_COUNT", "1000"))  # noqa: TID251 - a knob of the test's own
SEED: Final = int(os.environ.get("FUZZ_SEED", "20260131"))  # noqa: TID251 - as above
AT_ONCE: Final = 16
VICTIMS: Final = 4
BASIC: Final = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
MORE: Final = {
    "ROOM_MAP": '{"+15551110000": "lobby", "+15551110001": "sales"}',
    "PIN_NUMBERS": "+15551110002",
    "CALLS_PER_HOUR": "100000",
}


class Fuzz:
    """Sends nonsense about `victims`, calls whose ids it knows, and about calls that there never were."""

    def __init__(self, simulator: Simulator, service: RunningService) -> None:
        self.simulator = simulator
        self.service = service
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self._victims: list[Phone] = []
        self._rules = bxml.Rules(256, simulator.webhooks.may_send_credentials)

    async def send_all(self, inputs: list[Input]) -> None:
        self._victims = [await self._victim(number) for number in range(VICTIMS)]
        waiting = iter(enumerate(inputs))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

            async def work() -> None:
                for number, one in waiting:
                    if number % 20 == 0:
                        await self._keep_victims()
                    await self._send(client, self._filled_in(one, number))

            await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    async def _keep_victims(self) -> None:
        """There are always some; what they are told may end them."""
        for place, phone in enumerate(self._victims):
            if phone.call.ended:
                self._victims[place] = await self._victim(place)

    async def _victim(self, number: int) -> Phone:
        return await self.simulator.dial(to=f"+1555111000{number}")

    def _filled_in(self, one: Input, number: int) -> Input:
        victim = self._victims[number % len(self._victims)]
        known = {
            "@CALL@": victim.call_id,
            "@LEG@": victim.leg.call_id if victim.leg else "c-none",
            "@REF@": ref_of_call(victim.call_id),
            "@PARTICIPANT@": victim.participant_id or "none",
            "@SESSION@": victim.session_id or "none",
            "@ROOM@": ROOMS[number % len(ROOMS)],
            "@PARTICIPANT_URL@": self._participant_url(),
            "@BASIC@": BASIC,
            "@BEARER@": f"Bearer {API_KEY}",
        }
        path, body, headers = one.path, one.body, one.headers
        for name, value in known.items():
            path, body = path.replace(name, value), body.replace(name.encode(), value.encode())
            headers = {key: text.replace(name, value) for key, text in headers.items()}
        return Input(one.method, path, body, headers)

    def _participant_url(self) -> str:
        """One that was given out for a participant."""
        placed = (one for one in reversed(self.simulator.requests) if one.operation == "createParticipant")
        urls = (one.body["callbackUrl"].removeprefix(ORIGIN) for one in placed)
        return next(urls, "/callbacks/participants/x/x")

    async def _send(self, client: aiohttp.ClientSession, one: Input) -> None:
        url = URL(self.service.url + one.path, encoded=True)
        try:
            async with client.request(one.method, url, data=one.body, headers=one.headers) as answer:
                raw, type_ = await answer.read(), answer.headers.get("content-type", "")
        except aiohttp.ClientError as error:
            if (
                one.method == "HEAD"
                and isinstance(error, aiohttp.ClientResponseError)
                and error.status == 400
            ):
                # What is no HTTP, uvicorn answers with a body even where it may have none.
                self.statuses[400] += 1
                return
            self.wrong.append(f"{error!r} to {one}")
            return
        self.statuses[answer.status] += 1
        if answer.status >= 500 and answer.status != 503:
            self.wrong.append(f"{answer.status} {raw[:200]!r} to {one}")
        if answer.status == 200 and one.path.startswith(("/callbacks/voice", "/callbacks/legs")):
            try:
                bxml.parse(raw, type_, ORIGIN + one.path, self._rules)
            except bxml.InvalidBxml as error:
                self.wrong.append(f"{error}: {raw!r} to {one}")


class Callers:
    """Calls of which nobody else knows: they get in and leave again, whatever is sent meanwhile."""

    def __init__(self, simulator: Simulator, service: RunningService) -> None:
        self._simulator = simulator
        self._service = service
        self._over = False
        self.phones: list[Phone] = []

    def stop(self) -> None:
        self._over = True

    async def call(self) -> None:
        while not self._over:
            phone = await self._simulator.dial(to="+15559990000")
            self.phones.append(phone)
            try:
                await phone.until("bridged", timeout=10)
            except AssertionError as error:
                error.add_note("\n".join(map(str, self._service.log(ref=ref_of_call(phone.call_id)))))
                raise
            await phone.hang_up()
            await phone.until("ended")


@pytest.mark.parametrize("way", ["transfer", "bridge"])
async def test_nonsense_is_answered_and_leaves_nothing(
    simulator: Simulator, store_url: str, redis: Redis, way: str
) -> None:
    inputs = await asyncio.to_thread(made, COUNT // 2, SEED + (way == "bridge"))
    async with serving(simulator, store_url, PATIENCE, INTERCONNECT=way, **MORE) as service:
        fuzz, callers = Fuzz(simulator, service), Callers(simulator, service)
        tasks = Tasks()
        calling = [tasks.start(callers.call(), name="caller") for _ in range(2)]
        await fuzz.send_all(inputs)
        callers.stop()
        await asyncio.gather(*calling)
        print(f"{way}: {sorted(fuzz.statuses.items())}, {len(callers.phones)} callers")

        assert not fuzz.wrong, "\n\n".join(fuzz.wrong[:10])
        assert not faults(service), "\n".join(faults(service)[:5])
        assert {phone.cause for phone in callers.phones} == {"hangup"}
        await _all_hang_up(simulator, service)
        async with Operator.of(service) as operator:
            for room in ROOMS:
                await operator.ask("PUT", f"/rooms/{room}", {})
        await _forget_forged_legs(simulator, redis)
        await nothing_left(simulator, redis, seconds=60)
        assert not faults(service), "\n".join(faults(service)[:5])


def faults(service: RunningService) -> list[str]:
    """What the service itself takes for an error, with the traceback."""
    lines = service.log(level="error")
    return [f"{line['event']} {line.get('ref')}: {line.get('exception', line)}" for line in lines]


async def _forget_forged_legs(simulator: Simulator, redis: Redis) -> None:
    """Legs that were only made up would be asked about for minutes: Bandwidth does not know them."""
    real = {f"hang-up-leg:{leg.call_id}" for phone in simulator.phones for leg in phone.call.legs}
    async for key in redis.scan_iter("*:owed:call:*"):
        owed = {name: name.decode() if isinstance(name, bytes) else name for name in await redis.hkeys(key)}
        hang_ups = {name: text for name, text in owed.items() if text.startswith("hang-up-leg:")}
        forged = [name for name, text in hang_ups.items() if text not in real]
        if forged:
            await redis.hdel(key, *forged)


async def _all_hang_up(simulator: Simulator, service: RunningService) -> None:
    """The victims, and those that were only made up: Bandwidth would send no disconnect for them."""
    for phone in simulator.phones:
        await phone.hang_up()
    async with (
        Operator.of(service) as operator,
        aiohttp.ClientSession(service.url, headers={"Authorization": BASIC}) as bandwidth,
    ):

        async def over() -> bool:
            live = await _live(operator)
            for call in live:
                body = {"eventType": "disconnect", "callId": call["callId"] or "c-none", "cause": "hangup"}
                async with bandwidth.post(f"/callbacks/voice/{call['id']}", json=body) as answer:
                    assert answer.status == 204
            return not live

        await wait_until(over, seconds=30, what="a call that was made up lives on")


async def _live(operator: Operator) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query = "?limit=200"
    while query:
        page = await operator.ask("GET", f"/calls{query}")
        found += [call for call in page["calls"] if call["state"] != "ended"]
        query = f"?limit=200&cursor={page['next']}" if page["next"] else ""
    return found
